//! The metadata JSON that goes to the plugin before a prompt.
//!
//! Contexts are used again, so every request names every key of ours: nothing of the request before is left.

use gaia_openai::{Constraint, Sampling};
use serde_json::{Map, Value, json};

use super::InferenceError;

/// What a model is loaded with, on the first use of its graph.
pub(crate) fn load(ctx_size: Option<u32>, sequences: Option<u32>, embedding: bool) -> Value {
    let mut keys = Map::new();
    keys.insert("enable-log".to_owned(), json!(false));
    if let Some(tokens) = ctx_size {
        keys.insert("ctx-size".to_owned(), json!(tokens));
    }
    if let Some(count) = sequences {
        keys.insert("n-seq-max".to_owned(), json!(count));
    }
    if embedding {
        keys.insert("embedding".to_owned(), json!(true));
    }
    Value::Object(keys)
}

/// Temperature where a request says nothing.
const TEMPERATURE_DEFAULT: f32 = 0.8;
const TOP_P_DEFAULT: f32 = 0.95;
const TOP_K_DEFAULT: u32 = 40;
const MIN_P_DEFAULT: f32 = 0.05;

/// For Gaia's plugin. `logprobs`: how many of the likeliest tokens to tell at each position.
pub(crate) fn gaia(sampling: &Sampling, tokens_max: u32, logprobs: Option<u32>) -> Value {
    let mut keys = shared(sampling);
    let biases = sampling.logit_bias.iter();
    let biases: Map<String, Value> = biases
        .map(|bias| (bias.token.to_string(), json!(bias.bias)))
        .collect();
    let (grammar, schema) = match &sampling.constraint {
        None => ("", ""),
        Some(Constraint::Grammar(grammar)) => (grammar.as_str(), ""),
        Some(Constraint::JsonSchema(schema)) => ("", schema.as_str()),
    };
    keys.insert("non-blocking".to_owned(), json!(true));
    keys.insert("n-predict".to_owned(), json!(tokens_max));
    keys.insert("stop".to_owned(), json!(sampling.stop));
    keys.insert("logit-bias".to_owned(), Value::Object(biases));
    // One candidate is the least that brings the events with them.
    keys.insert(
        "logprobs".to_owned(),
        json!(logprobs.map_or(0, |count| count.max(1))),
    );
    keys.insert(
        "cache-prompt".to_owned(),
        json!(sampling.cache_prompt.unwrap_or(true)),
    );
    keys.insert("ignore-eos".to_owned(), json!(sampling.ignore_eos));
    keys.insert(
        "seed".to_owned(),
        json!(sampling.seed.map_or(-1, i64::from)),
    );
    keys.insert("grammar".to_owned(), json!(grammar));
    if !schema.is_empty() {
        keys.insert("json-schema".to_owned(), json!(schema));
    }
    Value::Object(keys)
}

/// For WasmEdge's stock plugin, as far as it can; `fresh_seed` is used where the request has none, because the
/// plugin keeps the sampler of the request before if nothing differs.
pub(crate) fn stock(
    sampling: &Sampling,
    ctx_size: u32,
    logprobs: Option<u32>,
    fresh_seed: u32,
) -> Result<Value, InferenceError> {
    let refuse = |param| Err(InferenceError::Unsupported { param });
    let negative = |penalty: Option<f32>| penalty.is_some_and(|penalty| penalty < 0.0);
    if negative(sampling.presence_penalty) {
        return refuse("presence_penalty");
    }
    if negative(sampling.frequency_penalty) {
        return refuse("frequency_penalty");
    }
    if !sampling.logit_bias.is_empty() {
        return refuse("logit_bias");
    }
    if logprobs.is_some() {
        return refuse("logprobs");
    }
    if sampling.ignore_eos {
        return refuse("ignore_eos");
    }
    let grammar = match &sampling.constraint {
        None => "",
        Some(Constraint::Grammar(grammar)) => grammar,
        Some(Constraint::JsonSchema(_)) => return refuse("response_format"),
    };
    let mut keys = shared(sampling);
    keys.insert("enable-log".to_owned(), json!(false));
    keys.insert("ctx-size".to_owned(), json!(ctx_size));
    keys.insert(
        "seed".to_owned(),
        json!(sampling.seed.unwrap_or(fresh_seed)),
    );
    keys.insert("grammar".to_owned(), json!(grammar));
    Ok(Value::Object(keys))
}

