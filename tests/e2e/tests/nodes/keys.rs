//! A key of the API on its whole way: handed out, used, counted, and taken back, while the node runs.

use e2e::http::{self, Answer};
use e2e::node::{Node, READY_LIMIT};
use e2e::process::wait_for;
use serde_json::{Value, json};

/// Longest answer of the node, and what is set aside for one.
const ANSWER_TOKENS_MAX: u64 = 400;

/// What the key may take in a day: one such answer and a little, but not two.
const TOKENS_PER_DAY: u64 = 500;

fn create(node: &Node, arguments: &[&str]) -> String {
    let key = node.gaia_ok(&[&["key", "api", "create"], arguments].concat());
    format!("Bearer {}", key.trim())
}

fn chat(node: &Node, key: &str, max_tokens: u64) -> Answer {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": max_tokens});
    let url = format!("{}/v1/chat/completions", node.url());
    http::post_with(&url, ("authorization", key), &body).unwrap()
}

fn shown(node: &Node) -> Value {
    serde_json::from_str(&node.gaia_ok(&["--json", "key", "api", "show", "bot"])).unwrap()
}

/// Waits until what the node has kept of the key's tokens is as `wanted`.
fn wait_for_tokens(node: &Node, wanted: impl Fn(u64) -> bool) -> u64 {
    wait_for("tokens to be kept", READY_LIMIT, || {
        shown(node)["tokens_today"]
            .as_u64()
            .filter(|tokens| wanted(*tokens))
    })
}

/// What was computed until then counts, and not what was set aside for the whole answer.
fn a_client_hangs_up(node: &Node, key: &str, used: u64) -> u64 {
    let body = json!({"messages": [{"role": "user", "content": "Tell me a very long story."}],
        "max_tokens": ANSWER_TOKENS_MAX, "ignore_eos": true, "stream": true});
    let url = format!("{}/v1/chat/completions", node.url());
    let mut story = http::stream_with(&url, ("authorization", key), &body).unwrap();
    for _ in 0..5 {
        story.next_data().expect("the story goes on");
    }
    drop(story);
    wait_for_tokens(node, |tokens| {
        (used + 5..used + ANSWER_TOKENS_MAX).contains(&tokens)
    })
}

fn the_day_is_used_up(node: &Node, key: &str) {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": ANSWER_TOKENS_MAX, "n": 2});
    let url = format!("{}/v1/chat/completions", node.url());
    let refused = http::post_with(&url, ("authorization", key), &body).unwrap();
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "tokens_per_day_exceeded");
    assert!(refused.retry_after.is_some());
}

#[test]
fn a_key_is_handed_out_used_counted_and_taken_back() {
    let node = Node::new();
    node.set("n_predict_max", &ANSWER_TOKENS_MAX.to_string());
    let per_day = TOKENS_PER_DAY.to_string();
    let bot = create(&node, &["bot", "--tokens-per-day", &per_day]);
    let librarian = create(&node, &["librarian", "--scope", "knowledge"]);
    node.start();

    let strangers = node.post("/v1/chat/completions", &json!({"messages": []}));
    assert_eq!(strangers.status, 401, "{}", strangers.text);
    let refused = chat(&node, &librarian, 5);
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(refused.json()["error"]["code"], "insufficient_scope");

    let answer = chat(&node, &bot, 5);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let used = answer.json()["usage"]["total_tokens"].as_u64().unwrap();
    wait_for_tokens(&node, |tokens| tokens == used);

    let used = a_client_hangs_up(&node, &bot, used);
    the_day_is_used_up(&node, &bot);

    // Counts survive a restart, and the owner of the machine needs no key.
    node.gaia_ok(&["stop"]);
    node.start();
    let shown = shown(&node);
    assert_eq!(shown["tokens_today"], used, "{shown}");
    assert!(shown["last_used"].is_string(), "{shown}");
    the_day_is_used_up(&node, &bot);
    assert!(!node.gaia_ok(&["ask", "Hi"]).is_empty());

    node.gaia_ok(&["key", "api", "revoke", "librarian"]);
    assert_eq!(chat(&node, &librarian, 5).status, 401);
    let metrics = http::get(&format!(
        "{}/metrics",
        node.state()["admin_url"].as_str().unwrap()
    ));
    let metrics = metrics.unwrap().text;
    assert!(
        metrics.contains("gaia_generation_tokens_total"),
        "{metrics}"
    );
    let refused = "gaia_ingress_refused_total{reason=\"invalid_api_key\"} 1\n";
    assert!(metrics.contains(refused), "{metrics}");
    assert_eq!(node.get("/metrics").status, 401);
}
