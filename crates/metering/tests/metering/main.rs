//! What answers say as they pass, and what requests can cost, through the crate's public face.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ceilings;
mod cuts;
mod maxima;
mod streams;
mod usage;
mod wholes;

use gaia_metering::{Kind, Meter, Metered};

/// What an answer in one piece says.
fn metered(kind: Kind, streamed: bool, bytes: &[u8]) -> Metered {
    let mut meter = Meter::new(kind, streamed);
    meter.eat(bytes);
    meter.finish()
}

/// A stream of these events.
fn stream(events: &[&str]) -> Vec<u8> {
    let events = events.iter().map(|event| format!("data: {event}\n\n"));
    events.collect::<String>().into_bytes()
}

/// A stream of chat as our nodes send it.
fn chat() -> Vec<u8> {
    stream(&[
        r#"{"id":"c","object":"chat.completion.chunk","created":17,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"citations":[{"document":"d.md","chunk":2,"heading":["H"],"score":0.5,"start":7,"end":9,"text":"a passage"},{"document":"https://x","chunk":0,"heading":[],"start":0,"end":0,"text":"[1] given"}]},"logprobs":null,"finish_reason":null}],"usage":null,"warning":"w","prompts":["p@1"]}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{"reasoning_content":"Hm."},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{"content":"a\n\u00e9 😀"},"logprobs":{"content":[{"token":"a","logprob":-1.0,"bytes":[97],"top_logprobs":[]}]},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":null}],"gaia_tool":{"name":"clock","arguments":"{}","status":"completed","ms":3,"bytes":9},"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\": "}}]},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]},"finish_reason":null}],"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls","warning":"cut"}],"usage":null}"#,
        r#"{"id":"c","created":17,"model":"m","choices":[],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":10}}}"#,
        "[DONE]",
    ])
}

/// A streamed response as our nodes send it.
fn response() -> Vec<u8> {
    let events = [
        (
            "response.created",
            r#""response":{"id":"resp_1","created_at":17,"status":"in_progress","error":null,"model":"m","output":[],"usage":null,"citations":[{"document":"d","chunk":0,"score":1.0,"start":0,"end":1,"text":"t"}]}"#,
        ),
        (
            "response.output_item.added",
            r#""output_index":0,"item":{"type":"reasoning","id":"r","status":"in_progress","summary":[],"content":[]}"#,
        ),
        (
            "response.reasoning_text.delta",
            r#""item_id":"r","output_index":0,"content_index":0,"delta":"Hm.""#,
        ),
        (
            "response.output_item.done",
            r#""output_index":0,"item":{"type":"reasoning","id":"r","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]}"#,
        ),
        (
            "response.output_item.added",
            r#""output_index":1,"item":{"type":"mcp_call","id":"x","status":"in_progress","server_label":"node","name":"clock","arguments":"{}","output":null,"error":null,"ms":0,"bytes":0}"#,
        ),
        (
            "response.output_item.done",
            r#""output_index":1,"item":{"type":"mcp_call","id":"x","status":"completed","server_label":"node","name":"clock","arguments":"{}","output":null,"error":null,"ms":0,"bytes":0}"#,
        ),
        (
            "response.output_text.delta",
            r#""item_id":"o","output_index":2,"content_index":0,"delta":"Hel","logprobs":[]"#,
        ),
        (
            "response.output_text.delta",
            r#""item_id":"o","output_index":2,"content_index":0,"delta":"lo","logprobs":[]"#,
        ),
        (
            "response.output_text.done",
            r#""item_id":"o","output_index":2,"content_index":0,"text":"Hello","logprobs":[]"#,
        ),
        (
            "response.output_item.added",
            r#""output_index":3,"item":{"type":"function_call","id":"f","status":"in_progress","call_id":"c","name":"f","arguments":""}"#,
        ),
        (
            "response.function_call_arguments.delta",
            r#""item_id":"f","output_index":3,"delta":"{\"a\":1}""#,
        ),
        (
            "response.function_call_arguments.done",
            r#""item_id":"f","output_index":3,"name":"f","arguments":"{\"a\":1}""#,
        ),
        (
            "response.output_item.done",
            r#""output_index":3,"item":{"type":"function_call","id":"f","status":"completed","call_id":"c","name":"f","arguments":"{\"a\":1}"}"#,
        ),
        (
            "response.completed",
            r#""response":{"id":"resp_1","created_at":17,"status":"completed","error":null,"model":"m","output":[{"type":"message","content":[{"type":"output_text","text":"Hello"}]}],"usage":{"input_tokens":30,"input_tokens_details":{"cached_tokens":10},"output_tokens":12,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":42},"prompts":["p@1"]}"#,
        ),
    ];
    let events = events.iter().enumerate();
    let events = events.map(|(number, (kind, body))| {
        format!(
            "event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{number},{body}}}\n\n"
        )
    });
    events.collect::<String>().into_bytes()
}
