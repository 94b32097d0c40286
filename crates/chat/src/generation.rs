//! What the engine is asked for, in the words of its metadata.

use gaia_openai::completion::Prompt;
use gaia_openai::{ApiError, Constraint, Sampling};
use serde_json::{Map, Value, json};

/// What generates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Our own plugin.
    Gaia,
    /// WasmEdge's GGML plugin: no stop strings, log-probabilities or biases of its own.
    Stock,
}

/// One text to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// What to continue.
    pub prompt: Prompt,
    /// Most tokens to generate.
    pub tokens_max: u32,
    /// How to choose them.
    pub sampling: Sampling,
    /// Most likely tokens to report at each position; `None` = none, not even the chosen ones.
    pub logprobs: Option<u32>,
    /// Whether each token of the prompt but its first is reported as well, before those of the answer.
    pub score_prompt: bool,
    /// Control tokens that are part of the text, because its form is read from them.
    pub shown_tokens: &'static [&'static str],
}

impl Generation {
    /// The text for one of several answers: each draws by a seed of its own.
    #[must_use]
    pub fn choice(&self, index: u32) -> Self {
        let mut generation = self.clone();
        let seed = generation.sampling.seed.as_mut();
        if let Some(seed) = seed.filter(|_| index > 0) {
            // Never the largest number, which the engine takes for "random".
            let next = (u64::from(*seed) + u64::from(index)) % u64::from(u32::MAX);
            *seed = u32::try_from(next).unwrap_or_default();
        }
        generation
    }

    /// Refuses what only shows with the model and the engine at hand. A turn has checked this already.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn check(
        &self,
        engine: Engine,
        vocabulary: Option<u32>,
        choices: u32,
    ) -> Result<(), ApiError> {
        check_choices(choices, engine)?;
        check(&self.sampling, self.logprobs, engine, vocabulary)
    }

    /// The metadata JSON for the engine.
    ///
    /// `fresh_seed` is used where the request names none: the stock plugin makes a new sampler only
    /// when the seed changes.
    pub fn metadata(&self, engine: Engine, fresh_seed: u32) -> Value {
        let mut keys = Map::new();
        self.common(&mut keys, fresh_seed);
        match engine {
            Engine::Gaia => self.extended(&mut keys),
            Engine::Stock => {}
        }
        Value::Object(keys)
    }

    fn common(&self, keys: &mut Map<String, Value>, fresh_seed: u32) {
        let sampling = &self.sampling;
        let mut put = |key: &str, value: Value| keys.insert(key.to_owned(), value);
        put("n-predict", json!(self.tokens_max));
        put("seed", json!(sampling.seed.unwrap_or(fresh_seed)));
        if let Some(top_k) = sampling.top_k {
            put("top-k", json!(top_k));
        }
        for (key, number) in [
            ("temp", sampling.temperature),
            ("top-p", sampling.top_p),
            ("min-p", sampling.min_p),
            ("repeat-penalty", sampling.repeat_penalty),
            ("presence-penalty", sampling.presence_penalty),
            ("frequency-penalty", sampling.frequency_penalty),
        ] {
            if let Some(number) = number {
                put(key, decimal(number));
            }
        }
        if let Some(constraint) = &sampling.constraint {
            put("grammar", json!(constraint.gbnf()));
        }
    }

    fn extended(&self, keys: &mut Map<String, Value>) {
        let sampling = &self.sampling;
        let mut put = |key: &str, value: Value| keys.insert(key.to_owned(), value);
        put("non-blocking", json!(true));
        put("cache-prompt", json!(sampling.cache_prompt.unwrap_or(true)));
        if !sampling.stop.is_empty() {
            put("stop", json!(sampling.stop));
        }
        if !sampling.logit_bias.is_empty() {
            let bias = sampling.logit_bias.iter();
            let bias: Map<String, Value> = bias
                .map(|bias| (bias.token.to_string(), decimal(bias.bias)))
                .collect();
            put("logit-bias", Value::Object(bias));
        }
        if let Some(top) = self.logprobs {
            // The chosen token's own probability comes with any number above 0.
            put("logprobs", json!(top.max(1)));
        }
        if !self.shown_tokens.is_empty() {
            put("show-tokens", json!(self.shown_tokens));
        }
        if self.score_prompt {
            put("score-prompt", json!(true));
        }
        if sampling.ignore_eos {
            put("ignore-eos", json!(true));
        }
    }
}

/// A 32-bit float as the shortest decimal that means it: 0.1, not 0.10000000149011612.
fn decimal(number: f32) -> Value {
    let shortest: f64 = number.to_string().parse().unwrap_or(f64::from(number));
    json!(shortest)
}

/// Refuses what only shows with the model and the engine at hand.
///
/// # Errors
/// 400 naming the field.
pub(crate) fn check(
    sampling: &Sampling,
    logprobs: Option<u32>,
    engine: Engine,
    vocabulary: Option<u32>,
) -> Result<(), ApiError> {
    if let Some(size) = vocabulary
        && sampling.logit_bias.iter().any(|bias| bias.token >= size)
    {
        let message = format!("The model has tokens 0 to {}.", size.saturating_sub(1));
        return Err(ApiError::invalid_value("logit_bias", message));
    }
    match engine {
        Engine::Gaia => Ok(()),
        Engine::Stock => check_stock(sampling, logprobs),
    }
}

