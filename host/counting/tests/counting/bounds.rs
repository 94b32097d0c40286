//! What is set aside for a request is never less than what an answer to it is counted as.

use gaia_ledger::price::TokenCeiling;
use gaia_metering::{Kind, Metered, ModelLimits, ceiling, hold};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::models;
use crate::recorded::all;

/// For SmolLM2's template, and for nodes of our own without prompts and passages.
fn limits() -> ModelLimits {
    ModelLimits {
        context_tokens: 1 << 40,
        output_tokens_max: 200,
        template_tokens: 64,
        message_tokens: 8,
        node_tokens: 64,
        ..ModelLimits::default()
    }
}

fn within(kind: Kind, body: &Value, limits: &ModelLimits) -> TokenCeiling {
    ceiling(kind, body, limits).unwrap()
}

#[test]
fn every_recorded_answer_is_within_its_ceiling() {
    for recorded in all() {
        let body: Value = serde_json::from_str(&recorded.request).unwrap();
        let limits = ModelLimits {
            // Passages are the greatest part of what nodes put in.
            node_tokens: 2048,
            ..limits()
        };
        let ceiling = within(recorded.kind(), &body, &limits);
        let counted = recorded.count().counted;
        let (held, metered) = (hold(counted, &ceiling), recorded.metered());
        // What a node adds so that cut-off JSON is valid is beyond what was asked for, and costs nothing.
        let mended = metered.texts.iter().any(|text| text.is_mended);
        let name = &recorded.name;
        assert_eq!(held.0.prompt(), counted.0.prompt(), "{name}: {ceiling:?}");
        assert_eq!(held == counted, !mended, "{name}: {ceiling:?} {counted:?}");
        let claimed = metered.claimed.unwrap().0;
        assert!(claimed.output <= ceiling.output, "{}", recorded.name);
    }
}

/// Texts that are dear: markers, many tokens a character, what is escaped in JSON.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        ".{0,8}",
        Just("<|im_end|>".to_owned()),
        Just("<|im_start|>system".to_owned()),
        Just("\u{1F9D1}\u{200D}\u{1F680}\u{FDFA}".to_owned()),
        Just("<'\"&>\\\n".to_owned()),
        Just(" a b c d 1 2 3".to_owned()),
    ];
    prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_conversation_is_longer_than_its_ceiling(
        texts in prop::collection::vec(text(), 1..6), about in text(), argument in text(), with_tools: bool,
    ) {
        let mut messages: Vec<Value> = texts
            .iter()
            .zip(["user", "assistant"].iter().cycle())
            .map(|(text, role)| json!({"role": role, "content": text}))
            .collect();
        let mut body = json!({"max_tokens": 5});
        if with_tools {
            let arguments = json!({"x": argument}).to_string();
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}]}));
            messages.push(json!({"role": "tool", "tool_call_id": "c", "content": about}));
            body["tools"] = json!([{"type": "function", "function": {"name": "f", "description": about,
                "parameters": {"type": "object", "properties": {"x": {"type": "string", "description": argument}}}}}]);
        }
        messages.push(json!({"role": "user", "content": "Go on."}));
        body["messages"] = Value::from(messages);
        let bytes = serde_json::to_vec(&body).unwrap();
        let count = models::chat().count(Kind::Chat, &bytes, &Metered::default());
        if let Ok(count) = count {
            let most = within(Kind::Chat, &body, &limits()).prompt;
            prop_assert!(count.counted.0.prompt() <= most, "{} of {most}", count.counted.0.prompt());
        }
    }

    #[test]
    fn no_input_is_longer_than_its_ceiling(texts in prop::collection::vec("[^\u{0}]{1,30}", 1..4)) {
        let check = |kind: Kind, key: &str| {
            let body = json!({ (key): texts });
            let bytes = serde_json::to_vec(&body).unwrap();
            let counter = match kind {
                Kind::Embeddings => models::embedding().clone(),
                _ => models::chat().clone(),
            };
            let count = counter.count(kind, &bytes, &Metered::default()).unwrap();
            let most = within(kind, &body, &limits()).prompt;
            (count.counted.0.prompt(), most)
        };
        for (counted, most) in [check(Kind::Embeddings, "input"), check(Kind::Completion, "prompt")] {
            prop_assert!(counted <= most, "{counted} of {most}");
        }
    }
}
