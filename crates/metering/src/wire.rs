//! What is read of replies and events: little, borrowed from the bytes where nothing is escaped.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// A text that is borrowed where it can be.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A whole reply, or a chunk of one, of every kind but [`Kind::Responses`](crate::Kind).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reply<'a> {
    #[serde(borrow)]
    pub choices: Option<Vec<Choice<'a>>>,
    pub usage: Option<Usage>,
    pub created: Option<u64>,
    #[serde(borrow)]
    pub model: Option<Text<'a>>,
    #[serde(borrow)]
    pub prompts: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub gaia_tool: Option<Function<'a>>,
    #[serde(borrow)]
    pub gaia_tools: Option<Vec<Function<'a>>>,
    #[serde(borrow)]
    pub error: Option<Error<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice<'a> {
    pub index: u32,
    #[serde(borrow)]
    pub delta: Option<Message<'a>>,
    #[serde(borrow)]
    pub message: Option<Message<'a>>,
    /// Of completions.
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub finish_reason: Option<Text<'a>>,
    pub warning: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub content: Option<Text<'a>>,
    #[serde(borrow)]
    pub reasoning_content: Option<Text<'a>>,
    /// The same, as newer servers of others call it; beside the other name it is a copy.
    #[serde(borrow)]
    pub reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<CallPart<'a>>>,
    #[serde(borrow)]
    pub citations: Option<Vec<Citation<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CallPart<'a> {
    /// Which call; in whole replies the place in the list says it.
    pub index: Option<usize>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Function<'a> {
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Citation<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
    #[serde(borrow)]
    pub document: Option<Text<'a>>,
    pub chunk: u32,
    pub start: u64,
    pub score: Option<IgnoredAny>,
}

/// In the words of chat and of responses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Usage {
    pub prompt_tokens: Option<u64>,
    pub input_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    /// Servers that rank say nothing else.
    pub total_tokens: Option<u64>,
    pub prompt_tokens_details: Option<Details>,
    pub input_tokens_details: Option<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    pub cached_tokens: Option<u64>,
}

/// As our nodes say it, and as others do.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Error<'a> {
    Told {
        #[serde(borrow)]
        message: Text<'a>,
    },
    Said(#[serde(borrow)] Text<'a>),
    Other(IgnoredAny),
}

/// An event of a streamed response.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub delta: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub item: Option<Item<'a>>,
    #[serde(borrow, default)]
    pub response: Option<Response<'a>>,
    #[serde(borrow, default)]
    pub message: Option<Text<'a>>,
}

/// A response, whole or on its way.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Response<'a> {
    pub created_at: Option<u64>,
    #[serde(borrow)]
    pub model: Option<Text<'a>>,
    #[serde(borrow)]
    pub status: Option<Text<'a>>,
    #[serde(borrow)]
    pub error: Option<Error<'a>>,
    #[serde(borrow)]
    pub output: Option<Vec<Item<'a>>>,
    pub usage: Option<Usage>,
    #[serde(borrow)]
    pub citations: Option<Vec<Citation<'a>>>,
    #[serde(borrow)]
    pub prompts: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub content: Option<Vec<Content<'a>>>,
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    #[serde(borrow)]
    pub arguments: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Content<'a> {
    #[serde(borrow)]
    pub text: Option<Text<'a>>,
}
