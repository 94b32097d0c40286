//! Requests say how urgent they are, and the queue of a node with keys goes by it.

use std::thread::{Scope, ScopedJoinHandle};

use e2e::http::{self, Answer};
use e2e::node::{Node, READY_LIMIT};
use e2e::process::wait_for;
use serde_json::json;

const KEY: (&str, &str) = ("authorization", "Bearer a-long-secret");

fn wait_for_gauge(node: &Node, name: &str, expected: &str) {
    wait_for(name, READY_LIMIT, || {
        let metrics = http::get_with(&format!("{}/metrics", node.url()), KEY).unwrap();
        let mut lines = metrics.text.lines();
        let is_there = lines.any(|line| line.strip_prefix(name).map(str::trim) == Some(expected));
        is_there.then_some(())
    });
}

fn ask(node: &Node, tier: &str) -> Answer {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 2, "service_tier": tier});
    http::post_with(&format!("{}/v1/chat/completions", node.url()), KEY, &body).unwrap()
}

/// Asks in a thread of its own, and returns when the request waits.
fn waiting<'scope>(
    scope: &'scope Scope<'scope, '_>,
    node: &'scope Node,
    tier: &'static str,
) -> ScopedJoinHandle<'scope, Answer> {
    let asked = scope.spawn(move || ask(node, tier));
    wait_for_gauge(node, "gaia_requests_waiting", "1");
    asked
}

#[test]
fn a_full_queue_gives_way_to_the_urgent() {
    let node = Node::new();
    node.set("api_keys", KEY.1.strip_prefix("Bearer ").unwrap());
    node.set("requests_running_max", "1");
    node.set("queue_len_max", "1");
    node.start();
    let story = json!({"messages": [{"role": "user", "content": "Tell me a very long story."}],
        "max_tokens": 1500, "ignore_eos": true, "stream": true});
    let url = format!("{}/v1/chat/completions", node.url());
    let mut story = http::stream_with(&url, KEY, &story).unwrap();
    story.next_data().expect("the story begins");
    std::thread::scope(|scope| {
        let flex = waiting(scope, &node, "flex");
        let usual = scope.spawn(|| ask(&node, "default"));
        let displaced = flex.join().unwrap();
        assert_eq!(displaced.status, 429, "{}", displaced.text);
        assert!(displaced.retry_after.is_some());
        wait_for_gauge(&node, "gaia_requests_waiting", "1");
        for tier in ["flex", "default"] {
            assert_eq!(
                ask(&node, tier).status,
                429,
                "nobody is less urgent than {tier}"
            );
        }
        let urgent = scope.spawn(|| ask(&node, "priority"));
        assert_eq!(usual.join().unwrap().status, 429);
        drop(story);
        let answer = urgent.join().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["service_tier"], "priority");
    });
}
