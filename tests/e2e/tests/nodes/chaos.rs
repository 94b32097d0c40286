//! kill -9 at bad moments.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::node::Node;
use e2e::process::{is_alive, signal, wait_for};
use e2e::{program, root};
use serde_json::{Value, json};
use tempfile::TempDir;

fn long_story() -> Value {
    json!({"messages": [{"role": "user", "content": "Tell me a very long story."}], "max_tokens": 1500, "ignore_eos": true})
}

#[test]
fn a_killed_worker_under_load_is_replaced_and_its_streams_end_with_an_error() {
    let node = Node::started();
    let worker = node.worker_pid();
    let mut streams: Vec<_> = (0..4).map(|_| node.chat_stream(&long_story())).collect();
    for stream in &mut streams {
        for _ in 0..3 {
            stream.next_data().expect("the story begins");
        }
    }
    signal(worker, "KILL");
    for stream in streams {
        let events = stream.rest();
        let error: Value = serde_json::from_str(events.last().expect("no silence")).unwrap();
        assert!(
            error["error"]["message"].is_string(),
            "the last event of a broken stream: {error}"
        );
    }
    wait_for("another worker", Duration::from_secs(60), || {
        (node.worker_pid() != worker).then_some(())
    });
    node.wait_until_ready();
    let answer = node.post(
        "/v1/chat/completions",
        &json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// How many points and how many different documents the store holds.
fn counted(node: &Node) -> (usize, Vec<String>) {
    let state = node.state();
    let (url, key) = (
        state["store"]["url"].as_str().unwrap(),
        state["store"]["key"].as_str().unwrap(),
    );
    let scroll = format!("{url}/collections/default/points/scroll");
    let answer = e2e::http::post_with(
        &scroll,
        ("api-key", key),
        &json!({"limit": 10_000, "with_payload": true}),
    )
    .unwrap();
    let reply = answer.json();
    let points = reply["result"]["points"]
        .as_array()
        .unwrap_or_else(|| panic!("{reply}"));
    let mut passages: Vec<String> = points
        .iter()
        .map(|point| {
            format!(
                "{} {}",
                point["payload"]["document"], point["payload"]["chunk"]
            )
        })
        .filter(|name| !name.starts_with("null"))
        .collect();
    passages.sort();
    (points.len(), passages)
}

#[test]
fn an_ingestion_killed_at_any_moment_resumes_with_nothing_lost_or_doubled() {
    let handbook = root().join("knowledge/handbook");
    let handbook = handbook.to_string_lossy().into_owned();
    let whole = Node::started();
    whole.gaia_ok(&["knowledge", "add", &handbook]);
    let expected = counted(&whole);
    drop(whole);

    let node = Node::started();
    for milliseconds in [30_u64, 120, 300, 700, 1500] {
        let mut child = node
            .command(&["knowledge", "add", &handbook])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = child.kill();
        let _ = child.wait();
    }
    // The node itself dies once too, with whatever it had acknowledged.
    let mut child = node
        .command(&["knowledge", "add", &handbook])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    let gaia = node.pid();
    signal(gaia, "KILL");
    let _ = child.wait();
    wait_for("the node to end", Duration::from_secs(20), || {
        (!is_alive(gaia)).then_some(())
    });
    node.start();
    node.gaia_ok(&["knowledge", "add", &handbook]);
    let found = counted(&node);
    assert_eq!(found, expected);
    let mut once = found.1.clone();
    once.dedup();
    assert_eq!(once, found.1, "no passage twice");
}

/// A store of the test's own, as somebody's Qdrant beside the node would be.
struct Store {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Store {
    fn started() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(program("gaia-vector-store"))
            .arg(folder.path())
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().split(' ').next_back().unwrap().to_owned();
        Self {
            process,
            url,
            _folder: folder,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn answer_after_losing_the_store(required: &str) -> e2e::http::Answer {
    let store = Store::started();
    let node = Node::new();
    node.set("store_url", &store.url);
    node.set("store_required", required);
    node.start();
    drop(store);
    node.post(
        "/v1/chat/completions",
        &json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}),
    )
}

#[test]
fn a_store_that_is_gone_costs_the_sources_not_the_answer() {
    let answer = answer_after_losing_the_store("false");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let warning = answer.json()["warning"].clone();
    assert!(
        warning
            .as_str()
            .is_some_and(|text| text.contains("knowledge base")),
        "{}",
        answer.text
    );
}

#[test]
fn a_node_that_requires_its_store_does_not_answer_without_it() {
    let answer = answer_after_losing_the_store("true");
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.retry_after.is_some(), "with Retry-After");
    assert!(answer.text.contains("knowledge base"), "{}", answer.text);
}
