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

impl Usage {
    /// With another answer to the same prompt, which counts once. What the first to be read did not find in the cache
    /// had to be computed.
    #[must_use]
    pub fn and_choice(self, other: Self) -> Self {
        let cached = |usage: Self| usage.prompt_tokens_details.cached_tokens;
        Self::new(
            self.prompt_tokens.max(other.prompt_tokens),
            self.completion_tokens
                .saturating_add(other.completion_tokens),
            cached(self).min(cached(other)),
        )
    }

    /// With an answer to another prompt.
    #[must_use]
    pub fn and_prompt(self, other: Self) -> Self {
        let cached = |usage: Self| usage.prompt_tokens_details.cached_tokens;
        Self::new(
            self.prompt_tokens.saturating_add(other.prompt_tokens),
            self.completion_tokens
                .saturating_add(other.completion_tokens),
            cached(self).saturating_add(cached(other)),
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_counts_once_for_all_its_choices() {
        let (first, second) = (Usage::new(10, 3, 0), Usage::new(10, 4, 9));
        assert_eq!(first.and_choice(second), Usage::new(10, 7, 0));
        assert_eq!(first.and_prompt(second), Usage::new(20, 7, 9));
    }
}
