//! `POST /v1/completions`: plain continuation of a prompt.

mod native;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::chat::TokenLogProb;
use crate::fields::{self, Fields};
use crate::input::{self, Input, Inputs};
use crate::{ApiError, FinishReason, Limits, Sampling, ServiceTier, Usage};

pub use native::{NativeChunk, NativeProbability, NativeReply, NativeRequest, RESPONSE_FIELDS_MAX};

/// Tokens generated when a request names no maximum: what OpenAI's specification says.
pub const TOKENS_MAX_DEFAULT: u32 = 16;

/// A completion request, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// The model asked for; the node's chat model when absent.
    pub model: Option<String>,
    /// What to continue, never empty; each becomes a choice.
    pub prompts: Vec<Input>,
    /// How to choose tokens; `tokens_max` is always there.
    pub sampling: Sampling,
    /// Most likely tokens to report at each position; `None` = no log-probabilities at all.
    pub logprobs: Option<u32>,
    /// Whether the text starts with the prompt, and the log-probabilities with its.
    pub echo: bool,
    /// Whether nothing but the prompt is wanted, with its log-probabilities: `echo` with `max_tokens` of 0. One token
    /// is written all the same and left out, for the engine writes one at least.
    pub only_echo: bool,
    /// What comes after the text: the model fills the gap between. Never empty.
    pub suffix: Option<String>,
    /// How many answers to each prompt, at least one.
    pub choices: u32,
    /// Whether to stream.
    pub stream: bool,
    /// Whether a stream ends with a chunk of usage.
    pub include_usage: bool,
    /// The caller's own mark for the end user.
    pub user: Option<String>,
    /// How urgent it is, where it says: an addition, OpenAI has it for chat alone.
    pub service_tier: Option<ServiceTier>,
}

/// Text to continue, as the engine takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// As text.
    Text(String),
    /// As token ids.
    Tokens(Vec<u32>),
}

impl Prompt {
    /// Whether it is this text.
    pub fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(own) if own == text)
    }
}

impl CompletionRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong, over its limit, or not honoured yet.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let mut map = fields::body(bytes)?;
        let only_echo = take_only_echo(&mut map);
        let root = Fields::root(&map);
        let choices = crate::chat::choices(&root, limits)?;
        root.count("best_of", 1..=20)?;
        root.refuse("best_of", &[json!(1), json!(choices)])?;
        let (stream, include_usage) = crate::chat::stream(&root)?;
        let mut sampling = Sampling::parse(&root, limits)?;
        sampling.tokens_max.get_or_insert(TOKENS_MAX_DEFAULT);
        let logprobs = root.count("logprobs", 0..=limits.top_logprobs_max)?;
        let echo = root.boolean("echo")?.unwrap_or(false);
        let suffix = suffix(&root, limits)?;
        if echo && logprobs.is_some() && suffix.is_some() {
            let message = "`suffix` cannot be combined with `logprobs` of an echoed prompt.";
            return Err(ApiError::unsupported("suffix", message));
        }
        Ok(Self {
            model: root.name("model", limits)?,
            prompts: Inputs::parse(&root, "prompt", limits)?.list,
            sampling,
            logprobs,
            echo,
            only_echo,
            suffix,
            choices,
            stream,
            include_usage,
            user: root.name("user", limits)?,
            service_tier: ServiceTier::parse(&root)?,
        })
    }

    /// Refuses token ids that a vocabulary of `size` tokens does not have.
    ///
    /// # Errors
    /// 400 naming `prompt`.
    pub fn check_vocabulary(&self, size: u32) -> Result<(), ApiError> {
        let unknown = self
            .prompts
            .iter()
            .find_map(|input| input.unknown_token(size));
        input::check_known(unknown, "prompt", size)
    }
}

/// Whether nothing but the prompt is wanted. For all else that reads the request it is then one token.
fn take_only_echo(map: &mut Map<String, Value>) -> bool {
    if map.get("echo") != Some(&Value::Bool(true)) {
        return false;
    }
    let mut only_echo = false;
    // Where there are both, the second counts.
    for key in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = map.get_mut(key).filter(|value| !value.is_null()) else {
            continue;
        };
        only_echo = fields::whole(value) == Some(0);
        if only_echo {
            *value = json!(1);
        }
    }
    only_echo
}

