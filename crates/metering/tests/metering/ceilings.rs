//! What is set aside is never less than what an answer can take.

use gaia_ledger::price::TokenCeiling;
use gaia_metering::{CeilingError, Kind, ModelLimits, ceiling, hold};
use gaia_statements::{Counted, TokenCounts};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One token a byte, nothing else.
fn bare() -> ModelLimits {
    ModelLimits {
        context_tokens: 10_000,
        output_tokens_max: 10_000,
        choices_max: 8,
        template_tokens: 0,
        message_tokens: 0,
        node_tokens: 0,
        image_tokens: 0,
        byte_tokens: 1,
        own_rounds_max: 0,
    }
}

#[track_caller]
fn check(kind: Kind, body: Value, limits: &ModelLimits, prompt: u64, output: u64) {
    let expected = TokenCeiling { prompt, output };
    assert_eq!(ceiling(kind, &body, limits), Ok(expected), "{body}");
}

fn asked(text: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "", "content": text}]})
}

#[test]
fn a_conversation_has_a_token_a_byte_at_most() {
    check(Kind::Chat, asked("hello"), &bare(), 5, 10_000);
    check(Kind::Chat, asked("é<b>[1]"), &bare(), 10, 10_000);
    let limits = ModelLimits {
        template_tokens: 100,
        node_tokens: 1_000,
        message_tokens: 20,
        byte_tokens: 3,
        ..bare()
    };
    check(Kind::Chat, asked("hello"), &limits, 1_135, 10_000);
    let parts = json!({"messages": [{"content": [{"type": "", "text": "abc"}, {"type": "", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]});
    check(
        Kind::Chat,
        parts,
        &ModelLimits {
            image_tokens: 500,
            ..bare()
        },
        583,
        10_000,
    );
    check(
        Kind::Responses,
        json!({"input": "abc", "instructions": "de"}),
        &bare(),
        5,
        10_000,
    );
}

#[test]
fn the_context_bounds_both() {
    check(
        Kind::Chat,
        asked(&"x".repeat(20_000)),
        &bare(),
        10_000,
        10_000,
    );
    check(
        Kind::Responses,
        json!({"input": "a", "previous_response_id": "resp_1"}),
        &bare(),
        10_000,
        10_000,
    );
    check(
        Kind::Chat,
        asked("a"),
        &ModelLimits {
            own_rounds_max: 4,
            ..bare()
        },
        40_001,
        10_000,
    );
}

#[test]
fn an_answer_is_as_long_as_is_asked_for() {
    let with = |more: Value| {
        let mut body = asked("a");
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    check(Kind::Chat, with(json!({"max_tokens": 7})), &bare(), 1, 7);
    check(
        Kind::Chat,
        with(json!({"max_tokens": 7.0, "max_completion_tokens": 9})),
        &bare(),
        1,
        9,
    );
    check(Kind::Chat, with(json!({"max_tokens": 0})), &bare(), 1, 1);
    check(
        Kind::Chat,
        with(json!({"max_tokens": 1_000_000})),
        &bare(),
        1,
        10_000,
    );
    check(
        Kind::Chat,
        with(json!({"max_tokens": 7, "n": 3})),
        &bare(),
        1,
        21,
    );
    check(
        Kind::Chat,
        with(json!({"max_tokens": null, "n": null})),
        &ModelLimits {
            output_tokens_max: 50,
            ..bare()
        },
        1,
        50,
    );
    check(
        Kind::Responses,
        json!({"input": "a", "max_output_tokens": 7, "n": 3}),
        &bare(),
        1,
        7,
    );
    check(Kind::Completion, json!({"prompt": "ab"}), &bare(), 2, 16);
    check(
        Kind::Completion,
        json!({"prompt": ["ab", "c"], "suffix": "de", "max_tokens": 5, "n": 2, "best_of": 3}),
        &bare(),
        7,
        30,
    );
    check(
        Kind::Completion,
        json!({"prompt": [1, 2, 3], "max_tokens": 5}),
        &bare(),
        3,
        5,
    );
    check(
        Kind::Completion,
        json!({"prompt": [[1, 2, 3], [4]], "max_tokens": 5}),
        &bare(),
        4,
        10,
    );
}

#[test]
fn inputs_are_read_apart() {
    check(
        Kind::Embeddings,
        json!({"input": ["abc", "de"]}),
        &bare(),
        5,
        0,
    );
    check(
        Kind::Embeddings,
        json!({"input": "abc"}),
        &ModelLimits {
            message_tokens: 2,
            ..bare()
        },
        9,
        0,
    );
    check(
        Kind::Embeddings,
        json!({"input": [[1, 2], [3]]}),
        &bare(),
        3,
        0,
    );
    check(
        Kind::Rerank,
        json!({"query": "qq", "documents": ["abc", "d"]}),
        &bare(),
        8,
        0,
    );
    let limits = ModelLimits {
        template_tokens: 10,
        ..bare()
    };
    check(
        Kind::Rerank,
        json!({"query": "q", "texts": ["abc", "d"]}),
        &limits,
        26,
        0,
    );
}

#[test]
fn what_no_node_would_take_has_no_ceiling() {
    let check = |body: Value, expected: CeilingError| {
        assert_eq!(ceiling(Kind::Chat, &body, &bare()), Err(expected), "{body}");
    };
    check(json!([]), CeilingError::NoObject);
    let n = CeilingError::Number { field: "n", max: 8 };
    check(json!({"n": 9}), n.clone());
    check(json!({"n": -1}), n.clone());
    check(json!({"n": "1"}), n.clone());
    check(json!({"n": 1.5}), n);
    let max = CeilingError::Number {
        field: "max_tokens",
        max: 1 << 53,
    };
    check(json!({"max_tokens": u64::MAX}), max.clone());
    check(json!({"max_tokens": 1e300}), max);
    let limits = ModelLimits {
        message_tokens: u64::MAX,
        ..bare()
    };
    let body = json!({"messages": [{}, {}]});
    assert_eq!(
        ceiling(Kind::Chat, &body, &limits),
        Err(CeilingError::TooMuch)
    );
}

#[test]
fn a_count_above_what_was_set_aside_costs_no_more() {
    let counted = |input, cached, output| {
        Counted(TokenCounts {
            input,
            cached,
            output,
        })
    };
    let ceiling = TokenCeiling {
        prompt: 10,
        output: 5,
    };
    assert_eq!(hold(counted(3, 4, 5), &ceiling), counted(3, 4, 5));
    assert_eq!(hold(counted(9, 4, 6), &ceiling), counted(6, 4, 5));
    assert_eq!(hold(counted(9, 14, 6), &ceiling), counted(0, 10, 5));
}

/// Values as tools and messages have them.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Tools and arguments are written anew by templates, indented and escaped.
    #[test]
    fn json_is_never_longer_than_its_bound(tool in value(), text in ".{0,40}") {
        let limits = ModelLimits { context_tokens: u64::MAX, ..bare() };
        let arguments = tool.to_string();
        let body = json!({"tools": [tool], "messages": [{"content": text, "tool_calls": [{"function": {"arguments": arguments}}]}]});
        let bound = ceiling(Kind::Chat, &body, &limits).unwrap().prompt;
        let mut written = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut writer = serde_json::Serializer::with_formatter(&mut written, indent);
        serde::Serialize::serialize(&body["tools"], &mut writer).unwrap();
        let written = String::from_utf8(written).unwrap();
        let escaped: usize = written
            .chars()
            .map(|one| match one {
                '<' | '>' | '&' | '\'' => 6,
                one if one.is_ascii() => 1,
                one => 6 * one.len_utf16(),
            })
            .sum();
        // Twice: as a tool and as what it was called with.
        prop_assert!(bound >= (2 * escaped + text.len()) as u64, "{bound} {escaped}");
    }

    /// Whatever is sent, there is an answer, and more is never less.
    #[test]
    fn more_text_never_costs_less(body in value(), text in ".{0,40}") {
        let with = |text: &str| {
            let mut map = body.as_object().cloned().unwrap_or_default();
            map.insert("messages".to_owned(), json!([{"content": text}]));
            map.insert("n".to_owned(), json!(1));
            ceiling(Kind::Chat, &Value::Object(map), &bare())
        };
        let (short, long) = (with(&text), with(&format!("{text}<")));
        if let (Ok(short), Ok(long)) = (short, long) {
            prop_assert!(short.prompt <= long.prompt);
            prop_assert!(long.prompt >= (text.len() as u64 + 1).min(10_000));
        }
        for kind in [Kind::Completion, Kind::Responses, Kind::Embeddings, Kind::Rerank] {
            let _ = ceiling(kind, &body, &bare());
        }
    }
}
