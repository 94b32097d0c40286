//! The whole answer, for requests that do not stream.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::chat::{ChunkHead, LogProbs, NodeCall, ToolCall};
use crate::{Citation, FinishReason, ServiceTier, Timings, Usage};

/// A chat answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatReply {
    /// Identifier of the answer.
    pub id: String,
    /// Always `chat.completion`.
    pub object: Cow<'static, str>,
    /// Unix seconds.
    pub created: u64,
    /// The model that answered.
    pub model: String,
    /// The answers: as many as were asked for.
    pub choices: Vec<ChatChoice>,
    /// Tokens it took.
    pub usage: Usage,
    /// How long it took, as llama.cpp's server says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// What the engine is built from.
    #[serde(default)]
    pub system_fingerprint: Option<String>,
    /// How urgent it was taken, where the request said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
    /// An addition: why the answer came without retrieval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// An addition: the calls of its own tools that the node made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaia_tools: Vec<NodeCall>,
    /// An addition: the versions of the named prompts it was answered by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChoice {
    /// Which answer, from 0.
    pub index: u32,
    /// What the model says.
    pub message: AssistantMessage,
    /// Log-probabilities, where asked for.
    #[serde(default)]
    pub logprobs: Option<LogProbs>,
    /// Why the text ended.
    pub finish_reason: FinishReason,
    /// An addition: that the answer was cut off and ended by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// What the model says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssistantMessage {
    /// Always `assistant`.
    pub role: Cow<'static, str>,
    /// The text; `null` where there are only calls.
    pub content: Option<String>,
    /// Always `null`.
    #[serde(default)]
    pub refusal: Option<String>,
    /// What it thought before, where the model shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The tools it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCall>>,
    /// An addition: the passages that went into the prompt. Absent where nothing was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Citation>>,
}

/// All that a model said in one answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answered {
    /// The text.
    pub text: String,
    /// What it thought before.
    pub reasoning: String,
    /// The tools it calls.
    pub calls: Vec<ToolCall>,
}

impl Answered {
    fn message(self, head: &ChunkHead) -> AssistantMessage {
        let only_calls = self.text.is_empty() && !self.calls.is_empty();
        AssistantMessage {
            role: Cow::Borrowed("assistant"),
            content: (!only_calls).then_some(self.text),
            refusal: None,
            reasoning_content: Some(self.reasoning).filter(|text| !text.is_empty()),
            tool_calls: Some(self.calls).filter(|calls| !calls.is_empty()),
            citations: head.citations.clone(),
        }
    }
}

impl ChatChoice {
    /// One of the answers that begin with `head`.
    pub fn new(
        head: &ChunkHead,
        index: u32,
        answered: Answered,
        logprobs: Option<LogProbs>,
        finish_reason: FinishReason,
    ) -> Self {
        Self {
            index,
            message: answered.message(head),
            logprobs,
            finish_reason,
            warning: None,
        }
    }
}

impl ChatReply {
    /// The answer to one request.
    pub fn new(head: &ChunkHead, choices: Vec<ChatChoice>, usage: Usage) -> Self {
        Self {
            id: head.id.clone(),
            object: Cow::Borrowed("chat.completion"),
            created: head.created,
            model: head.model.clone(),
            choices,
            usage,
            timings: None,
            system_fingerprint: head.system_fingerprint.clone(),
            service_tier: head.service_tier,
            warning: head.warning.clone(),
            gaia_tools: Vec::new(),
            prompts: head.prompts.clone(),
        }
    }
}
