//! What every turn of a node has in common.

use gaia_openai::Sampling;
use gaia_prompt::{ChatTemplate, RagPrompt};
use gaia_rag::SelectLimits;

use crate::Engine;

/// The chat model and the owner's choices.
#[derive(Debug)]
pub struct Node {
    /// Renders conversations for the model.
    pub template: ChatTemplate,
    /// What generates.
    pub engine: Engine,
    /// Tokens of context one conversation has.
    pub context_tokens: u32,
    /// Tokens in the model's vocabulary, where the engine tells.
    pub vocabulary: Option<u32>,
    /// Most tokens an answer may have, whatever is asked for.
    pub completion_tokens_max: Option<u32>,
    /// Goes first where a conversation brings no system message.
    pub system_prompt: Option<String>,
    /// The temperature of requests that name none; `None`: the engine's.
    pub temperature: Option<f32>,
    /// How passages are put into the prompt.
    pub rag_prompt: RagPrompt,
    /// How passages are found; `None` without a knowledge base.
    pub retrieval: Option<Retrieval>,
}

impl Node {
    /// What a request asks for, with the owner's choice where it asks for nothing.
    #[must_use]
    pub fn sampling(&self, asked: &Sampling) -> Sampling {
        let mut sampling = asked.clone();
        sampling.temperature = sampling.temperature.or(self.temperature);
        sampling
    }
}

/// How passages are found.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieval {
    /// User turns that make up the query.
    pub context_window: usize,
    /// Which hits count.
    pub select: SelectLimits,
    /// Most tokens of all passages in a prompt.
    pub tokens_max: u32,
    /// Whether to refuse to answer when retrieval fails.
    pub required: bool,
}
