//! `POST /completion` as llama.cpp's server has it: the same continuation in that server's words.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::completion::CompletionRequest;
use crate::fields::{self, Fields};
use crate::input::Inputs;
use crate::{ApiError, Limits, LogitBias, Sampling, Timings};

/// Entries of `response_fields`.
pub const RESPONSE_FIELDS_MAX: usize = 64;

/// Fields of that server which change the text and which this node does not have, with the values that ask for
/// nothing.
const NOT_HERE: [(&str, f64); 7] = [
    ("mirostat", 0.0),
    ("typical_p", 1.0),
    ("dynatemp_range", 0.0),
    ("dry_multiplier", 0.0),
    ("xtc_probability", 0.0),
    ("n_indent", 0.0),
    ("t_max_predict_ms", 0.0),
];

/// A request in llama.cpp's words, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeRequest {
    /// What it asks for. `tokens_max` is missing where the context is the only limit.
    pub request: CompletionRequest,
    /// Whether the prompt was not a list, which decides the reply's shape.
    pub single: bool,
    /// Whether the tokens are wanted beside the text.
    pub return_tokens: bool,
    /// The fields that are wanted, as `generation_settings/n_predict`; all where empty.
    pub fields: Vec<String>,
    /// What to add to the logits of all tokens of a text.
    pub text_bias: Vec<(String, f32)>,
}

impl NativeRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong, over its limit, or not honoured.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let mut map = fields::body(bytes)?;
        let bias = map.remove("logit_bias").unwrap_or(Value::Null);
        let root = Fields::root(&map);
        refuse_what_is_not_here(&root)?;
        let inputs = Inputs::parse(&root, "prompt", limits)?;
        let mut sampling = Sampling::parse(&root, limits)?;
        sampling.tokens_max = tokens_max(&root, limits)?.or(sampling.tokens_max);
        let mut text_bias = Vec::new();
        for (key, bias) in biases(&bias, limits)? {
            match key {
                Biased::Token(token) => sampling.logit_bias.push(LogitBias { token, bias }),
                Biased::Text(text) => text_bias.push((text, bias)),
            }
        }
        let probabilities = root.count("n_probs", 0..=limits.top_logprobs_max)?;
        Ok(Self {
            request: CompletionRequest {
                model: root.name("model", limits)?,
                prompts: inputs.list,
                sampling,
                logprobs: probabilities.filter(|count| *count > 0),
                echo: false,
                only_echo: false,
                suffix: None,
                choices: 1,
                stream: root.boolean("stream")?.unwrap_or(false),
                include_usage: false,
                user: None,
                service_tier: None,
            },
            single: inputs.single,
            return_tokens: root.boolean("return_tokens")?.unwrap_or(false),
            fields: response_fields(&root, limits)?,
            text_bias,
        })
    }
}

fn refuse_what_is_not_here(root: &Fields<'_>) -> Result<(), ApiError> {
    for (key, nothing) in NOT_HERE {
        root.refuse(key, &[json!(nothing), json!(nothing as i64), json!(-1)])?;
    }
    root.refuse("post_sampling_probs", &[json!(false)])?;
    root.refuse("n", &[json!(1)])?;
    root.refuse("n_cmpl", &[json!(1)])
}

/// `n_predict`; -1 means as many as fit.
fn tokens_max(root: &Fields<'_>, limits: &Limits) -> Result<Option<u32>, ApiError> {
    let wanted = root.integer("n_predict", -1..=i64::from(limits.tokens_max))?;
    match wanted {
        Some(0) => {
            let message = "`n_predict` must be -1 or at least 1.";
            Err(ApiError::invalid_value("n_predict", message))
        }
        wanted => Ok(wanted.and_then(|tokens| u32::try_from(tokens).ok())),
    }
}

fn response_fields(root: &Fields<'_>, limits: &Limits) -> Result<Vec<String>, ApiError> {
    const KEY: &str = "response_fields";
    let list = root.list(KEY, RESPONSE_FIELDS_MAX)?.unwrap_or_default();
    let names = list.iter().map(|value| value.as_str().map(str::to_owned));
    let names: Option<Vec<_>> = names.collect();
    let names = names.ok_or_else(|| ApiError::invalid_type(KEY, "a list of strings"))?;
    let bytes = names.iter().map(String::len).max().unwrap_or(0);
    fields::too_large(KEY, bytes, limits.name_bytes_max)?;
    Ok(names)
}