fn shared(sampling: &Sampling) -> Map<String, Value> {
    let temperature = sampling.temperature.unwrap_or(TEMPERATURE_DEFAULT);
    let keys = json!({
        "temp": temperature,
        "top-p": sampling.top_p.unwrap_or(TOP_P_DEFAULT),
        "top-k": sampling.top_k.unwrap_or(TOP_K_DEFAULT),
        "min-p": sampling.min_p.unwrap_or(MIN_P_DEFAULT),
        "repeat-penalty": sampling.repeat_penalty.unwrap_or(1.0),
        "presence-penalty": sampling.presence_penalty.unwrap_or(0.0),
        "frequency-penalty": sampling.frequency_penalty.unwrap_or(0.0),
    });
    match keys {
        Value::Object(keys) => keys,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use gaia_openai::LogitBias;

    use super::*;

    fn full() -> Sampling {
        Sampling {
            temperature: Some(0.0),
            seed: Some(7),
            stop: vec!["END".to_owned()],
            logit_bias: vec![LogitBias {
                token: 5,
                bias: -100.0,
            }],
            constraint: Some(Constraint::Grammar("root ::= \"a\"".to_owned())),
            ignore_eos: true,
            ..Sampling::default()
        }
    }

    #[test]
    fn nothing_of_the_request_before_is_left() {
        let (full, empty) = (
            gaia(&full(), 9, Some(3)),
            gaia(&Sampling::default(), 9, None),
        );
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&full), keys(&empty));
        assert_eq!(full["grammar"], "root ::= \"a\"");
        assert_eq!(empty["grammar"], "");
        assert_eq!(empty["stop"], json!([]));
        assert_eq!(empty["logit-bias"], json!({}));
        assert_eq!(empty["seed"], -1);
        assert_eq!(
            (&full["logprobs"], &empty["logprobs"]),
            (&json!(3), &json!(0))
        );
    }

    #[test]
    fn a_schema_is_a_key_of_its_own() {
        let sampling = Sampling {
            constraint: Some(Constraint::json_object()),
            ..Sampling::default()
        };
        let keys = gaia(&sampling, 9, None);
        assert_eq!(keys["json-schema"], r#"{"type":"object"}"#);
        assert_eq!(keys["grammar"], "");
    }

    #[track_caller]
    fn check_refused(sampling: &Sampling, logprobs: Option<u32>, param: &'static str) {
        let refused = stock(sampling, 512, logprobs, 1);
        assert_eq!(refused, Err(InferenceError::Unsupported { param }));
    }

    #[test]
    fn what_the_stock_plugin_cannot_do_is_refused_by_name() {
        let plain = Sampling::default();
        check_refused(&full(), None, "logit_bias");
        check_refused(&plain, Some(0), "logprobs");
        let with = |change: fn(&mut Sampling)| {
            let mut sampling = Sampling::default();
            change(&mut sampling);
            sampling
        };
        check_refused(
            &with(|s| s.presence_penalty = Some(-0.1)),
            None,
            "presence_penalty",
        );
        check_refused(
            &with(|s| s.frequency_penalty = Some(-0.1)),
            None,
            "frequency_penalty",
        );
        check_refused(&with(|s| s.ignore_eos = true), None, "ignore_eos");
        let schema = |s: &mut Sampling| s.constraint = Some(Constraint::json_object());
        check_refused(&with(schema), None, "response_format");
        assert_eq!(stock(&plain, 512, None, 77).unwrap()["seed"], 77);
        assert_eq!(
            stock(&with(|s| s.seed = Some(3)), 512, None, 77).unwrap()["seed"],
            3
        );
    }
}
