//! What every turn of a node has in common.

use gaia_openai::{ApiError, Message, Sampling};
use gaia_prompt::prompt::Opening;
use gaia_prompt::{ChatTemplate, RagPrompt, TemplateError};
use gaia_rag::SelectLimits;

use crate::Engine;

/// The chat model and the owner's choices.
#[derive(Debug, Clone)]
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
    /// Goes before a conversation.
    pub opening: Opening,
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

    /// A conversation as the template is given it: with what the owner puts before it.
    pub fn messages(&self, messages: &[Message]) -> Vec<gaia_prompt::Message> {
        let messages = messages.iter().map(for_template).collect();
        self.opening.open(messages)
    }

    /// The prompt that the model reads.
    ///
    /// # Errors
    /// 400 where the template refuses the messages, 500 where it is broken.
    pub fn render(
        &self,
        messages: &[gaia_prompt::Message],
        now_unix_seconds: i64,
    ) -> Result<String, ApiError> {
        let rendered = self.template.render(messages, now_unix_seconds);
        rendered.map_err(template_error)
    }
}

fn for_template(message: &Message) -> gaia_prompt::Message {
    gaia_prompt::Message::new(message.role.as_str(), message.content.clone())
}

/// A template that refuses the messages is the caller's affair, a broken one the owner's.
fn template_error(error: TemplateError) -> ApiError {
    match error {
        TemplateError::Refused { .. } => ApiError::invalid_value("messages", error.to_string()),
        error => ApiError::internal(error.to_string()),
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
