//! The response itself, and what is kept of one.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::chat::ChunkHead;
use crate::responses::item::{Content, Item};
use crate::responses::request::Settings;
use crate::{ApiError, Citation, FinishReason, Usage};

/// Responses that one may follow, each going on from the one before.
pub const CHAIN_MAX: u32 = 256;

/// A response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Its identifier: `resp_…`.
    pub id: String,
    /// Always `response`.
    pub object: Cow<'static, str>,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds; `null` until it is complete.
    pub completed_at: Option<u64>,
    /// How far it has come.
    pub status: Status,
    /// Why it failed.
    pub error: Option<FailedBy>,
    /// Why it is not whole.
    pub incomplete_details: Option<CutBy>,
    /// The model that answers.
    pub model: String,
    /// What the model said and did.
    pub output: Vec<Item>,
    /// Tokens it took; `null` until it has ended.
    pub usage: Option<ResponseUsage>,
    /// How urgent it was taken.
    pub service_tier: Option<crate::ServiceTier>,
    /// What it was asked with.
    #[serde(flatten)]
    pub settings: Settings,
    /// An addition: the passages that went into the prompt. Absent where nothing was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citations: Option<Vec<Citation>>,
    /// An addition: why it comes without retrieval, was ended by the node, or is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// An addition: the versions of the named prompts it answers by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
}

/// How far a response has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody works on it yet.
    Queued,
    /// It is being answered.
    InProgress,
    /// It is whole.
    Completed,
    /// It was cut off.
    Incomplete,
    /// Something went wrong.
    Failed,
    /// Whoever asked for it did not want it any more.
    Cancelled,
}

/// Why a response failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBy {
    /// For a program.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// Why a response is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutBy {
    /// `max_output_tokens` or `content_filter`.
    pub reason: Cow<'static, str>,
}

/// Tokens of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResponseUsage {
    /// Tokens of the prompt.
    pub input_tokens: u32,
    /// How they divide.
    pub input_tokens_details: InputTokensDetails,
    /// Tokens generated.
    pub output_tokens: u32,
    /// How they divide.
    pub output_tokens_details: OutputTokensDetails,
    /// The two together.
    pub total_tokens: u32,
}

/// How the prompt's tokens divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InputTokensDetails {
    /// Those that were in the engine's cache already.
    pub cached_tokens: u32,
}

/// How the answer's tokens divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputTokensDetails {
    /// Those of thoughts.
    pub reasoning_tokens: u32,
}

impl ResponseUsage {
    /// From what a chat took, of which so many tokens were thoughts.
    pub fn new(usage: Usage, reasoning_tokens: u32) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputTokensDetails {
                cached_tokens: usage.prompt_tokens_details.cached_tokens,
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputTokensDetails {
                reasoning_tokens: reasoning_tokens.min(usage.completion_tokens),
            },
            total_tokens: usage.total_tokens,
        }
    }
}

impl Response {
    /// A response that begins: `head` is that of the chat it is made from.
    pub fn new(id: String, head: ChunkHead, settings: Settings) -> Self {
        Self {
            id,
            object: Cow::Borrowed("response"),
            created_at: head.created,
            completed_at: None,
            status: Status::InProgress,
            error: None,
            incomplete_details: None,
            model: head.model,
            output: Vec::new(),
            usage: None,
            service_tier: head.service_tier,
            settings,
            citations: head.citations,
            warning: head.warning,
            prompts: head.prompts,
        }
    }

    /// What the model thought, all of it.
    pub fn reasoning(&self) -> String {
        let thoughts = self.output.iter().filter_map(|item| match item {
            Item::Reasoning(item) => Some(&item.content),
            _ => None,
        });
        thoughts.flatten().map(Content::text).collect()
    }

    /// Tells the caller something more.
    pub fn warn(&mut self, warning: &str) {
        self.warning = Some(match self.warning.take() {
            Some(before) => format!("{before} {warning}"),
            None => warning.to_owned(),
        });
    }

    /// It ends: whole, or cut off.
    pub(super) fn end(&mut self, reason: FinishReason, usage: ResponseUsage, now: u64) {
        let cut = match reason {
            FinishReason::Length => Some("max_output_tokens"),
            FinishReason::ContentFilter => Some("content_filter"),
            FinishReason::Stop | FinishReason::ToolCalls => None,
        };
        self.usage = Some(usage);
        self.incomplete_details = cut.map(|reason| CutBy {
            reason: Cow::Borrowed(reason),
        });
        match cut {
            Some(_) => self.status = Status::Incomplete,
            None => {
                self.status = Status::Completed;
                self.completed_at = Some(now);
            }
        }
    }

    /// It fails.
    pub fn fail(&mut self, error: &ApiError) {
        self.status = Status::Failed;
        self.error = Some(FailedBy {
            code: match error.status {
                429 => "rate_limit_exceeded",
                400..500 => "invalid_prompt",
                _ => "server_error",
            }
            .to_owned(),
            message: error.message.clone(),
        });
    }
}

/// What is kept of a response: enough to show it, and to go on from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// As it was sent.
    pub response: Response,
    /// Its own part of the conversation.
    pub input: Vec<Item>,
    /// Responses that it follows.
    pub depth: u32,
}

impl Kept {
    /// As bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("wire types always serialise")
    }

    /// From bytes that [`Self::to_json`] gave.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The text that whoever goes on from it has to read.
    pub fn text_bytes(&self) -> usize {
        let items = self.input.iter().chain(&self.response.output);
        items.map(Item::bytes).sum()
    }

    /// What whoever goes on from it has to know: what was said, and what was answered.
    pub fn into_items(self) -> impl Iterator<Item = Item> {
        self.input.into_iter().chain(self.response.output)
    }
}

/// That something is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// What.
    pub id: String,
    /// Of what kind.
    pub object: Cow<'static, str>,
    /// Always true.
    pub deleted: bool,
}

impl Deleted {
    /// An object of this kind is gone.
    pub fn new(id: impl Into<String>, object: &'static str) -> Self {
        Self {
            id: id.into(),
            object: Cow::Borrowed(object),
            deleted: true,
        }
    }
}
