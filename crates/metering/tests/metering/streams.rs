//! Answers that come as events.

use gaia_metering::{Call, Cited, Kind, Meter, Metered, Written};
use gaia_statements::{Claimed, TokenCounts};

use crate::{chat, metered, response, stream};

fn claimed(input: u64, cached: u64, output: u64) -> Option<Claimed> {
    Some(Claimed(TokenCounts {
        input,
        cached,
        output,
    }))
}

fn call(name: &str, arguments: &str) -> Call {
    Call {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

#[test]
fn a_stream_of_chat_says_what_was_written_cited_and_claimed() {
    let cited = |text: &str, document: &str, chunk, start, is_given| Cited {
        text: text.to_owned(),
        document: document.to_owned(),
        chunk,
        start,
        is_given,
    };
    let expected = Metered {
        texts: vec![Written {
            index: 0,
            text: "a\né 😀".to_owned(),
            reasoning: "Hm.".to_owned(),
            calls: vec![call("f", "{\"a\": 1}")],
            ended: Some("tool_calls".to_owned()),
            is_mended: true,
        }],
        claimed: claimed(20, 10, 12),
        citations: Some(vec![
            cited("a passage", "d.md", 2, 7, false),
            cited("[1] given", "https://x", 0, 0, true),
        ]),
        prompts: vec!["p@1".to_owned()],
        own_calls: vec![call("clock", "{}")],
        created: Some(17),
        model: Some("m".to_owned()),
        is_complete: true,
        has_begun: true,
        ..Metered::default()
    };
    assert_eq!(metered(Kind::Chat, true, &chat()), expected);
}

#[test]
fn a_streamed_response_says_the_same() {
    let metered = metered(Kind::Responses, true, &response());
    let written = &metered.texts[0];
    assert_eq!(
        (written.text.as_str(), written.reasoning.as_str()),
        ("Hello", "Hm.")
    );
    assert_eq!(written.calls, [call("f", "{\"a\":1}")]);
    assert_eq!(metered.own_calls, [call("clock", "{}")]);
    assert_eq!(written.ended.as_deref(), Some("completed"));
    assert_eq!(metered.claimed, claimed(20, 10, 12));
    assert_eq!(metered.citations.as_ref().unwrap()[0].text, "t");
    assert_eq!(
        (metered.prompts.as_slice(), metered.created),
        (&["p@1".to_owned()][..], Some(17))
    );
    assert!(metered.is_complete && metered.error.is_none() && metered.unread == 0);
}

#[test]
fn a_stream_that_breaks_off_is_not_complete() {
    for (kind, whole) in [(Kind::Chat, chat()), (Kind::Responses, response())] {
        let text = String::from_utf8(whole.clone()).unwrap();
        let end = match kind {
            Kind::Chat => text.find("\"tool_calls\",\"warning\"").unwrap(),
            _ => text.find("event: response.completed").unwrap(),
        };
        let metered = metered(kind, true, &whole[..end]);
        assert!(!metered.is_complete && metered.claimed.is_none());
        assert_eq!(metered.texts[0].calls.len(), 1);
    }
}

#[test]
fn completions_have_a_text_for_each_choice_in_their_order() {
    let metered = metered(
        Kind::Completion,
        true,
        &stream(&[
            r#"{"choices":[{"index":3,"text":"d","logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":1,"text":"b","finish_reason":null}]}"#,
            r#"{"choices":[{"index":3,"text":"D","finish_reason":"length"}]}"#,
            r#"{"choices":[{"index":1,"text":"","finish_reason":"stop"}]}"#,
            "[DONE]",
        ]),
    );
    let texts: Vec<_> = metered
        .texts
        .iter()
        .map(|text| (text.index, text.text.as_str()))
        .collect();
    assert_eq!(texts, [(1, "b"), (3, "dD")]);
    assert!(metered.is_complete);
    assert_eq!(metered.bytes(), 3);
}

#[test]
fn an_answer_begins_with_its_first_word_thought_or_call() {
    let check = |event: &str, begun: bool| {
        let mut meter = Meter::new(Kind::Chat, true);
        meter.eat(b": keep-alive\n\n");
        meter.eat(&stream(&[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
        ]));
        assert!(!meter.has_begun());
        meter.eat(&stream(&[event]));
        assert_eq!(meter.has_begun(), begun, "{event}");
    };
    check(r#"{"choices":[{"index":0,"delta":{"content":" "}}]}"#, true);
    check(
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"a"}}]}"#,
        true,
    );
    check(
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}}]}"#,
        true,
    );
    check(
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        false,
    );
    check(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, false);
    let mut whole = Meter::new(Kind::Chat, false);
    whole.eat(b"{");
    assert!(whole.has_begun());
}

#[test]
fn an_error_in_the_middle_is_told_and_the_answer_is_not_whole() {
    let begun = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let check = |kind: Kind, error: &str, told: &str| {
        let metered = metered(kind, true, &stream(&[begun, error, "[DONE]"]));
        assert_eq!(metered.error.as_deref(), Some(told));
        assert!(!metered.is_complete);
    };
    check(
        Kind::Chat,
        r#"{"error":{"message":"The engine failed.","type":"server_error","param":null,"code":null}}"#,
        "The engine failed.",
    );
    check(Kind::Chat, r#"{"error":"gone"}"#, "gone");
    check(
        Kind::Chat,
        r#"{"error":{"code":3}}"#,
        "an error without words",
    );
    check(
        Kind::Responses,
        r#"{"type":"error","message":"gone"}"#,
        "gone",
    );
    check(
        Kind::Responses,
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"gone"}}}"#,
        "gone",
    );
}

#[test]
fn what_cannot_be_read_is_counted_and_skipped() {
    let bytes = stream(&[
        "{",
        r#"{"choices":[{"index":-1}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
    ]);
    let metered = metered(Kind::Chat, true, &bytes);
    assert_eq!((metered.unread, metered.texts[0].text.as_str()), (2, "a"));
}

#[test]
fn lines_end_in_either_way_and_data_goes_on_in_the_next() {
    let event = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let (first, second) = event.split_at(event.find("\"delta\"").unwrap());
    for bytes in [
        format!("data: {event}\r\n\r\n"),
        format!("data:{event}\n\n"),
        format!(": hi\nevent: x\nid: 1\ndata: {event}\nretry: 3\n\n"),
        format!("data: {first}\r\ndata: {second}\n\r\n"),
    ] {
        let metered = metered(Kind::Chat, true, bytes.as_bytes());
        assert_eq!(metered.bytes(), 1, "{bytes}");
        assert!(metered.is_complete);
    }
    let unended = metered(Kind::Chat, true, format!("data: {event}\n").as_bytes());
    assert!(unended.texts.is_empty());
}
