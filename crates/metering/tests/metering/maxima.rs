//! Every maximum is reached, said, and not exceeded.

use gaia_metering::{
    ANSWER_BYTES_MAX, BODY_BYTES_MAX, Beyond, CALLS_MAX, CHOICES_MAX, CITATIONS_MAX, DEPTH_MAX,
    EVENT_BYTES_MAX, Kind, Meter, PROMPTS_MAX,
};

use crate::{metered, stream};

#[track_caller]
fn check(kind: Kind, streamed: bool, within: &[u8], past: &[u8], expected: Beyond) {
    assert_eq!(metered(kind, streamed, within).beyond, None);
    let metered = metered(kind, streamed, past);
    assert_eq!(metered.beyond, Some(expected));
    assert!(metered.bytes() <= ANSWER_BYTES_MAX);
    assert!(metered.texts.len() <= CHOICES_MAX);
    assert!(metered.citations.unwrap_or_default().len() <= CITATIONS_MAX);
}

#[test]
fn an_event_that_is_too_long_ends_the_reading() {
    let line = |len: usize| format!("data: \"{}\"\n\n", "x".repeat(len - 8)).into_bytes();
    check(
        Kind::Chat,
        true,
        &line(EVENT_BYTES_MAX),
        &line(EVENT_BYTES_MAX + 1),
        Beyond::Event,
    );
    let lines = "data: 123456789\n".repeat(EVENT_BYTES_MAX / 10);
    check(
        Kind::Chat,
        true,
        lines.as_bytes(),
        format!("{lines}data: 1234567890\n").as_bytes(),
        Beyond::Event,
    );
    // All of it passes all the same.
    let mut meter = Meter::new(Kind::Chat, true).hiding_usage();
    let bytes = line(EVENT_BYTES_MAX * 2);
    let mut passed = Vec::new();
    for piece in bytes.chunks(100_000) {
        passed.extend_from_slice(&meter.pass(piece));
    }
    assert_eq!(passed, bytes);
}

#[test]
fn a_body_that_is_too_long_or_too_deep_is_not_read() {
    let text = |len: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(len - 8)).into_bytes();
    check(
        Kind::Chat,
        false,
        &text(BODY_BYTES_MAX),
        &text(BODY_BYTES_MAX + 1),
        Beyond::Body,
    );
    let deep =
        |levels: usize| ["{\"x\":".repeat(levels), "0".to_owned(), "}".repeat(levels)].concat();
    check(
        Kind::Chat,
        false,
        deep(DEPTH_MAX).as_bytes(),
        deep(DEPTH_MAX + 1).as_bytes(),
        Beyond::Depth,
    );
}

#[test]
fn an_answer_that_is_too_long_is_kept_as_far_as_it_fits() {
    let piece = format!(
        r#"{{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}"#,
        "x".repeat(1 << 20)
    );
    let three = stream(&[&piece, &piece, &piece]);
    let five = stream(&[&piece, &piece, &piece, &piece, &piece]);
    check(Kind::Chat, true, &three, &five, Beyond::Answer);
}

#[test]
fn more_choices_calls_citations_and_prompts_than_a_node_gives_are_not_kept() {
    let list = |count: usize, row: &dyn Fn(usize) -> String| {
        (0..count).map(row).collect::<Vec<_>>().join(",")
    };
    let choices = |count| {
        let rows = list(count, &|index| {
            format!(r#"{{"index":{},"text":"x"}}"#, count - index)
        });
        stream(&[&format!(r#"{{"choices":[{rows}]}}"#)])
    };
    check(
        Kind::Completion,
        true,
        &choices(CHOICES_MAX),
        &choices(CHOICES_MAX + 1),
        Beyond::Choices,
    );
    let calls = |count| {
        let rows = list(count, &|_| {
            r#"{"function":{"name":"f","arguments":"{}"}}"#.to_owned()
        });
        format!(r#"{{"choices":[{{"index":0,"message":{{"tool_calls":[{rows}]}}}}]}}"#).into_bytes()
    };
    check(
        Kind::Chat,
        false,
        &calls(CALLS_MAX),
        &calls(CALLS_MAX + 1),
        Beyond::Calls,
    );
    let items = |kind: &str, count| {
        let rows = list(count, &|_| {
            format!(r#"{{"type":"{kind}","name":"f","arguments":"{{}}"}}"#)
        });
        format!(r#"{{"status":"completed","output":[{rows}]}}"#).into_bytes()
    };
    for kind in ["function_call", "mcp_call"] {
        check(
            Kind::Responses,
            false,
            &items(kind, CALLS_MAX),
            &items(kind, CALLS_MAX + 1),
            Beyond::Calls,
        );
    }
    let citations = |count| {
        let rows = list(count, &|_| r#"{"text":"t","document":"d"}"#.to_owned());
        format!(r#"{{"choices":[{{"index":0,"message":{{"citations":[{rows}]}}}}]}}"#).into_bytes()
    };
    check(
        Kind::Chat,
        false,
        &citations(CITATIONS_MAX),
        &citations(CITATIONS_MAX + 1),
        Beyond::Citations,
    );
    let prompts = |count| {
        format!(
            r#"{{"prompts":[{}]}}"#,
            list(count, &|_| "\"p\"".to_owned())
        )
        .into_bytes()
    };
    check(
        Kind::Chat,
        false,
        &prompts(PROMPTS_MAX),
        &prompts(PROMPTS_MAX + 1),
        Beyond::Prompts,
    );
}