/// What a bias is about.
enum Biased {
    Token(u32),
    Text(String),
}

/// `[[token or text, number or false], …]`, or an object of them; `false` means never.
fn biases(value: &Value, limits: &Limits) -> Result<Vec<(Biased, f32)>, ApiError> {
    let entries: Vec<(Biased, &Value)> = match value {
        Value::Null => Vec::new(),
        Value::Object(map) => map.iter().map(|(key, bias)| (biased(key), bias)).collect(),
        Value::Array(list) => list.iter().map(pair).collect::<Result<_, _>>()?,
        _ => return Err(bad_bias()),
    };
    fields::too_long("logit_bias", entries.len(), limits.logit_bias_max)?;
    let numbers = entries.into_iter().map(|(key, bias)| {
        let bias = match bias {
            Value::Bool(false) => Some(-100.0),
            bias => bias.as_f64().filter(|bias| bias.abs() <= 100.0),
        };
        Ok((key, bias.ok_or_else(bad_bias)? as f32))
    });
    numbers.collect()
}

fn biased(key: &str) -> Biased {
    match key.parse::<i32>().map(u32::try_from) {
        Ok(Ok(token)) => Biased::Token(token),
        _ => Biased::Text(key.to_owned()),
    }
}

fn pair(value: &Value) -> Result<(Biased, &Value), ApiError> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(text), bias]) => Ok((Biased::Text(text.clone()), bias)),
        Some([token, bias]) => {
            let token = fields::token_ids(std::slice::from_ref(token), "logit_bias", 1)?;
            let token = token.first().copied().ok_or_else(bad_bias)?;
            Ok((Biased::Token(token), bias))
        }
        _ => Err(bad_bias()),
    }
}

fn bad_bias() -> ApiError {
    let message = "`logit_bias` gives tokens or texts numbers between -100 and 100, or `false`.";
    ApiError::invalid_value("logit_bias", message)
}

/// A piece of a streamed answer; the last one is a [`NativeReply`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NativeChunk {
    /// Which prompt.
    pub index: usize,
    /// The new text.
    pub content: String,
    /// Its tokens.
    pub tokens: Vec<u32>,
    /// Always false.
    pub stop: bool,
    /// Log-probabilities, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_probabilities: Option<Vec<NativeProbability>>,
}

/// The continuation of one prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NativeReply {
    /// Which prompt.
    pub index: usize,
    /// The text; empty in a stream, whose pieces have it.
    pub content: String,
    /// Its tokens, where asked for.
    pub tokens: Vec<u32>,
    /// Always true.
    pub stop: bool,
    /// The model that answered.
    pub model: String,
    /// Tokens generated.
    pub tokens_predicted: u32,
    /// Tokens of the prompt.
    pub tokens_evaluated: u32,
    /// Of these, tokens that had been read before.
    pub tokens_cached: u32,
    /// How tokens were chosen; `null` where the engine's own default holds.
    pub generation_settings: Value,
    /// The prompt as text.
    pub prompt: String,
    /// Whether the text has a line break.
    pub has_new_line: bool,
    /// Whether the context was full before the limit of the request.
    pub truncated: bool,
    /// `eos`, `word` or `limit`.
    pub stop_type: &'static str,
    /// The stop sequence that ended it.
    pub stopping_word: String,
    /// How long it took.
    pub timings: Timings,
    /// Log-probabilities, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_probabilities: Option<Vec<NativeProbability>>,
}

/// A token with its probability.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NativeProbability {
    /// The token.
    pub id: u32,
    /// Its text; replacement characters where it is a part of a character.
    pub token: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens at its place, as many as were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_logprobs: Vec<NativeProbability>,
}

