//! `gaia domain status` and `gaia domain nodes`: the gateway and its nodes at work.

use gaia_domain::Gateway;
use gaia_ledger::NanoUsd;
use serde_json::Value;

use super::folder;
use crate::commands::Context;
use crate::exit::{Exit, failure};
use crate::supervisor::lock;
use crate::terminal::{Terminal, Tint, span};
use crate::visit::Visit;

/// Digits of a digest that are shown in a table.
const DIGEST_SHOWN: usize = 8;

/// Runs `gaia domain status`.
pub fn run(context: &Context) -> anyhow::Result<()> {
    let (gateway, status) = ask(context)?;
    context.terminal.answer(
        || status.clone(),
        |terminal| summary(terminal, &gateway, &status),
    );
    Ok(())
}

/// Runs `gaia domain nodes`.
pub fn nodes(context: &Context) -> anyhow::Result<()> {
    let (gateway, status) = ask(context)?;
    let members = Visit::new(&gateway.url)?.get("/gaia/v1/nodes")?;
    context.terminal.answer(
        || serde_json::json!({"members": members, "nodes": status["nodes"]}),
        |terminal| table(terminal, &members, &status),
    );
    Ok(())
}

fn ask(context: &Context) -> anyhow::Result<(Gateway, Value)> {
    let folder = folder(context);
    let pid = lock::holder(&folder.lock());
    let gateway = Gateway::read(&folder.state())
        .filter(|gateway| pid.is_some_and(|pid| u32::try_from(pid) == Ok(gateway.pid)));
    let gateway = gateway.ok_or_else(|| {
        failure(
            Exit::NotRunning,
            "no gateway of this domain is running here; gaia domain start starts it",
        )
    })?;
    let status = Visit::new(&gateway.url)?.get_as("/gaia/v1/status", &gateway.operator_token)?;
    Ok((gateway, status))
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

fn summary(terminal: &Terminal, gateway: &Gateway, status: &Value) -> String {
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
            format!("{} (process {})", gateway.url, gateway.pid),
        ),
        ("Up for", span(number(&status["upSeconds"]))),
        ("Dashboard", format!("{}/gaia/dashboard", gateway.url)),
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

fn table(terminal: &Terminal, members: &Value, status: &Value) -> String {
    let members = members
        .as_array()
        .map_or_else(|| list(&members["nodes"]), Vec::as_slice);
    if members.is_empty() {
        return "No node has joined yet.\nA node joins with: gaia join URL".to_owned();
    }
    let head = format!(
        "{:42}  {:10}  {:10}  {:>8}  SERVES",
        "NODE", "MEMBER", "HEALTH", "REQUESTS"
    );
    let rows = members.iter().map(|member| {
        let node = list(&status["nodes"])
            .iter()
            .find(|node| node["node"] == member["node"]);
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
            url: "http://127.0.0.1:1".to_owned(),
            operator_token: "secret".to_owned(),
        };
        let terminal = Terminal::new(false, true);
        let text = summary(&terminal, &gateway, &status);
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
        let members = json!({"nodes": [{"node": "0x1", "status": "serving"}]});
        let text = table(&terminal, &members, &status);
        assert_eq!(short("m@docs"), "m@docs");
        assert_eq!(short(&format!("m@0x{}", "ab".repeat(32))), "m@0xabababab…");
        assert!(text.contains("well") && text.contains("1/8"), "{text}");
        assert!(table(&terminal, &json!({"nodes": []}), &status).contains("gaia join"));
    }
}
