//! Start, stop, and what is left behind: nothing.

use std::net::TcpListener;
use std::time::Duration;

use e2e::node::{Node, READY_LIMIT};
use e2e::process::{is_alive, signal, wait_for};
use serde_json::{Value, json};

#[test]
fn stop_leaves_nothing_running_and_the_second_start_needs_no_network() {
    let node = Node::started();
    let (gaia, worker) = (node.pid(), node.worker_pid());
    node.gaia_ok(&["stop"]);
    assert!(!is_alive(gaia) && !is_alive(worker));
    assert_eq!(node.processes(), Vec::<u32>::new());
    // Every way out leads to a closed port.
    let output = node
        .command(&["start"])
        .env("GAIA_HUB", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("PIP_NO_INDEX", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    node.wait_until_ready();
}

#[test]
fn a_killed_supervisor_takes_its_worker_with_it() {
    let node = Node::started();
    let (gaia, worker) = (node.pid(), node.worker_pid());
    signal(gaia, "KILL");
    wait_for("both to end", Duration::from_secs(20), || {
        (!is_alive(gaia) && !is_alive(worker)).then_some(())
    });
    node.start();
    node.wait_until_ready();
}

#[test]
fn terminating_the_foreground_process_drains_and_ends() {
    let node = Node::new();
    let mut child = node.command(&["start", "--foreground"]).spawn().unwrap();
    node.wait_until_ready();
    let worker = node.worker_pid();
    signal(child.id(), "TERM");
    let status = wait_for("the node to end", READY_LIMIT, || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(!is_alive(worker));
}

/// A node without an embedding model has no process for a store that could hold nothing; it says what is missing,
/// and is whole again when it has one.
#[test]
fn a_store_runs_only_where_there_is_an_embedding_model() {
    let node = Node::new();
    node.set("embedding_model", "");
    node.start();
    let advice = "gaia config set embedding_model NAME";
    assert_eq!(node.state()["store"], Value::Null);
    let ready = node.get("/ready").json();
    assert_eq!(ready["embedding"], Value::Null);
    assert!(ready["store"].as_str().unwrap().contains(advice), "{ready}");
    assert_eq!(node.get("/v1/info").json()["knowledge"], Value::Null);
    let said = |path: &str, body: Value| {
        let answer = node.post(path, &body);
        assert_eq!(answer.status, 503, "{path}: {}", answer.text);
        assert!(answer.text.contains(advice), "{path}: {}", answer.text);
    };
    said("/v1/embeddings", json!({"input": "x", "model": "default"}));
    said("/v1/retrieve", json!({"query": "x"}));
    said("/v1/vector_stores", json!({"name": "s"}));
    let question =
        json!({"messages": [{"role": "user", "content": "Say one word."}], "max_tokens": 4});
    let answer = node.post("/v1/chat/completions", &question);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(!answer.text.contains("\"warning\""), "{}", answer.text);
    node.set("embedding_model", e2e::EMBEDDING_MODEL);
    node.gaia_ok(&["restart"]);
    node.wait_until_ready();
    assert_eq!(node.get("/ready").json()["store"], "ok");
    let file = node.home().join("fact.md");
    std::fs::write(&file, "The lighthouse of Brellin is 31 metres high.").unwrap();
    node.gaia_ok(&["knowledge", "add", &file.to_string_lossy()]);
    let found = node.gaia_ok(&["knowledge", "search", "lighthouse"]);
    assert!(found.contains("31 metres"), "{found}");
}

#[test]
fn a_taken_port_is_named_in_one_line_with_its_owner() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let node = Node::new();
    node.set("port", &port);
    let output = node.gaia(&["start"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let line = said.lines().last().unwrap_or_default();
    assert!(
        line.contains(&port) && line.contains(&std::process::id().to_string()),
        "{said}"
    );
    assert_eq!(node.processes(), Vec::<u32>::new());
}