/// The stock plugin does one thing at a time.
///
/// # Errors
/// 400 naming the field.
pub(crate) fn check_choices(choices: u32, engine: Engine) -> Result<(), ApiError> {
    match engine {
        Engine::Stock if choices > 1 => Err(needs_our_own("n")),
        Engine::Stock | Engine::Gaia => Ok(()),
    }
}

fn check_stock(sampling: &Sampling, logprobs: Option<u32>) -> Result<(), ApiError> {
    let negative = |number: Option<f32>| number.is_some_and(|number| number < 0.0);
    let wanted = [
        ("logprobs", logprobs.is_some()),
        ("logit_bias", !sampling.logit_bias.is_empty()),
        ("presence_penalty", negative(sampling.presence_penalty)),
        ("frequency_penalty", negative(sampling.frequency_penalty)),
        ("ignore_eos", sampling.ignore_eos),
        // Checked here, but by other code than its own, and it does not survive one it dislikes.
        (
            "grammar",
            matches!(sampling.constraint, Some(Constraint::Grammar(_))),
        ),
    ];
    match wanted.iter().find(|(_, wanted)| *wanted) {
        None => Ok(()),
        Some((param, _)) => Err(needs_our_own(param)),
    }
}

pub(crate) fn needs_our_own(param: &str) -> ApiError {
    let message =
        format!("`{param}` with this value needs Gaia's own plugin; this node runs on WasmEdge's.");
    ApiError::unsupported(param, message)
}

#[cfg(test)]
mod tests {
    use gaia_openai::{ChatRequest, Limits};

    use super::*;

    #[track_caller]
    fn check_metadata(fields: &str, engine: Engine, expected: Value) {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"q"}}]{fields}}}"#);
        let request = ChatRequest::parse(body.as_bytes(), &Limits::default()).unwrap();
        let generation = Generation {
            prompt: Prompt::Text("p".to_owned()),
            tokens_max: 5,
            sampling: request.sampling,
            logprobs: request.logprobs,
            score_prompt: false,
            shown_tokens: &[],
        };
        assert_eq!(generation.metadata(engine, 7), expected);
    }

    /// Schemas are compiled here: the engine sees nothing but a grammar.
    const SCHEMA_OF_NULL: &str = "root ::= value-3\nvalue-3 ::= \"null\"\n";

    #[test]
    fn the_engine_gets_its_own_words() {
        check_metadata("", Engine::Stock, json!({"n-predict": 5, "seed": 7}));
        check_metadata(
            r#","temperature":0.1,"top_p":1,"top_k":3,"presence_penalty":0.5,"seed":1,"stop":"x","json_schema":{"type":"null"}"#,
            Engine::Stock,
            json!({"n-predict": 5, "seed": 1, "temp": 0.1, "top-p": 1.0, "top-k": 3, "presence-penalty": 0.5, "grammar": SCHEMA_OF_NULL}),
        );
        check_metadata(
            r#","stop":["a","b"],"logit_bias":{"5":-100},"logprobs":true,"grammar":"root ::= \"a\"","ignore_eos":true,"cache_prompt":false"#,
            Engine::Gaia,
            json!({"n-predict": 5, "seed": 7, "non-blocking": true, "cache-prompt": false, "stop": ["a", "b"], "logit-bias": {"5": -100.0}, "logprobs": 1, "grammar": "root ::= \"a\"", "ignore-eos": true}),
        );
    }

    #[test]
    fn choices_draw_by_seeds_of_their_own() {
        let seeds = |seed: Option<u32>| {
            let generation = Generation {
                prompt: Prompt::Text("p".to_owned()),
                tokens_max: 1,
                sampling: Sampling {
                    seed,
                    ..Sampling::default()
                },
                logprobs: None,
                score_prompt: false,
                shown_tokens: &[],
            };
            [0, 1, 2].map(|index| generation.choice(index).sampling.seed)
        };
        assert_eq!(seeds(Some(7)), [Some(7), Some(8), Some(9)]);
        assert_eq!(seeds(Some(u32::MAX - 2))[2], Some(0));
        assert_eq!(seeds(None), [None; 3]);
    }

    #[test]
    fn what_the_stock_plugin_cannot_do_is_refused() {
        let refused = |sampling: Sampling, logprobs| {
            check(&sampling, logprobs, Engine::Stock, None)
                .unwrap_err()
                .param
                .unwrap()
        };
        let plain = Sampling::default;
        assert_eq!(check(&plain(), None, Engine::Stock, None), Ok(()));
        assert_eq!(refused(plain(), Some(0)), "logprobs");
        let grammar = Sampling {
            constraint: Some(Constraint::Grammar("root ::= (".to_owned())),
            ..plain()
        };
        assert_eq!(check(&grammar, None, Engine::Gaia, None), Ok(()));
        assert_eq!(refused(grammar, None), "grammar");
        let negative = Sampling {
            presence_penalty: Some(-0.5),
            ..plain()
        };
        assert_eq!(check(&negative, None, Engine::Gaia, None), Ok(()));
        assert_eq!(refused(negative, None), "presence_penalty");
        assert_eq!(check_choices(2, Engine::Gaia), Ok(()));
        assert!(check_choices(2, Engine::Stock).is_err());
    }
}
