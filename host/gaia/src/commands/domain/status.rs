//! `gaia domain status` and `gaia domain nodes`: the gateway and its nodes at work.

use std::collections::BTreeMap;

use gaia_domain::Gateway;
use gaia_ledger::NanoUsd;
use serde_json::{Value, json};

use super::folder;
use crate::commands::Context;
use crate::exit::{Exit, failure};
use crate::supervisor::lock;
use crate::terminal::{Terminal, Tint, span};
use crate::visit::Visit;

/// What the gateway is asked.
const STATUS: &str = "/gaia/v1/status";
const MEMBERS: &str = "/gaia/v1/nodes";

/// Digits of a digest that are shown in a table.
const DIGEST_SHOWN: usize = 8;

/// Pages that are asked for at most, a thousand nodes each.
const PAGES_MAX: usize = 1_000;

/// Runs `gaia domain status`.
pub fn run(context: &Context) -> anyhow::Result<()> {
    let gateway = running(context)?;
    let visit = Visit::own(&gateway)?;
    let status = visit.get_as(STATUS, &gateway.operator_token)?;
    context.terminal.answer(
        || status.clone(),
        |terminal| summary(terminal, &gateway, &visit.facts.gateways, &status),
    );
    Ok(())
}

/// Runs `gaia domain nodes`.
pub fn nodes(context: &Context) -> anyhow::Result<()> {
    let gateway = running(context)?;
    let visit = Visit::own(&gateway)?;
    let members = all("has_more", |after| visit.get(&format!("{MEMBERS}{after}")))?;
    let nodes = all("hasMoreNodes", |after| {
        visit.get_as(&format!("{STATUS}{after}"), &gateway.operator_token)
    })?;
    context.terminal.answer(
        || json!({"members": {"nodes": members, "has_more": false}, "nodes": nodes}),
        |terminal| table(terminal, &members, &nodes),
    );
    Ok(())
}

/// The nodes of all pages. `more` is the key that says whether there is another one, `ask` is given its query.
fn all(
    more: &str,
    mut ask: impl FnMut(&str) -> anyhow::Result<Value>,
) -> anyhow::Result<Vec<Value>> {
    let (mut found, mut after) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let page = ask(&after)?;
        found.extend_from_slice(list(&page["nodes"]));
        let last = found.last().map(|node| text(&node["node"]));
        let next = last.filter(|_| page[more] == true);
        let Some(next) = next.map(|node| format!("?after={node}")) else {
            return Ok(found);
        };
        // A gateway that turns no page would be asked for ever.
        if next == after {
            break;
        }
        after = next;
    }
    Err(failure(
        Exit::Failure,
        format!(
            "the gateway lists nodes without end: {} were read",
            found.len()
        ),
    ))
}

