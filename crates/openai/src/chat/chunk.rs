//! The chunks of a streamed answer.
//!
//! Order, for each choice: the role (with citations and warning), reasoning, text and calls, the reason it ended. Then
//! usage, where asked for.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::chat::{CallDelta, LogProbs, NodeCall};
use crate::{Citation, FinishReason, ServiceTier, Timings, Usage};

/// One chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatChunk {
    /// Identifier of the answer, the same in every chunk.
    pub id: String,
    /// Always `chat.completion.chunk`.
    pub object: Cow<'static, str>,
    /// Unix seconds, the same in every chunk.
    pub created: u64,
    /// The model that answers.
    pub model: String,
    /// What the engine is built from.
    #[serde(default)]
    pub system_fingerprint: Option<String>,
    /// How urgent it was taken, where the request said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<ServiceTier>,
    /// What is new; empty in the chunk of usage.
    pub choices: Vec<ChunkChoice>,
    /// Absent unless asked for; then `null` in every chunk but the last.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some"
    )]
    pub usage: Option<Option<Usage>>,
    /// How long the answer took, beside the usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// An addition, on the first chunk: why the answer comes without retrieval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// An addition, on a chunk with an empty delta: the node has called a tool of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaia_tool: Option<NodeCall>,
    /// An addition, on the first chunk: the versions of the named prompts it answers by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
}

/// Keeps `null` apart from absent.
fn some<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    input: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// What is new in an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkChoice {
    /// Which answer, from 0.
    pub index: u32,
    /// What is new.
    pub delta: Delta,
    /// Log-probabilities of the new text, where asked for.
    #[serde(default)]
    pub logprobs: Option<LogProbs>,
    /// Why the text ended, on the last chunk with a choice.
    pub finish_reason: Option<FinishReason>,
    /// An addition, on the last chunk with a choice: that the answer was cut off and ended by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// What is new in a message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Delta {
    /// `assistant`, on the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Cow<'static, str>>,
    /// More text, whole UTF-8. `null` on the first chunk of an answer that may have none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "some"
    )]
    pub content: Option<Option<String>>,
    /// More of what the model thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// More of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<CallDelta>>,
    /// An addition, on the first chunk: the passages that went into the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Citation>>,
}

/// What all chunks of an answer, and a whole reply, have in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChunkHead {
    /// Identifier of the answer.
    pub id: String,
    /// Unix seconds.
    pub created: u64,
    /// The model that answers.
    pub model: String,
    /// What the engine is built from.
    pub system_fingerprint: Option<String>,
    /// How urgent the request was taken, where it said something.
    pub service_tier: Option<ServiceTier>,
    /// Whether the stream ends with usage.
    pub include_usage: bool,
    /// Whether the answer may have no text, because it can call tools.
    pub may_call: bool,
    /// The passages that went into the prompt; `None` where nothing was looked up.
    pub citations: Option<Vec<Citation>>,
    /// Why there was no retrieval.
    pub warning: Option<String>,
    /// The versions of the named prompts it answers by.
    pub prompts: Vec<String>,
}

impl ChunkHead {
    /// The first chunk of a choice: the role, what was retrieved, and the warning.
    pub fn first(&self, index: u32) -> ChatChunk {
        let delta = Delta {
            role: Some(Cow::Borrowed("assistant")),
            content: Some((!self.may_call).then(String::new)),
            citations: self.citations.clone(),
            ..Delta::default()
        };
        let mut chunk = self.choice(index, delta, None, None);
        chunk.warning = self.warning.clone();
        chunk.prompts = self.prompts.clone();
        chunk
    }

    /// A chunk of text.
    pub fn text(&self, index: u32, text: String, logprobs: Option<LogProbs>) -> ChatChunk {
        let delta = Delta {
            content: Some(Some(text)),
            ..Delta::default()
        };
        self.choice(index, delta, logprobs, None)
    }

    /// A chunk of reasoning.
    pub fn reasoning(&self, index: u32, text: String) -> ChatChunk {
        let delta = Delta {
            reasoning_content: Some(text),
            ..Delta::default()
        };
        self.choice(index, delta, None, None)
    }

    /// A chunk of a call.
    pub fn call(&self, index: u32, call: CallDelta) -> ChatChunk {
        let delta = Delta {
            tool_calls: Some(vec![call]),
            ..Delta::default()
        };
        self.choice(index, delta, None, None)
    }

    /// A chunk that says that the node has called a tool of its own.
    pub fn node_call(&self, index: u32, call: NodeCall) -> ChatChunk {
        ChatChunk {
            gaia_tool: Some(call),
            ..self.choice(index, Delta::default(), None, None)
        }
    }

    /// The last chunk of a choice.
    pub fn finish(&self, index: u32, reason: FinishReason) -> ChatChunk {
        self.choice(index, Delta::default(), None, Some(reason))
    }

    /// The chunk of usage; to be sent only if `include_usage`.
    pub fn usage(&self, usage: Usage) -> ChatChunk {
        self.chunk(Vec::new(), Some(Some(usage)))
    }

    fn choice(
        &self,
        index: u32,
        delta: Delta,
        logprobs: Option<LogProbs>,
        finish_reason: Option<FinishReason>,
    ) -> ChatChunk {
        let choice = ChunkChoice {
            index,
            delta,
            logprobs,
            finish_reason,
            warning: None,
        };
        self.chunk(vec![choice], self.include_usage.then_some(None))
    }

    fn chunk(&self, choices: Vec<ChunkChoice>, usage: Option<Option<Usage>>) -> ChatChunk {
        ChatChunk {
            id: self.id.clone(),
            object: Cow::Borrowed("chat.completion.chunk"),
            created: self.created,
            model: self.model.clone(),
            system_fingerprint: self.system_fingerprint.clone(),
            service_tier: self.service_tier,
            choices,
            usage,
            timings: None,
            warning: None,
            gaia_tool: None,
            prompts: Vec::new(),
        }
    }
}
