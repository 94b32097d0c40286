//! What a generation request asks for, and whether it may.
//!
//! Everything about sampling belongs to the request: no setting here outlives it or reaches another.

use crate::TokenId;
use crate::grammar::{Grammar, GrammarError};

/// How many stop strings a request may have.
pub const STOP_COUNT_MAX: usize = 32;

/// The longest stop string in bytes.
pub const STOP_BYTES_MAX: usize = 1024;

/// How many tokens a request may favour or ban.
pub const LOGIT_BIAS_MAX: usize = 1024;

/// How many control tokens a request may see as text.
pub const SHOWN_TOKENS_MAX: usize = 32;

/// The longest name of a control token, in bytes.
pub const SHOWN_TOKEN_BYTES_MAX: usize = 128;

/// How many alternatives a token's log-probabilities may list.
pub const LOGPROBS_MAX: u8 = 20;

/// The longest look back for penalties, in tokens.
const PENALTY_LAST_N_MAX: i32 = 1 << 16;

/// The text to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Tokenised with special tokens understood; the starting token is put first if the model wants
    /// it and the text does not bring it.
    Text(String),
    /// Used as they are.
    Tokens(Vec<TokenId>),
}

/// How tokens are chosen. The default is llama.cpp's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 or less: always the likeliest token.
    pub temperature: f32,
    /// Consider only so many of the likeliest; 0 or less: all.
    pub top_k: i32,
    /// Consider the likeliest up to this share of probability; 1: all.
    pub top_p: f32,
    /// Drop what is less likely than this share of the likeliest; 0: none.
    pub min_p: f32,
    /// Locally typical sampling; 1: off.
    pub typical_p: f32,
    /// Divides the logit of tokens seen; 1: off, less than 1 favours repetition. Above 0.
    pub repeat_penalty: f32,
    /// Subtracted from the logit of tokens seen; may be negative.
    pub presence_penalty: f32,
    /// Subtracted once for each time a token was seen; may be negative.
    pub frequency_penalty: f32,
    /// How many of the last tokens, the prompt's included, the penalties look at; 0: off, below 0:
    /// the whole context.
    pub penalty_last_n: i32,
    /// Makes the choice repeatable; `None`: a different one each time.
    pub seed: Option<u32>,
    /// Added to the logits of single tokens; negative infinity bans.
    pub logit_bias: Vec<(TokenId, f32)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_last_n: 64,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

/// A generation request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What to continue.
    pub prompt: Prompt,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// A form the answer must have.
    pub grammar: Option<Grammar>,
    /// The answer ends before any of these.
    pub stop: Vec<String>,
    /// The most tokens to generate; `None`: until the context is full.
    pub tokens_max: Option<u32>,
    /// Whether to go on when the model wants to end.
    pub ignore_eos: bool,
    /// How many alternatives to list with each token's log-probability; `None`: no
    /// log-probabilities.
    pub logprobs: Option<u8>,
    /// Whether the tokens of the prompt but its first are read one by one, each with an event of its own before those
    /// of the answer. It takes as long as writing them would.
    pub score_prompt: bool,
    /// Whether the beginning of the prompt may come from what other requests have read. The numbers
    /// are the same up to rounding, which depends on what else is in a batch in any case.
    pub cache_prompt: bool,
    /// The names of control tokens that are part of the answer's text, as the marks of tool calls are;
    /// control tokens add nothing to it otherwise. A name that is no control token of the model is
    /// skipped, and a token that ends the answer stays unseen.
    pub shown_tokens: Vec<String>,
}

