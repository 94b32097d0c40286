//! What is said to the server, and what it says.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

use gaia_mcp_server::{Call, Heard, Labels, Reply, hear};
use serde_json::{Value, json};

fn heard(labels: &Labels<'_>, message: &Value) -> (u16, Value) {
    match hear(labels, message.to_string().as_bytes()) {
        Heard::Reply(reply) => said(&reply),
        Heard::Call(call) => panic!("{call:?}"),
    }
}

fn said(reply: &Reply) -> (u16, Value) {
    let body = reply.body.as_deref();
    (
        reply.status,
        body.map_or(Value::Null, |body| serde_json::from_str(body).unwrap()),
    )
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// The call that a tool's arguments become, of the revision of 2025-11-25.
fn call(tool: &str, arguments: Value) -> Call {
    let message = request("tools/call", json!({"name": tool, "arguments": arguments}));
    match hear(&Labels::default(), message.to_string().as_bytes()) {
        Heard::Call(call) => call,
        Heard::Reply(reply) => panic!("{reply:?}"),
    }
}

fn error_code(message: &Value) -> (u16, i64) {
    let (status, answer) = heard(&Labels::default(), message);
    (status, answer["error"]["code"].as_i64().unwrap())
}

#[test]
fn a_handshake_agrees_on_a_revision() {
    let check = |wanted: Value, expected: &str| {
        let (status, answer) = heard(&Labels::default(), &request("initialize", wanted));
        let agreed = answer["result"]["protocolVersion"].as_str();
        assert_eq!((status, agreed), (200, Some(expected)));
        assert_eq!(answer["result"]["serverInfo"]["name"], "gaia");
        assert!(answer["result"]["capabilities"]["tools"].is_object());
    };
    check(json!({"protocolVersion": "2025-06-18"}), "2025-06-18");
    check(json!({"protocolVersion": "2024-11-05"}), "2024-11-05");
    check(json!({"protocolVersion": "2099-01-01"}), "2025-11-25");
    // It has no handshake, so one cannot agree on it.
    check(json!({"protocolVersion": "2026-07-28"}), "2025-11-25");
    check(json!({}), "2025-11-25");
}

#[test]
fn notifications_and_answers_are_taken_note_of() {
    for message in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
    ] {
        assert_eq!(
            heard(&Labels::default(), &message),
            (202, Value::Null),
            "{message}"
        );
    }
}

#[test]
fn the_tools_are_listed() {
    let (_, answer) = heard(&Labels::default(), &request("tools/list", json!({})));
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["ask", "search_knowledge"]);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object");
        let required = tool["inputSchema"]["required"][0].as_str().unwrap();
        assert!(tool["inputSchema"]["properties"][required].is_object());
    }
    assert_eq!(
        answer["result"].get("resultType"),
        None,
        "older clients are strict"
    );
    assert_eq!(
        error_code(&request("tools/list", json!({"cursor": "x"}))),
        (200, -32602)
    );
}

#[test]
fn a_question_becomes_a_request_and_an_answer() {
    let call = call("ask", json!({"question": "Tides?", "max_tokens": 9}));
    assert_eq!(call.path(), "/v1/chat/completions");
    let expected = json!({"messages": [{"role": "user", "content": "Tides?"}], "max_tokens": 9});
    assert_eq!(
        serde_json::from_str::<Value>(call.body()).unwrap(),
        expected
    );
    let citation = json!({"document": "sea.md", "text": "The moon."});
    let reply = json!({"choices": [{"message": {"content": "Twice.", "citations": [citation]}}]});
    let (status, answer) = said(&call.reply(200, reply.to_string().as_bytes()));
    assert_eq!((status, &answer["id"]), (200, &json!(7)));
    let result = &answer["result"];
    assert_eq!(
        result["content"],
        json!([{"type": "text", "text": "Twice."}])
    );
    assert_eq!(result["structuredContent"]["sources"], json!([citation]));
    assert_eq!(result["isError"], false);
}

