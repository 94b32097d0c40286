//! The metadata JSON that goes to the plugin before a prompt.
//!
//! Contexts are used again, so a request's own keys are laid over a base that names every key there is: nothing of
//! the request before is left.

use gaia_chat::Generation;
use serde_json::{Map, Value, json};

use super::Engine;
use super::bell::Address;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Chat,
    Embedding,
    Reranking,
}

impl Purpose {
    pub(crate) const ALL: [Self; 3] = [Self::Chat, Self::Embedding, Self::Reranking];

    /// What it is called in lists, and by the plugin.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embedding => "embedding",
            Self::Reranking => "reranking",
        }
    }
}

/// What a model is loaded with, on the first use of its graph.
pub(crate) fn load(ctx_size: Option<u32>, sequences: Option<u32>, purpose: Purpose) -> Value {
    let mut keys = Map::new();
    keys.insert("enable-log".to_owned(), json!(false));
    if let Some(tokens) = ctx_size {
        keys.insert("ctx-size".to_owned(), json!(tokens));
    }
    if let Some(count) = sequences {
        keys.insert("n-seq-max".to_owned(), json!(count));
    }
    if purpose != Purpose::Chat {
        keys.insert(purpose.name().to_owned(), json!(true));
    }
    Value::Object(keys)
}

/// As `settings`, for a plugin that can load without keeping us waiting and can tell when there is something new.
pub(crate) fn behind_our_back(mut settings: Value, bell: Option<&Address>) -> Value {
    settings["non-blocking"] = json!(true);
    if let Some(bell) = bell {
        settings["wake-port"] = json!(bell.port);
        settings["wake-secret"] = json!(bell.secret);
    }
    settings
}

/// Tokens of a text that the stock plugin embeds: what sentence encoders read.
pub(crate) const STOCK_EMBEDDING_CONTEXT: u32 = 512;

/// What an embedding needs on the stock plugin: context, batch and micro-batch that agree, or llama.cpp ends the
/// process; a longer text is refused by the plugin then.
pub(crate) fn embedding_stock() -> Value {
    json!({
        "enable-log": false, "embedding": true,
        "ctx-size": STOCK_EMBEDDING_CONTEXT,
        "batch-size": STOCK_EMBEDDING_CONTEXT,
        "ubatch-size": STOCK_EMBEDDING_CONTEXT,
    })
}

/// Everything about one text. `fresh_seed` is for requests without one.
pub(crate) fn generation(
    wanted: &Generation,
    engine: Engine,
    ctx_size: u32,
    fresh_seed: u32,
) -> Value {
    let mut keys = match engine {
        Engine::Gaia => base_gaia(),
        Engine::Stock => base_stock(ctx_size),
    };
    if let (Value::Object(keys), Value::Object(own)) =
        (&mut keys, wanted.metadata(engine.into(), fresh_seed))
    {
        keys.extend(own);
    }
    keys
}

fn base_gaia() -> Value {
    json!({
        "temp": 0.8, "top-p": 0.95, "top-k": 40, "min-p": 0.05,
        "repeat-penalty": 1.0, "presence-penalty": 0.0, "frequency-penalty": 0.0,
        "logit-bias": {}, "stop": [], "logprobs": 0, "grammar": "", "show-tokens": [],
        "score-prompt": false,
        "ignore-eos": false, "cache-prompt": true, "non-blocking": true,
        "n-predict": -1, "seed": -1,
    })
}

// The plugin has no `non-blocking`, and log lines of its own for keys it does not know.
fn base_stock(ctx_size: u32) -> Value {
    json!({
        "enable-log": false, "ctx-size": ctx_size,
        "temp": 0.8, "top-p": 0.95, "top-k": 40, "min-p": 0.05,
        "repeat-penalty": 1.0, "presence-penalty": 0.0, "frequency-penalty": 0.0,
        "grammar": "", "json-schema": "",
    })
}

#[cfg(test)]
mod tests {
    use gaia_openai::completion::Prompt;
    use gaia_openai::{Constraint, LogitBias, Sampling};

    use super::*;

    fn keys_of(sampling: Sampling, logprobs: Option<u32>, engine: Engine) -> Value {
        let wanted = Generation {
            prompt: Prompt::Text("p".to_owned()),
            tokens_max: 9,
            sampling,
            logprobs,
            score_prompt: logprobs.is_some(),
            shown_tokens: match logprobs {
                Some(_) => &["[TOOL_CALLS]"],
                None => &[],
            },
        };
        generation(&wanted, engine, 512, 77)
    }

    fn full() -> Sampling {
        Sampling {
            temperature: Some(0.0),
            top_p: Some(0.5),
            top_k: Some(1),
            min_p: Some(0.5),
            repeat_penalty: Some(1.5),
            presence_penalty: Some(-1.0),
            frequency_penalty: Some(-1.0),
            seed: Some(7),
            stop: vec!["END".to_owned()],
            logit_bias: vec![LogitBias {
                token: 5,
                bias: -100.0,
            }],
            constraint: Some(Constraint::Grammar("root ::= \"a\"".to_owned())),
            ignore_eos: true,
            cache_prompt: Some(false),
            tokens_max: Some(9),
        }
    }

    #[test]
    fn nothing_of_the_request_before_is_left() {
        let full = keys_of(full(), Some(3), Engine::Gaia);
        let empty = keys_of(Sampling::default(), None, Engine::Gaia);
        for (key, value) in full.as_object().unwrap() {
            if !matches!(key.as_str(), "n-predict" | "non-blocking") {
                assert_ne!(&empty[key], value, "{key}");
                assert!(!empty[key].is_null(), "{key} would keep its value");
            }
        }
    }

    #[test]
    fn the_stock_plugin_gets_its_context_and_a_new_seed() {
        let keys = keys_of(Sampling::default(), None, Engine::Stock);
        assert_eq!(
            (&keys["ctx-size"], &keys["seed"]),
            (&json!(512), &json!(77))
        );
        let seeded = Sampling {
            seed: Some(3),
            ..Sampling::default()
        };
        assert_eq!(keys_of(seeded, None, Engine::Stock)["seed"], 3);
    }
}
