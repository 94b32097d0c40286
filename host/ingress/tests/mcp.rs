//! `/mcp` over real sockets: who may, what the worker gets, what it costs.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

#[path = "support/keyed.rs"]
mod keyed;
mod support;

use gaia_ingress::keys::{NamedKey, Scope};
use keyed::{Node, check, named, send_to, text};
use serde_json::{Value, json};
use support::{Reply, header, rest};

async fn say(node: &Node, number: u8, message: &Value) -> (u16, Value) {
    let reply = node
        .ask("POST /mcp", &text(number), &message.to_string())
        .await;
    let body = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
    (reply.status, body)
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments}})
}

/// The text of a tool's answer, and whether it says that it failed.
fn told(answer: &Value) -> (String, bool) {
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    (text.to_owned(), result["isError"] == true)
}

#[tokio::test]
async fn a_tool_is_one_request_to_the_worker() {
    let node = Node::start(&[named(1)]).await;
    let said = json!({"choices": [{"message": {"content": "Twice a day."}}]});
    *node.upstream.says.lock().unwrap() = Some(said.to_string());
    let (status, answer) = say(&node, 1, &call("ask", json!({"question": "Tides?"}))).await;
    assert_eq!(
        (status, told(&answer)),
        (200, ("Twice a day.".to_owned(), false))
    );
    let seen = node.upstream.seen.lock().unwrap().clone();
    let [request] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert!(
        request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{request}"
    );
    assert_eq!(
        header(request, "authorization"),
        Some("Bearer the worker's key")
    );
    assert_eq!(header(request, "content-type"), Some("application/json"));
    assert!(!request.contains(&text(1)), "the client's key stays here");
    assert!(
        header(request, "x-gaia-key-id").is_some() && header(request, "x-request-id").is_some()
    );
    assert!(
        request.ends_with("\r\n\r\n{\"messages\":[{\"role\":\"user\",\"content\":\"Tides?\"}]}")
    );
}

#[tokio::test]
async fn what_needs_no_model_is_answered_here() {
    let node = Node::start(&[named(1)]).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let (status, answer) = say(&node, 1, &list).await;
    assert_eq!(
        (status, &answer["result"]["tools"][0]["name"]),
        (200, &json!("ask"))
    );
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(say(&node, 1, &initialized).await, (202, Value::Null));
    let (status, answer) = say(&node, 1, &json!("no message")).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32600)));
    for line in ["GET /mcp", "DELETE /mcp"] {
        let reply = node.ask(line, &text(1), "").await;
        assert_eq!(
            (reply.status, header(&reply.head, "allow")),
            (405, Some("POST"))
        );
    }
    assert!(node.upstream.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn it_asks_for_a_key_with_inference() {
    let librarian = NamedKey {
        scopes: vec![Scope::Knowledge],
        ..named(2)
    };
    let node = Node::start(&[named(1), librarian]).await;
    let message = call("search_knowledge", json!({"query": "tides"})).to_string();
    check(
        &node.ask("POST /mcp", &text(2), &message).await,
        403,
        "insufficient_scope",
    );
    check(
        &node.ask("POST /mcp", &text(3), &message).await,
        401,
        "invalid_api_key",
    );
    let authorization = format!(
        "authorization: Bearer {}\r\norigin: https://evil.example",
        text(1)
    );
    let stream = send_to(node.address, "POST /mcp", &authorization, &message).await;
    let Reply { status, .. } = rest(stream).await;
    assert_eq!(status, 403, "a page of somebody else's");
    assert!(node.upstream.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_costs_what_it_costs_elsewhere() {
    let small = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[small]).await;
    let said = json!({"choices": [{"message": {"content": "Yes."}}]});
    *node.upstream.says.lock().unwrap() = Some(said.to_string());
    node.upstream.notes(12);
    let ask = |tokens: u64| call("ask", json!({"question": "?", "max_tokens": tokens}));
    let (_, answer) = say(&node, 1, &ask(10)).await;
    assert_eq!(told(&answer), ("Yes.".to_owned(), false));
    node.until_used(1, 12).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(say(&node, 1, &list).await.0, 200);
    let (status, answer) = say(&node, 1, &ask(2000)).await;
    let (words, failed) = told(&answer);
    assert!(status == 200 && failed, "{answer}");
    assert!(
        words.contains("988"),
        "what is left, in words for the model: {words}"
    );
}

#[tokio::test]
async fn a_worker_that_fails_is_told_as_a_tool_that_does() {
    let node = Node::start(&[named(1)]).await;
    let (status, answer) = say(&node, 1, &call("ask", json!({"question": "?"}))).await;
    let unreadable = "the node's answer cannot be read".to_owned();
    assert_eq!((status, told(&answer)), (200, (unreadable, true)));
    node.worker.send_replace(None);
    let (status, answer) = say(&node, 1, &call("ask", json!({"question": "?"}))).await;
    let starting = "The node is waiting for its worker.".to_owned();
    assert_eq!((status, told(&answer)), (200, (starting, true)));
}
