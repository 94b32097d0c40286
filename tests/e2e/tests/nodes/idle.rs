//! A model that nobody uses gives its memory back, and answers again when it is asked.

use std::fs;

use e2e::node::{Node, READY_LIMIT};
use e2e::process::wait_for;
use serde_json::json;

/// What the weights and the cache take at least.
const FREED_KIB_MIN: u64 = 100 * 1024;

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a living process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number
        .and_then(|number| number.parse().ok())
        .expect("a size")
}

fn says_paris(node: &Node) -> bool {
    let body = json!({"messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 16, "temperature": 0});
    let answer = node.post("/v1/chat/completions", &body);
    answer.status == 200 && answer.text.contains("Paris")
}

#[test]
fn an_idle_model_leaves_memory_and_comes_back_when_asked() {
    let node = Node::new();
    node.set("embedding_model", "");
    node.set("idle_unload_seconds", "1");
    node.start();
    let worker = node.worker_pid();
    assert!(says_paris(&node), "{}", node.log());
    let before = resident_kib(worker);
    for _ in 0..2 {
        wait_for("the model to leave", READY_LIMIT, || {
            (resident_kib(worker) + FREED_KIB_MIN < before).then_some(())
        });
        assert_eq!(node.get("/health").status, 200);
        assert_eq!(node.get("/v1/models").status, 200);
        assert!(says_paris(&node), "{}", node.log());
    }
    assert_eq!(node.worker_pid(), worker, "nobody started it anew");
    let said = node.log();
    assert!(
        said.contains("out of memory until it is asked for"),
        "{said}"
    );
}
