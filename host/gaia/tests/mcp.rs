//! `gaia tools` with MCP servers: added, looked at, called, removed.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

#[path = "../../mcp/tests/support/mod.rs"]
mod servers;
mod support;

use serde_json::json;
use servers::{Web, text, tools};
use support::{Run, Sandbox};

const KEY: &str = "news-key-4711";

/// A server that knows its callers by a key.
async fn news() -> Web {
    servers::server(|said| match said.method() {
        _ if !said
            .head
            .contains(&format!("\r\nauthorization: Bearer {KEY}\r\n")) =>
        {
            Some(servers::Reply::of("401 Unauthorized", "", "no such key"))
        }
        "tools/list" => Some(said.result(tools(&["search", "delete.all"]))),
        "tools/call" => {
            Some(said.result(text(&format!("{KEY} found {}", said.params()["arguments"]))))
        }
        _ => None,
    })
    .await
}

fn add(sandbox: &Sandbox, web: &Web, more: &[&str]) -> Run {
    let url = web.url("/mcp");
    let header = "Authorization: Bearer {secret:news}";
    let words = ["tools", "add", "mcp", "news", &url, "--header", header];
    sandbox.gaia(&[&words, more].concat())
}

#[track_caller]
fn check_failed(run: &Run, expected: &[&str]) {
    assert_ne!(run.code, 0, "{}", run.out);
    for words in expected {
        assert!(run.err.contains(words), "`{words}` is not in: {}", run.err);
    }
    assert!(!run.err.contains(KEY), "{}", run.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_added_looked_at_called_and_removed() {
    let web = news().await;
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    let mend = format!("gaia config set egress_origins {}", web.origin());
    check_failed(&add(&sandbox, &web, &[]), &["plain HTTP", &mend]);
    sandbox
        .gaia(&["config", "set", "egress_origins", &web.origin()])
        .ok();
    let added = add(&sandbox, &web, &[]).ok();
    assert!(added.contains("gaia tools secret set news"), "{added}");
    assert_eq!(web.seen(), 0, "nothing is asked of it yet");
    check_failed(
        &sandbox.gaia(&["tools", "test", "news"]),
        &["gaia tools secret set news"],
    );
    sandbox
        .gaia_with_input(&["tools", "secret", "set", "news"], &format!("{KEY}\n"))
        .ok();
    let listed = sandbox.gaia(&["--json", "tools", "test", "news"]).json();
    assert_eq!(listed["tools"][0]["name"], "news__search");
    assert_eq!(listed["tools"][1]["name"], "news__delete_all");
    assert_eq!(listed["tools"][1]["own_name"], "delete.all");
    let call = [
        "tools",
        "test",
        "news__search",
        "--args",
        "{\"query\": \"tides\"}",
    ];
    let answer = sandbox.gaia(&call).ok();
    assert_eq!(answer.trim(), "**** found {\"query\":\"tides\"}");
    check_failed(
        &sandbox.gaia(&["tools", "test", "news__other"]),
        &["no tool `news__other`", "gaia tools test news"],
    );
    let listed = sandbox.gaia(&["--json", "tools", "list"]).json();
    assert_eq!(listed["mcp"][0]["url"], web.url("/mcp"));
    assert_eq!(listed["mcp"][0]["secrets"], json!(["news"]));
    assert!(
        sandbox
            .gaia(&["tools", "list"])
            .ok()
            .contains("news                 MCP")
    );
    check_failed(
        &add(&sandbox, &web, &[]),
        &["a server of that name above", "gaia tools remove news"],
    );
    assert_eq!(
        sandbox.gaia(&["tools", "remove", "news"]).ok(),
        "news: removed\n"
    );
    let again = sandbox.gaia(&["tools", "remove", "news"]);
    assert_eq!((again.code, again.out.as_str()), (1, ""), "{}", again.err);
    assert!(
        sandbox
            .gaia(&["tools", "list"])
            .ok()
            .contains("no tools yet")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_owner_names_is_offered() {
    let web = news().await;
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    sandbox
        .gaia(&["config", "set", "egress_origins", &web.origin()])
        .ok();
    sandbox
        .gaia_with_input(&["tools", "secret", "set", "news"], &format!("{KEY}\n"))
        .ok();
    add(&sandbox, &web, &["--only", "search"]).ok();
    let listed = sandbox.gaia(&["--json", "tools", "test", "news"]).json();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 1);
    check_failed(
        &sandbox.gaia(&["tools", "test", "news__delete_all"]),
        &["no tool"],
    );
    assert!(
        !web.requests()
            .iter()
            .any(|request| request.contains("tools/call"))
    );
}

#[test]
fn what_is_no_server_is_not_added() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    let add = |name: &str, url: &str| sandbox.gaia(&["tools", "add", "mcp", name, url]);
    check_failed(
        &add("a__b", "https://mcp.example.org/"),
        &["a server's name has"],
    );
    check_failed(&add("a", "https://127.0.0.1/mcp"), &["this machine itself"]);
    check_failed(&add("a", "https://2130706433/mcp"), &["in disguise"]);
    check_failed(&add("a", "https://me@mcp.example.org/"), &["names a user"]);
    assert!(!sandbox.path("home/tools.toml").exists());
    add("a", "https://mcp.example.org/mcp").ok();
    // A tool may be added as before.
    sandbox
        .gaia(&["tools", "add", "x", "--url", "https://api.example.org/"])
        .ok();
    let listed = sandbox.gaia(&["--json", "tools", "list"]).json();
    assert_eq!(
        (&listed["tools"][0]["name"], &listed["mcp"][0]["name"]),
        (&json!("x"), &json!("a"))
    );
}
