//! What a request cost in tokens, and why its text ended.

use serde::{Deserialize, Serialize};

/// Tokens of a request, as the engine counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, template and passages included.
    pub prompt_tokens: u32,
    /// Tokens generated. Always 0 for embeddings.
    #[serde(default)]
    pub completion_tokens: u32,
    /// The two together.
    pub total_tokens: u32,
    /// How the prompt's tokens divide.
    #[serde(default)]
    pub prompt_tokens_details: PromptTokensDetails,
}

/// How the prompt's tokens divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PromptTokensDetails {
    /// Prompt tokens that were in the engine's cache already.
    pub cached_tokens: u32,
}

impl Usage {
    /// Adds up. `cached` is the part of `prompt` that had not to be read again.
    pub fn new(prompt: u32, completion: u32, cached: u32) -> Self {
        Self {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
            prompt_tokens_details: PromptTokensDetails {
                cached_tokens: cached.min(prompt),
            },
        }
    }
}

/// Why the text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended by itself, or a stop sequence came.
    Stop,
    /// The token limit or the context was reached.
    Length,
    /// The model called tools.
    ToolCalls,
    /// Text was held back.
    ContentFilter,
}
