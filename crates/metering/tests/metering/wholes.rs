//! Answers in one piece of JSON.

use gaia_metering::{Kind, Metered};

use crate::metered;

#[track_caller]
fn check(kind: Kind, body: &str, claimed: Option<(u64, u64, u64)>, texts: &[&str]) -> Metered {
    let metered = metered(kind, false, body.as_bytes());
    let counts = metered
        .claimed
        .map(|claimed| (claimed.0.input, claimed.0.cached, claimed.0.output));
    assert_eq!(counts, claimed);
    let said: Vec<_> = metered
        .texts
        .iter()
        .map(|text| text.text.as_str())
        .collect();
    assert_eq!(said, texts);
    assert!(metered.is_complete, "{metered:?}");
    metered
}

#[test]
fn a_chat_has_its_choices_calls_and_citations() {
    let metered = check(
        Kind::Chat,
        r#"{"id":"c","created":5,"model":"m","choices":[
            {"index":0,"message":{"role":"assistant","content":"x","refusal":null,"reasoning_content":"r","citations":[]},"logprobs":{"content":[{"token":"]}\"","top_logprobs":[]}]},"finish_reason":"stop"},
            {"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"2","type":"function","function":{"name":"g","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],
            "usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6,"prompt_tokens_details":{"cached_tokens":9}},"gaia_tools":[{"name":"clock","arguments":"{}"}],"prompts":["a@1","b@2"]}"#,
        // More cached than there was is not believed.
        Some((0, 4, 2)),
        &["x", ""],
    );
    assert_eq!(metered.texts[0].reasoning, "r");
    assert_eq!(metered.texts[1].calls[1].name, "g");
    assert_eq!(metered.citations, Some(Vec::new()));
    assert_eq!((metered.own_calls.len(), metered.prompts.len()), (1, 2));
}

#[test]
fn a_response_has_its_items() {
    let metered = check(
        Kind::Responses,
        r#"{"id":"r","object":"response","created_at":3,"status":"incomplete","error":null,"model":"m","output":[
            {"type":"reasoning","content":[{"type":"reasoning_text","text":"r"}]},
            {"type":"mcp_call","name":"clock","arguments":"{}"},
            {"type":"message","content":[{"type":"output_text","text":"a","logprobs":[{"token":"a"}]},{"type":"output_text","text":"b"}]},
            {"type":"function_call","name":"f","arguments":"{}"}],
            "usage":{"input_tokens":7,"input_tokens_details":{"cached_tokens":3},"output_tokens":2,"total_tokens":9},"tools":[{"type":"function","name":"f"}],"metadata":{}}"#,
        Some((4, 3, 2)),
        &["ab"],
    );
    assert_eq!(metered.texts[0].reasoning, "r");
    assert_eq!(
        (metered.texts[0].calls.len(), metered.own_calls.len()),
        (1, 1)
    );
    assert_eq!(metered.texts[0].ended.as_deref(), Some("incomplete"));
}

#[test]
fn vectors_and_scores_are_skipped_and_their_usage_is_read() {
    check(
        Kind::Embeddings,
        r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]},{"embedding":"}]\"{"}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#,
        Some((7, 0, 0)),
        &[],
    );
    check(
        Kind::Rerank,
        r#"{"model":"m","object":"list","results" : [{"index":0,"relevance_score":0.5,"document":{"text":"x"}}] ,"usage":{"total_tokens":8}}"#,
        Some((8, 0, 0)),
        &[],
    );
    check(Kind::Rerank, r#"[{"index":0,"score":0.5}]"#, None, &[]);
}

#[test]
fn what_is_skipped_does_not_count_against_the_maximum() {
    let vector = "0.123456789,".repeat(1 << 20);
    let body = format!(r#"{{"data":[{{"embedding":[{vector}1]}}],"usage":{{"prompt_tokens":7}}}}"#);
    assert!(body.len() > gaia_metering::BODY_BYTES_MAX);
    check(Kind::Embeddings, &body, Some((7, 0, 0)), &[]);
}

#[test]
fn half_a_reply_and_an_error_are_not_complete() {
    let whole = r#"{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let half = metered(Kind::Chat, false, &whole.as_bytes()[..whole.len() - 1]);
    assert!(!half.is_complete && half.unread == 1);
    for kind in [Kind::Chat, Kind::Embeddings, Kind::Rerank] {
        let failed = metered(
            kind,
            false,
            br#"{"error":{"message":"no","type":"x","param":null,"code":null}}"#,
        );
        assert!(!failed.is_complete);
        assert_eq!(failed.error.as_deref(), Some("no"));
    }
    let running = metered(
        Kind::Responses,
        false,
        br#"{"status":"queued","output":[]}"#,
    );
    assert!(!running.is_complete);
    assert!(!metered(Kind::Chat, false, b"").is_complete);
}