#[test]
fn passages_are_found() {
    let call = call("search_knowledge", json!({"query": "tides"}));
    assert_eq!(
        (call.path(), call.body()),
        ("/v1/retrieve", "{\"query\":\"tides\"}")
    );
    let hits = json!({"hits": [
        {"document": "sea.md", "heading": ["Sea", "Tides"], "text": "Twice a day.", "score": 0.9},
        {"document": "", "heading": [], "text": "The moon."},
    ]});
    let (_, answer) = said(&call.reply(200, hits.to_string().as_bytes()));
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(
        text,
        "[1] sea.md > Sea > Tides\nTwice a day.\n\n[2] \nThe moon."
    );
    assert_eq!(
        answer["result"]["structuredContent"]["passages"][0]["score"],
        0.9
    );
    let (_, answer) = said(&call.reply(200, br#"{"hits": []}"#));
    let text = answer["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("Nothing"), "{text}");
}

#[test]
fn what_goes_wrong_is_told_to_the_model() {
    let check = |status: u16, body: &str, expected: &str| {
        let call = call("ask", json!({"question": "?"}));
        let (status, answer) = said(&call.reply(status, body.as_bytes()));
        let result = &answer["result"];
        assert_eq!((status, &result["isError"]), (200, &json!(true)));
        assert_eq!(result["content"][0]["text"], expected);
    };
    check(503, r#"{"error": {"message": "Loading."}}"#, "Loading.");
    check(502, "<html>", "the node answered with status 502");
    check(200, "{}", "the node's answer cannot be read");
    let wrong = |tool: &str, arguments: Value, expected: &str| {
        let message = request("tools/call", json!({"name": tool, "arguments": arguments}));
        let (status, answer) = heard(&Labels::default(), &message);
        let result = &answer["result"];
        assert_eq!(
            (status, &result["isError"]),
            (200, &json!(true)),
            "{answer}"
        );
        assert_eq!(result["content"][0]["text"], expected);
    };
    wrong("ask", json!({}), "argument `question` is missing");
    wrong("ask", json!({"question": " "}), "`question` is empty");
    wrong("ask", json!({"question": 1}), "`question` must be a string");
    wrong(
        "ask",
        json!({"question": "?", "model": "x"}),
        "there is no argument `model`",
    );
    wrong(
        "ask",
        json!({"question": "?", "max_tokens": 0}),
        "`max_tokens` must be a number above 0",
    );
    wrong(
        "ask",
        json!({"question": "?", "max_tokens": 1.5}),
        "`max_tokens` must be a number above 0",
    );
    let long = "x".repeat((64 << 10) + 1);
    wrong(
        "search_knowledge",
        json!({"query": long}),
        "`query` is longer than 65536 bytes",
    );
    call("search_knowledge", json!({"query": "x".repeat(64 << 10)}));
}

#[test]
fn what_is_no_message_is_refused() {
    let raw = |body: &[u8]| match hear(&Labels::default(), body) {
        Heard::Reply(reply) => {
            let (status, answer) = said(&reply);
            assert_eq!(answer["id"], Value::Null);
            (status, answer["error"]["code"].as_i64().unwrap())
        }
        Heard::Call(call) => panic!("{call:?}"),
    };
    assert_eq!(raw(b"{"), (400, -32700));
    assert_eq!(raw(b"\xff"), (400, -32700));
    assert_eq!(raw("[".repeat(100_000).as_bytes()), (400, -32700));
    for message in [
        json!([]),
        json!([request("ping", json!({}))]),
        json!("ping"),
        json!({"id": 1, "method": "ping"}),
        json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": 2}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": {}, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": "x".repeat(257), "method": "ping"}),
    ] {
        assert_eq!(
            raw(message.to_string().as_bytes()),
            (400, -32600),
            "{message}"
        );
    }
    assert_eq!(
        error_code(&request("resources/list", json!({}))),
        (200, -32601)
    );
    assert_eq!(error_code(&request("ping", json!([]))), (200, -32602));
    assert_eq!(
        error_code(&request("tools/call", json!({"name": "rm"}))),
        (200, -32602)
    );
    assert_eq!(error_code(&request("tools/call", json!({}))), (200, -32602));
    let arguments = json!({"name": "ask", "arguments": "?"});
    assert_eq!(error_code(&request("tools/call", arguments)), (200, -32602));
}

fn newest(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    request(method, params)
}

#[test]
fn the_revision_without_a_handshake_is_spoken() {
    let labels = Labels {
        revision: Some("2026-07-28"),
        method: Some("server/discover"),
        name: None,
    };
    let (status, answer) = heard(&labels, &newest("server/discover", json!({})));
    let result = &answer["result"];
    assert_eq!((status, &result["resultType"]), (200, &json!("complete")));
    assert_eq!(result["supportedVersions"][0], "2026-07-28");
    assert_eq!(
        result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"],
        "gaia"
    );
    let labels = Labels {
        method: None,
        ..labels
    };
    let (_, answer) = heard(&labels, &newest("tools/list", json!({})));
    assert_eq!(answer["result"]["cacheScope"], "private");
    let (status, answer) = heard(&labels, &newest("resources/list", json!({})));
    assert_eq!((status, &answer["error"]["code"]), (404, &json!(-32601)));
}

#[test]
fn labels_say_what_the_message_says() {
    let call = |name: &str| newest("tools/call", json!({"name": name, "arguments": {}}));
    let check = |labels: Labels<'_>, message: &Value, expected: Option<i64>| {
        let (status, answer) = heard(&labels, message);
        assert_eq!(answer["error"]["code"].as_i64(), expected, "{answer}");
        assert_eq!(status, if expected.is_some() { 400 } else { 200 });
    };
    let labels = Labels {
        revision: Some("2026-07-28"),
        method: Some("tools/call"),
        name: Some("ask"),
    };
    check(labels, &call("ask"), None);
    check(labels, &call("search_knowledge"), Some(-32020));
    check(
        Labels {
            method: Some("ping"),
            ..labels
        },
        &call("ask"),
        Some(-32020),
    );
    check(
        Labels {
            revision: Some("2025-11-25"),
            ..labels
        },
        &call("ask"),
        Some(-32020),
    );
    check(
        Labels {
            name: Some("=?base64?YXNr?="),
            ..labels
        },
        &call("ask"),
        None,
    );
    check(
        Labels {
            name: Some("=?base64?!?="),
            ..labels
        },
        &call("ask"),
        Some(-32020),
    );
    let old = Labels {
        revision: Some("2023-01-01"),
        ..Labels::default()
    };
    check(old, &request("ping", json!({})), Some(-32022));
    // Who shakes hands says in the message what he wants.
    check(
        old,
        &request("initialize", json!({"protocolVersion": "2023-01-01"})),
        None,
    );
}