impl NativeReply {
    /// As JSON, with the wanted fields only where there are any: `a/b` is the field `b` of `a`, under that whole name.
    pub fn to_json(&self, wanted: &[String]) -> Value {
        let whole = serde_json::to_value(self).unwrap_or_default();
        if wanted.is_empty() {
            return whole;
        }
        let found = wanted.iter().filter_map(|path| {
            let value = path
                .split('/')
                .try_fold(&whole, |value, key| value.get(key));
            value.map(|value| (path.clone(), value.clone()))
        });
        Value::Object(found.collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: Value) -> Result<NativeRequest, ApiError> {
        let limits = Limits {
            logit_bias_max: 2,
            ..Limits::default()
        };
        NativeRequest::parse(body.to_string().as_bytes(), &limits)
    }

    #[track_caller]
    fn check_refused(key: &str, value: Value) {
        let body = json!({"prompt": "a", key: value});
        let shown = body.to_string();
        let error = parse(body).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(key), "{shown}");
    }

    #[test]
    fn its_own_words_mean_what_openais_do() {
        let body = json!({"prompt": "a", "n_predict": 7, "n_probs": 3, "stream": true, "return_tokens": true});
        let parsed = parse(body).unwrap();
        assert_eq!(parsed.request.sampling.tokens_max, Some(7));
        assert_eq!(parsed.request.logprobs, Some(3));
        assert!(parsed.single && parsed.return_tokens && parsed.request.stream);
        let endless = parse(json!({"prompt": ["a"], "n_predict": -1})).unwrap();
        assert_eq!(endless.request.sampling.tokens_max, None);
        assert!(!endless.single);
    }

    #[test]
    fn a_bias_is_about_a_token_or_a_text() {
        let of = |bias: Value| {
            let parsed = parse(json!({"prompt": "a", "logit_bias": bias})).unwrap();
            let tokens = parsed.request.sampling.logit_bias.into_iter();
            let tokens: Vec<_> = tokens.map(|bias| (bias.token, bias.bias)).collect();
            (tokens, parsed.text_bias)
        };
        let both = (vec![(5, -100.0)], vec![(" the".to_owned(), 2.0)]);
        assert_eq!(of(json!([[5, false], [" the", 2]])), both);
        assert_eq!(of(json!({"5": -100, " the": 2.0})), both);
        assert_eq!(of(Value::Null), (Vec::new(), Vec::new()));
        for bad in [
            json!(7),
            json!([7]),
            json!([[7]]),
            json!([[7, true]]),
            json!([[7, 101]]),
            json!([[-1, 1]]),
            json!([[1, 1], [2, 1], [3, 1]]),
        ] {
            check_refused("logit_bias", bad);
        }
    }

    #[test]
    fn what_would_be_left_out_is_refused() {
        for (key, nothing) in NOT_HERE {
            check_refused(key, json!(3));
            assert!(parse(json!({"prompt": "a", key: nothing})).is_ok(), "{key}");
        }
        check_refused("post_sampling_probs", json!(true));
        check_refused("n", json!(2));
        check_refused("n_predict", json!(0));
        check_refused("n_predict", json!(-2));
        check_refused("n_probs", json!(21));
        check_refused("response_fields", json!([1]));
        check_refused("response_fields", json!(vec!["a"; RESPONSE_FIELDS_MAX + 1]));
        check_refused("response_fields", json!(["a".repeat(513)]));
    }

    #[test]
    fn only_the_wanted_fields_come() {
        let reply = NativeReply {
            index: 0,
            content: "b".to_owned(),
            tokens: Vec::new(),
            stop: true,
            model: "m".to_owned(),
            tokens_predicted: 1,
            tokens_evaluated: 2,
            tokens_cached: 0,
            generation_settings: json!({"n_predict": 7}),
            prompt: "a".to_owned(),
            has_new_line: false,
            truncated: false,
            stop_type: "limit",
            stopping_word: String::new(),
            timings: Timings::new(0, (2, 4.0), (1, 0.0)),
            completion_probabilities: None,
        };
        let wanted = ["content", "generation_settings/n_predict", "nothing"].map(str::to_owned);
        assert_eq!(
            reply.to_json(&wanted),
            json!({"content": "b", "generation_settings/n_predict": 7})
        );
        let all = reply.to_json(&[]);
        assert_eq!(all["timings"]["prompt_per_second"], 500.0);
        assert_eq!(all["timings"]["predicted_per_second"], 0.0);
    }
}