impl Request {
    /// A request that continues `prompt` with the default settings.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            sampling: Sampling::default(),
            grammar: None,
            stop: Vec::new(),
            tokens_max: None,
            ignore_eos: false,
            logprobs: None,
            score_prompt: false,
            cache_prompt: true,
            shown_tokens: Vec::new(),
        }
    }
}

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The model makes embeddings, not text.
    #[error("`{model}` is an embedding model: it cannot continue text")]
    WrongKind {
        /// The model.
        model: String,
    },
    /// Too many requests wait already.
    #[error("{max} requests are waiting already")]
    QueueFull {
        /// The maximum.
        max: usize,
    },
    /// The prompt leaves no room in the context.
    #[error("the prompt has {tokens} tokens, the context has room for {max}")]
    PromptTooLong {
        /// The prompt's length in tokens.
        tokens: usize,
        /// The longest that can be continued.
        max: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    PromptEmpty,
    /// The text cannot be tokenised.
    #[error("failed to tokenise the prompt")]
    Tokenize(#[source] crate::TokenizeError),
    /// A token number is not in the vocabulary.
    #[error("token {token} is not in the vocabulary of {vocabulary} tokens")]
    Token {
        /// The number.
        token: TokenId,
        /// The vocabulary's size.
        vocabulary: u32,
    },
    /// A negative number stands for no image that is held, or for a part of one only.
    #[error("{token} stands for no image that this model was shown, or not for all of it")]
    Image {
        /// The number.
        token: TokenId,
    },
    /// A setting is out of its range.
    #[error("{setting} is {found}, it must be {range}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        range: &'static str,
    },
    /// The grammar was refused.
    #[error("the request's grammar was refused")]
    Grammar(#[source] GrammarError),
    /// The model's thread has ended.
    #[error("the model has been unloaded")]
    Unloaded,
}

/// Checks everything that needs no model but the size of its vocabulary.
pub(crate) fn check(request: &Request, vocabulary: u32) -> Result<(), GenerateError> {
    check_sampling(&request.sampling, vocabulary)?;
    let too_long = |stop: &String| stop.is_empty() || stop.len() > STOP_BYTES_MAX;
    if request.stop.len() > STOP_COUNT_MAX {
        return Err(setting(
            "the number of stop strings",
            request.stop.len(),
            "at most 32",
        ));
    }
    if let Some(stop) = request.stop.iter().find(|stop| too_long(stop)) {
        let len = stop.len();
        return Err(setting(
            "the length of a stop string",
            len,
            "1 to 1024 bytes",
        ));
    }
    check_shown(&request.shown_tokens)?;
    match request.logprobs {
        Some(count) if count > LOGPROBS_MAX => Err(setting("logprobs", count, "at most 20")),
        _ => Ok(()),
    }
}

fn check_shown(names: &[String]) -> Result<(), GenerateError> {
    if names.len() > SHOWN_TOKENS_MAX {
        let found = names.len();
        return Err(setting("the number of shown tokens", found, "at most 32"));
    }
    match names.iter().map(String::len).max() {
        Some(len) if len > SHOWN_TOKEN_BYTES_MAX => Err(setting(
            "the length of a shown token",
            len,
            "at most 128 bytes",
        )),
        _ => Ok(()),
    }
}

fn check_sampling(sampling: &Sampling, vocabulary: u32) -> Result<(), GenerateError> {
    for (name, value) in [
        ("temp", sampling.temperature),
        ("top-p", sampling.top_p),
        ("min-p", sampling.min_p),
        ("typ-p", sampling.typical_p),
        ("repeat-penalty", sampling.repeat_penalty),
        ("presence-penalty", sampling.presence_penalty),
        ("frequency-penalty", sampling.frequency_penalty),
    ] {
        if !value.is_finite() {
            return Err(setting(name, value, "a finite number"));
        }
    }
    if sampling.repeat_penalty <= 0.0 {
        return Err(setting(
            "repeat-penalty",
            sampling.repeat_penalty,
            "above 0",
        ));
    }
    if sampling.penalty_last_n > PENALTY_LAST_N_MAX {
        return Err(setting(
            "repeat-last-n",
            sampling.penalty_last_n,
            "at most 65536",
        ));
    }
    if sampling.logit_bias.len() > LOGIT_BIAS_MAX {
        let found = sampling.logit_bias.len();
        return Err(setting("the number of logit biases", found, "at most 1024"));
    }
    for (token, bias) in &sampling.logit_bias {
        check_token(*token, vocabulary)?;
        if bias.is_nan() || *bias == f32::INFINITY {
            return Err(setting(
                "a logit bias",
                bias,
                "a number or negative infinity",
            ));
        }
    }
    Ok(())
}

/// Refuses a number outside the vocabulary: llama.cpp would read beyond its tables.
pub(crate) fn check_token(token: TokenId, vocabulary: u32) -> Result<(), GenerateError> {
    match u32::try_from(token).is_ok_and(|token| token < vocabulary) {
        true => Ok(()),
        false => Err(GenerateError::Token { token, vocabulary }),
    }
}

fn setting(setting: &'static str, found: impl ToString, range: &'static str) -> GenerateError {
    GenerateError::Setting {
        setting,
        found: found.to_string(),
        range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Request)) -> String {
        let mut request = Request::new(Prompt::Text("x".to_owned()));
        assert!(check(&request, 100).is_ok());
        change(&mut request);
        check(&request, 100).unwrap_err().to_string()
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let check = |change: &dyn Fn(&mut Request), part: &str| {
            let message = refused(change);
            assert!(message.contains(part), "{message}");
        };
        check(&|request| request.sampling.temperature = f32::NAN, "temp");
        check(&|request| request.sampling.top_p = f32::INFINITY, "top-p");
        check(
            &|request| request.sampling.repeat_penalty = 0.0,
            "repeat-penalty",
        );
        check(
            &|request| request.sampling.penalty_last_n = 70_000,
            "repeat-last-n",
        );
        check(
            &|request| request.sampling.logit_bias = vec![(100, 1.0)],
            "token 100",
        );
        check(
            &|request| request.sampling.logit_bias = vec![(-1, 1.0)],
            "token -1",
        );
        check(
            &|request| request.sampling.logit_bias = vec![(1, f32::NAN)],
            "bias",
        );
        check(
            &|request| request.sampling.logit_bias = vec![(1, 0.0); 1025],
            "1025",
        );
        check(&|request| request.stop = vec!["x".to_owned(); 33], "33");
        check(&|request| request.stop = vec![String::new()], "stop string");
        check(&|request| request.stop = vec!["x".repeat(1025)], "1025");
        check(&|request| request.logprobs = Some(21), "logprobs");
        check(
            &|request| request.shown_tokens = vec![String::new(); 33],
            "33",
        );
        check(
            &|request| request.shown_tokens = vec!["x".repeat(129)],
            "129",
        );
    }

    #[test]
    fn negative_penalties_are_accepted() {
        let mut request = Request::new(Prompt::Text("x".to_owned()));
        request.sampling.presence_penalty = -2.0;
        request.sampling.frequency_penalty = -2.0;
        assert!(check(&request, 100).is_ok());
    }
}