/// The gateway that runs here.
fn running(context: &Context) -> anyhow::Result<Gateway> {
    let folder = folder(context);
    let pid = lock::holder(&folder.lock());
    let gateway = Gateway::read(&folder.state())
        .filter(|gateway| pid.is_some_and(|pid| u32::try_from(pid) == Ok(gateway.pid)));
    gateway.ok_or_else(|| {
        failure(
            Exit::NotRunning,
            "no gateway of this domain is running here; gaia domain start starts it",
        )
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// `gateways`: all of the domain. Of several each has its own dashboard.
fn summary(terminal: &Terminal, gateway: &Gateway, gateways: &[String], status: &Value) -> String {
    let income = NanoUsd::new(number(&status["incomeNanoUsd"])).unwrap_or(NanoUsd::MAX);
    let (serving, known) = (&status["nodesServing"], &status["nodesKnown"]);
    let refused = status["refused"].as_object();
    let refused: Vec<_> = refused
        .into_iter()
        .flatten()
        .map(|(status, count)| format!("{count} × {status}"))
        .collect();
    let refused = match refused.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let (users, dashboard) = match gateways {
        [] | [_] => (gateway.url.clone(), gateway.url.as_str()),
        several => (several.join(", "), gateway.asked_at()),
    };
    let times = &status["firstByteMs"];
    let tokens = &status["tokens"];
    let notices = list(&status["notices"]).iter().map(|notice| {
        let words = format!("{}: {}", text(&notice["about"]), text(&notice["text"]));
        terminal.out(Tint::Yellow, &words)
    });
    let notices: Vec<String> = notices.collect();
    let lines = [
        (
            "Gateway",
            format!("{} (process {})", gateway.asked_at(), gateway.pid),
        ),
        ("Up for", span(number(&status["upSeconds"]))),
        ("Users reach", users),
        ("Dashboard", format!("{dashboard}/gaia/dashboard")),
        (
            "Nodes",
            format!("{} of {} serve", number(serving), number(known)),
        ),
        (
            "Requests",
            format!(
                "{} ({} running, {} waiting), paid for {}",
                status["requests"], status["running"], status["waiting"], status["captured"]
            ),
        ),
        ("Refused", refused),
        (
            "At nodes",
            format!(
                "{} failed, {} sent again, {} ejections",
                status["failedAtNodes"], status["retries"], status["ejections"]
            ),
        ),
        (
            "First byte",
            format!(
                "p50 {}, p90 {}, p99 {}",
                milliseconds(&times["p50"]),
                milliseconds(&times["p90"]),
                milliseconds(&times["p99"])
            ),
        ),
        (
            "Tokens",
            format!(
                "{} read, {} of them known, {} written",
                number(&tokens["input"]) + number(&tokens["cached"]),
                tokens["cached"],
                tokens["output"]
            ),
        ),
        (
            "Income",
            format!("{} USD since the start", income.decimal()),
        ),
    ]
    .map(|(name, value)| format!("{} {value}", terminal.out(Tint::Dim, &format!("{name:11}"))));
    // What is wrong stands last, where it is seen.
    lines
        .into_iter()
        .chain(notices)
        .collect::<Vec<_>>()
        .join("\n")
}

fn milliseconds(value: &Value) -> String {
    value
        .as_f64()
        .map_or("-".to_owned(), |time| format!("{time:.0} ms"))
}

/// A service, with no more of a digest behind its `@` than people can read.
fn short(service: &str) -> String {
    match service.split_once("@0x") {
        Some((model, digest)) if digest.len() > DIGEST_SHOWN => {
            let begin: String = digest.chars().take(DIGEST_SHOWN).collect();
            format!("{model}@0x{begin}…")
        }
        _ => service.to_owned(),
    }
}

/// The state of the node's breaker in words.
fn health(node: &Value) -> &str {
    match (node["connected"] == true, text(&node["health"])) {
        (false, _) => "away",
        (true, "closed") => "well",
        (true, "open") => "left out",
        (true, _) => "on trial",
    }
}

fn table(terminal: &Terminal, members: &[Value], nodes: &[Value]) -> String {
    let known = nodes.iter().map(|node| (text(&node["node"]), node));
    let known: BTreeMap<&str, &Value> = known.collect();
    if members.is_empty() {
        return "No node has joined yet.\nA node joins with: gaia join URL".to_owned();
    }
    let head = format!(
        "{:42}  {:10}  {:10}  {:>8}  SERVES",
        "NODE", "MEMBER", "HEALTH", "REQUESTS"
    );
    let rows = members.iter().map(|member| {
        let node = known.get(text(&member["node"]));
        let (health, requests, services) = match node {
            None => ("-", "-".to_owned(), String::new()),
            Some(node) => {
                let services = list(&node["services"]).iter().map(text).map(short);
                let services: Vec<_> = services.collect();
                let requests = format!("{}/{}", node["requests"], node["sequences"]);
                (health(node), requests, services.join(", "))
            }
        };
        format!(
            "{:42}  {:10}  {health:10}  {requests:>8}  {services}",
            text(&member["node"]),
            text(&member["status"])
        )
    });
    let head = terminal.out(Tint::Dim, &head);
    std::iter::once(head)
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateway_at_work_is_told_in_words() {
        let node = |health: &str, connected: bool| {
            json!({"node": "0x1", "connected": connected, "draining": false, "health": health,
                "requests": 1, "sequences": 8, "services": ["small"]})
        };
        let status = json!({"upSeconds": 61, "incomeNanoUsd": 1_500_000_000, "refused": {"402": 2},
            "notices": [{"about": "chain", "text": "out of reach"}],
            "firstByteMs": {"p50": 0.4, "p90": 12.6, "p99": null},
            "nodesServing": 1, "nodesKnown": 3, "nodes": [node("closed", true), node("open", true), node("closed", false)]});
        let gateway = Gateway {
            pid: 7,
            url: "https://a.example".to_owned(),
            own_url: Some("http://127.0.0.1:1".to_owned()),
            operator_token: "secret".to_owned(),
        };
        let terminal = Terminal::new(false, true);
        let text = summary(&terminal, &gateway, &[], &status);
        for expected in [
            "1 of 3 serve",
            "2 × 402",
            "p50 0 ms, p90 13 ms, p99 -",
            "1.5 USD",
            "chain: out of reach",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("secret"), "{text}");
        let members = [json!({"node": "0x1", "status": "serving"})];
        let text = table(&terminal, &members, &list(&status["nodes"])[..1]);
        assert_eq!(short("m@docs"), "m@docs");
        assert_eq!(short(&format!("m@0x{}", "ab".repeat(32))), "m@0xabababab…");
        assert!(text.contains("well") && text.contains("1/8"), "{text}");
        assert!(table(&terminal, &[], list(&status["nodes"])).contains("gaia join"));
    }

    #[test]
    fn the_second_gateway_of_a_domain_tells_of_itself() {
        let gateway = Gateway {
            pid: 7,
            url: "https://a.example".to_owned(),
            own_url: Some("https://127.0.0.1:8090".to_owned()),
            operator_token: "secret".to_owned(),
        };
        assert_eq!(gateway.asked_at(), "https://127.0.0.1:8090");
        let terminal = Terminal::new(false, true);
        let told = |gateways: &[&str]| {
            let gateways: Vec<_> = gateways.iter().map(|url| (*url).to_owned()).collect();
            summary(&terminal, &gateway, &gateways, &json!({}))
        };
        let alone = told(&["https://a.example"]);
        assert!(
            alone.contains("https://a.example/gaia/dashboard"),
            "{alone}"
        );
        let second = told(&["https://a.example", "https://b.example"]);
        assert!(
            second.contains("https://127.0.0.1:8090/gaia/dashboard"),
            "{second}"
        );
        assert!(
            second.contains("https://a.example, https://b.example"),
            "{second}"
        );
        let older: Gateway =
            serde_json::from_str(r#"{"pid": 7, "url": "http://a", "operator_token": "x"}"#)
                .unwrap();
        assert_eq!(older.asked_at(), "http://a");
    }

    #[test]
    fn nodes_of_all_pages_are_listed() {
        let node = |number: usize| json!({"node": format!("0x{number:03}")});
        let mut asked = Vec::new();
        let found = all("more", |after| {
            asked.push(after.to_owned());
            let page = asked.len();
            Ok(json!({"nodes": [node(page * 2), node(page * 2 + 1)], "more": page < 3}))
        });
        assert_eq!(found.unwrap().len(), 6);
        assert_eq!(asked, ["", "?after=0x003", "?after=0x005"]);
        let none = all("more", |_| Ok(json!({"nodes": []}))).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn pages_have_an_end() {
        let mut asked = 0;
        let endless = all("more", |_| {
            asked += 1;
            Ok(json!({"nodes": [{"node": format!("0x{asked}")}], "more": true}))
        });
        assert!(endless.unwrap_err().to_string().contains("1000 were read"));
        assert_eq!(asked, PAGES_MAX);
        let stuck = all("more", |_| {
            Ok(json!({"nodes": [{"node": "0x1"}], "more": true}))
        });
        assert!(stuck.unwrap_err().to_string().contains("without end"));
    }
}
