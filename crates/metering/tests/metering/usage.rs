//! The chunk of usage: asked for by the gateway, and kept from who did not.

use gaia_metering::{Kind, Meter, ask_for_usage};
use serde_json::Value;

use crate::{chat, stream};

#[track_caller]
fn check(body: &str, expected: Option<&str>) {
    let asked = ask_for_usage(Kind::Chat, body.as_bytes());
    assert_eq!(
        asked
            .as_deref()
            .map(|bytes| std::str::from_utf8(bytes).unwrap()),
        expected
    );
    if let Some(asked) = asked {
        let value: Value = serde_json::from_slice(&asked).unwrap();
        assert_eq!(value["stream_options"]["include_usage"], true);
    }
}

#[test]
fn a_stream_is_asked_for_usage_and_nothing_else_changes() {
    check(
        r#" {"z":{"b":1,"a":{"stream_options":3}},"stream":true}"#,
        Some(
            r#" {"stream_options":{"include_usage":true},"z":{"b":1,"a":{"stream_options":3}},"stream":true}"#,
        ),
    );
    check(
        r#"{"stream":true,"stream_options" : {"a":[1,"}"],"include_usage":false} ,"z":"\"stream_options\":{}"}"#,
        Some(
            r#"{"stream":true,"stream_options" : {"a":[1,"}"],"include_usage":true} ,"z":"\"stream_options\":{}"}"#,
        ),
    );
    check(
        r#"{"stream":true,"stream\u005foptions":{}}"#,
        Some(r#"{"stream":true,"stream\u005foptions":{"include_usage":true}}"#),
    );
    check(
        r#"{"stream_options":null,"stream":true}"#,
        Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
    );
}

#[test]
fn what_does_not_stream_or_asks_by_itself_stays_as_it_is() {
    for body in [
        r#"{"messages":[]}"#,
        r#"{"stream":false}"#,
        r#"{"stream":"true"}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"stream":true,"stream_options":{"include_usage":"x"}}"#,
        r#"{"stream":true,"stream_options":7}"#,
        "[]",
        "{",
        "",
    ] {
        check(body, None);
    }
    assert_eq!(ask_for_usage(Kind::Responses, br#"{"stream":true}"#), None);
    assert_eq!(ask_for_usage(Kind::Embeddings, br#"{"stream":true}"#), None);
}

#[test]
fn the_chunk_of_usage_is_read_and_not_shown() {
    let bytes = chat();
    let text = std::str::from_utf8(&bytes).unwrap();
    let start = text
        .find("data: {\"id\":\"c\",\"created\":17,\"model\":\"m\",\"choices\":[]")
        .unwrap();
    let end = text.find("data: [DONE]").unwrap();
    let expected = [&bytes[..start], &bytes[end..]].concat();
    let mut meter = Meter::new(Kind::Chat, true).hiding_usage();
    let shown = meter.pass(&bytes).into_owned();
    assert_eq!(shown, expected);
    assert!(meter.rest().is_empty());
    assert_eq!(meter.finish().claimed.unwrap().0.output, 12);
}

#[test]
fn pieces_of_whole_events_pass_without_a_copy() {
    let mut meter = Meter::new(Kind::Chat, true).hiding_usage();
    let piece = stream(&[r#"{"choices":[{"index":0,"delta":{"content":"a"}}],"usage":null}"#]);
    assert!(matches!(meter.pass(&piece), std::borrow::Cow::Borrowed(_)));
    // Half an event waits.
    assert!(meter.pass(&piece[..10]).is_empty());
    assert_eq!(*meter.pass(&piece[10..]), piece);
    assert!(meter.pass(&piece[..10]).is_empty());
    assert_eq!(meter.rest(), &piece[..10]);
}