fn suffix(root: &Fields<'_>, limits: &Limits) -> Result<Option<String>, ApiError> {
    let suffix = root.text("suffix")?.unwrap_or_default();
    fields::too_large("suffix", suffix.len(), limits.text_bytes_max)?;
    Ok((!suffix.is_empty()).then(|| suffix.to_owned()))
}

/// The tokens with which a model is asked for what is missing in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Infill {
    /// Goes before what comes before the gap.
    pub prefix: u32,
    /// Goes before what comes after it.
    pub suffix: u32,
    /// Goes before what is missing.
    pub middle: u32,
}

impl From<[u32; 3]> for Infill {
    fn from([prefix, suffix, middle]: [u32; 3]) -> Self {
        Self {
            prefix,
            suffix,
            middle,
        }
    }
}

impl Infill {
    /// The prompt for a gap, which begins with `start` where texts of the model do.
    pub fn prompt(&self, start: Option<u32>, prefix: &[u32], suffix: &[u32]) -> Vec<u32> {
        let start = start.as_slice();
        let parts = [
            start,
            &[self.prefix],
            prefix,
            &[self.suffix],
            suffix,
            &[self.middle],
        ];
        parts.concat()
    }
}

/// A completion, and each chunk of a streamed one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionReply {
    /// Identifier of the answer.
    pub id: String,
    /// Always `text_completion`.
    pub object: Cow<'static, str>,
    /// Unix seconds.
    pub created: u64,
    /// The model that answered.
    pub model: String,
    /// What the engine is built from.
    #[serde(default)]
    pub system_fingerprint: Option<String>,
    /// `n` choices a prompt, those of the first prompt first; empty in a stream's chunk of usage.
    pub choices: Vec<CompletionChoice>,
    /// Tokens it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// How urgent it was taken, where the request said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
}

/// The continuation of one prompt, or a piece of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionChoice {
    /// Which prompt, times `n`, and which of its answers.
    pub index: u32,
    /// The text.
    pub text: String,
    /// Log-probabilities, where asked for.
    #[serde(default)]
    pub logprobs: Option<CompletionLogProbs>,
    /// Why the text ended; `null` before the last chunk of a stream.
    pub finish_reason: Option<FinishReason>,
    /// An addition, with the reason: that the text was cut off and ended by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl CompletionReply {
    /// A reply or a chunk.
    pub fn new(
        id: impl Into<String>,
        created: u64,
        model: impl Into<String>,
        choices: Vec<CompletionChoice>,
        usage: Option<Usage>,
    ) -> Self {
        Self {
            id: id.into(),
            object: Cow::Borrowed("text_completion"),
            created,
            model: model.into(),
            system_fingerprint: None,
            choices,
            usage,
            service_tier: None,
        }
    }

    /// The same, with the tier it was given.
    #[must_use]
    pub fn with_tier(mut self, tier: Option<ServiceTier>) -> Self {
        self.service_tier = tier;
        self
    }
}

/// Log-probabilities as completions carry them: parallel lists.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CompletionLogProbs {
    /// Texts of the tokens.
    pub tokens: Vec<String>,
    /// Natural logarithms of their probabilities; `null` for the first of a prompt: nothing comes before it.
    pub token_logprobs: Vec<Option<f32>>,
    /// The likeliest tokens at each position.
    pub top_logprobs: Vec<Option<BTreeMap<String, f32>>>,
    /// Where each token starts in the text, in characters.
    pub text_offset: Vec<u32>,
}

impl CompletionLogProbs {
    /// From tokens; the first starts `offset` characters into the text.
    pub fn new(tokens: &[TokenLogProb], offset: u32) -> Self {
        let mut out = Self::default();
        let mut at = offset;
        for token in tokens {
            out.tokens.push(token.token.clone());
            out.token_logprobs.push(Some(token.logprob));
            let top = token.top_logprobs.iter();
            let top = top.map(|top| (top.token.clone(), top.logprob)).collect();
            out.top_logprobs.push(Some(top));
            out.text_offset.push(at);
            let chars = u32::try_from(token.token.chars().count()).unwrap_or(u32::MAX);
            at = at.saturating_add(chars);
        }
        out
    }

    /// The same after the first token of an echoed prompt.
    #[must_use]
    pub fn after(mut self, first: String) -> Self {
        self.tokens.insert(0, first);
        self.token_logprobs.insert(0, None);
        self.top_logprobs.insert(0, None);
        self.text_offset.insert(0, 0);
        self
    }
}
