//! Replies and chunks, byte for byte.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

use gaia_openai::chat::{Answered, CallDelta, ChatChoice, ChunkHead, ToolCall};
use gaia_openai::{ChatChunk, ChatReply, Citation, FinishReason, ServiceTier, Usage};
use serde_json::json;

fn head() -> ChunkHead {
    ChunkHead {
        id: "chatcmpl-1".to_owned(),
        created: 7,
        model: "m".to_owned(),
        ..ChunkHead::default()
    }
}

fn citation() -> Citation {
    Citation {
        document: "d".to_owned(),
        chunk: 0,
        heading: vec!["H".to_owned()],
        score: Some(0.5),
        start: 1,
        end: 2,
        text: "t".to_owned(),
    }
}

#[track_caller]
fn check(chunk: &ChatChunk, expected: &str) {
    let json = serde_json::to_string(chunk).unwrap();
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<ChatChunk>(&json).unwrap(), *chunk);
}

const COMMON: &str = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":null,"choices":["#;

#[test]
fn a_stream() {
    let head = head();
    let choice = |delta: &str, reason: &str| {
        format!(
            r#"{COMMON}{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{reason}}}]}}"#
        )
    };
    check(
        &head.first(0),
        &choice(r#"{"role":"assistant","content":""}"#, "null"),
    );
    check(
        &head.text(0, "Hi".to_owned(), None),
        &choice(r#"{"content":"Hi"}"#, "null"),
    );
    check(
        &head.finish(0, FinishReason::Length),
        &choice("{}", r#""length""#),
    );
}

#[test]
fn usage_is_null_until_the_last_chunk() {
    let head = ChunkHead {
        include_usage: true,
        ..head()
    };
    let chunk = serde_json::to_string(&head.finish(0, FinishReason::Stop)).unwrap();
    assert!(chunk.ends_with(r#""usage":null}"#), "{chunk}");
    check(
        &head.usage(Usage::new(5, 2, 9)),
        &format!(
            r#"{COMMON}],"usage":{{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{{"cached_tokens":5}}}}}}"#
        ),
    );
}

#[test]
fn citations_and_warning_come_first_and_once() {
    let head = ChunkHead {
        citations: Some(vec![citation()]),
        warning: Some("w".to_owned()),
        ..head()
    };
    let first = serde_json::to_value(head.first(0)).unwrap();
    assert_eq!(first["choices"][0]["delta"]["citations"][0]["text"], "t");
    assert_eq!(first["warning"], "w");
    let next = serde_json::to_string(&head.text(1, "x".to_owned(), None)).unwrap();
    assert!(
        !next.contains("citations") && !next.contains("warning"),
        "{next}"
    );
}

#[test]
fn a_whole_reply() {
    let head = ChunkHead {
        citations: Some(Vec::new()),
        ..head()
    };
    let answered = Answered {
        text: "Hi".to_owned(),
        ..Answered::default()
    };
    let choice = ChatChoice::new(&head, 0, answered, None, FinishReason::Stop);
    let reply = ChatReply::new(&head, vec![choice], Usage::new(1, 1, 0));
    let json = serde_json::to_string(&reply).unwrap();
    assert_eq!(
        json,
        r#"{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi","refusal":null,"citations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"prompt_tokens_details":{"cached_tokens":0}},"system_fingerprint":null}"#
    );
    assert_eq!(serde_json::from_str::<ChatReply>(&json).unwrap(), reply);
}

#[test]
fn a_streamed_call() {
    let head = ChunkHead {
        may_call: true,
        ..head()
    };
    let delta =
        |chunk: ChatChunk| serde_json::to_value(chunk).unwrap()["choices"][0]["delta"].clone();
    assert_eq!(
        delta(head.first(0)),
        json!({"role": "assistant", "content": null})
    );
    assert_eq!(
        delta(head.reasoning(0, "Hm".to_owned())),
        json!({"reasoning_content": "Hm"})
    );
    let begins = CallDelta::begins(0, "call_1".to_owned(), "f".to_owned());
    assert_eq!(
        delta(head.call(0, begins)),
        json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]})
    );
    assert_eq!(
        delta(head.call(0, CallDelta::arguments(0, "{".to_owned()))),
        json!({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]})
    );
    let first = head.first(0);
    let json = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<ChatChunk>(&json).unwrap(), first);
}

#[test]
fn a_reply_with_calls() {
    let message = |text: &str| {
        let answered = Answered {
            text: text.to_owned(),
            reasoning: "Hm".to_owned(),
            calls: vec![ToolCall {
                id: "call_1".to_owned(),
                name: "f".to_owned(),
                arguments: "{}".to_owned(),
            }],
        };
        let choice = ChatChoice::new(&head(), 0, answered, None, FinishReason::ToolCalls);
        assert_eq!(
            serde_json::to_value(&choice).unwrap()["finish_reason"],
            "tool_calls"
        );
        serde_json::to_value(choice.message).unwrap()
    };
    assert_eq!(
        message(""),
        json!({"role": "assistant", "content": null, "refusal": null, "reasoning_content": "Hm", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]})
    );
    assert_eq!(message("Let me see.")["content"], "Let me see.");
}

#[test]
fn the_tier_is_on_every_chunk_and_on_the_reply() {
    let head = ChunkHead {
        service_tier: Some(ServiceTier::Flex),
        ..head()
    };
    let reply = ChatReply::new(&head, Vec::new(), Usage::new(1, 1, 0));
    let all = [
        serde_json::to_value(head.first(0)).unwrap(),
        serde_json::to_value(head.text(0, "x".to_owned(), None)).unwrap(),
        serde_json::to_value(head.finish(0, FinishReason::Stop)).unwrap(),
        serde_json::to_value(head.usage(Usage::new(1, 1, 0))).unwrap(),
        serde_json::to_value(reply).unwrap(),
    ];
    assert!(all.iter().all(|it| it["service_tier"] == "flex"), "{all:?}");
}
