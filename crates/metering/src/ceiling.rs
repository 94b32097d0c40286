//! The most that a request can cost: what is set aside before a node is asked.
//!
//! A token of a byte-level vocabulary is one byte of text at least, so what the model reads has no more tokens than
//! bytes. Which bytes those are follows from the request, the model's template and what nodes put in themselves:
//! the domain's configuration bounds the last two for each model ([`ModelLimits`]). A prompt and its answer share one
//! context in any case.
//!
//! Invariant: no honest node's answer can be counted higher.

mod read;

use gaia_ledger::price::TokenCeiling;
use gaia_statements::{Counted, TokenCounts};
use serde_json::Value;

use self::read::Asked;
use crate::Kind;

/// What a model, its template and the nodes that serve it can add to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelLimits {
    /// The longest context that a node of the domain may give one request: no prompt with its answer is longer.
    pub context_tokens: u64,
    /// The most tokens of an answer where the request does not say; the context, where nodes set no maximum.
    pub output_tokens_max: u64,
    /// The most answers to one request, and to one prompt of it.
    pub choices_max: u64,
    /// Tokens that a template writes by itself for a conversation, the model's own instructions included.
    pub template_tokens: u64,
    /// Tokens that it writes around each message, call or tool.
    pub message_tokens: u64,
    /// The most tokens that nodes put in: their prompts, passages with what introduces them, their own tools.
    pub node_tokens: u64,
    /// The most tokens of one image. 0: the model sees none.
    pub image_tokens: u64,
    /// The most tokens that a byte of text can become: 1 for byte-level vocabularies; more where a vocabulary
    /// rewrites characters before it cuts them.
    pub byte_tokens: u64,
    /// How often a node may call tools of its own for one question: each time the prompt is read again.
    pub own_rounds_max: u64,
}

impl Default for ModelLimits {
    /// For a model of ChatML with nodes as they are set up: 4,096 tokens of context, no tools of their own.
    fn default() -> Self {
        Self {
            context_tokens: 4096,
            output_tokens_max: 4096,
            choices_max: 8,
            template_tokens: 256,
            message_tokens: 16,
            node_tokens: 2048,
            image_tokens: 0,
            byte_tokens: 1,
            own_rounds_max: 0,
        }
    }
}

/// Why a request has no ceiling: it is none that a node would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeilingError {
    /// Not an object.
    #[error("the body must be a JSON object")]
    NoObject,
    /// A number that is none, or not one of those that may be asked for.
    #[error("`{field}` must be a whole number from 0 to {max}")]
    Number {
        /// Which.
        field: &'static str,
        /// The greatest that may be asked for.
        max: u64,
    },
    /// More than can be counted.
    #[error("the request asks for more tokens than can be set aside: send less at once")]
    TooMuch,
}

/// The most tokens that a request of this kind can be counted to have taken.
///
/// # Errors
/// The request is none that a node would answer, by the field that says so; and more than can be counted.
pub fn ceiling(
    kind: Kind,
    body: &Value,
    limits: &ModelLimits,
) -> Result<TokenCeiling, CeilingError> {
    let asked = Asked::read(kind, body, limits)?;
    asked.ceiling(kind, limits).ok_or(CeilingError::TooMuch)
}

/// What was counted, held to what was set aside for it: a text can have a few more tokens than the model took to write
/// it, and is not to cost more than was agreed.
#[must_use]
pub fn hold(counted: Counted, ceiling: &TokenCeiling) -> Counted {
    let cached = counted.0.cached.min(ceiling.prompt);
    Counted(TokenCounts {
        input: counted.0.input.min(ceiling.prompt - cached),
        cached,
        output: counted.0.output.min(ceiling.output),
    })
}

impl Asked {
    fn ceiling(&self, kind: Kind, limits: &ModelLimits) -> Option<TokenCeiling> {
        let bytes = self.bytes.checked_mul(limits.byte_tokens)?;
        let around = self.pieces.checked_mul(limits.message_tokens)?;
        let images = self.images.checked_mul(limits.image_tokens)?;
        let said = bytes.checked_add(around)?.checked_add(images)?;
        match kind {
            Kind::Embeddings => Some(TokenCeiling {
                prompt: said,
                output: 0,
            }),
            Kind::Rerank => {
                let templates = self.prompts.checked_mul(limits.template_tokens)?;
                let prompt = said.checked_add(templates)?;
                Some(TokenCeiling { prompt, output: 0 })
            }
            Kind::Completion => {
                let all = self.prompts.checked_mul(limits.context_tokens)?;
                self.with_output(said.min(all), limits)
            }
            Kind::Chat | Kind::Responses => {
                let prompt = self.conversation(said, limits)?;
                self.with_output(prompt, limits)
            }
        }
    }

    fn conversation(&self, said: u64, limits: &ModelLimits) -> Option<u64> {
        let own = limits.template_tokens.checked_add(limits.node_tokens)?;
        let once = match self.is_continued {
            true => limits.context_tokens,
            false => said.checked_add(own)?.min(limits.context_tokens),
        };
        // What tools say is added to the prompt, which only the context bounds.
        once.checked_add(limits.own_rounds_max.checked_mul(limits.context_tokens)?)
    }

    fn with_output(&self, prompt: u64, limits: &ModelLimits) -> Option<TokenCeiling> {
        let each = self.output.unwrap_or(limits.output_tokens_max);
        let each = each
            .min(limits.output_tokens_max)
            .min(limits.context_tokens);
        let output = each
            .max(1)
            .checked_mul(self.choices)?
            .checked_mul(self.prompts)?;
        Some(TokenCeiling { prompt, output })
    }
}
