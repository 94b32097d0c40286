//! The chat request, reduced to what it means.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::chat::tool::Shape;
use crate::chat::{Message, Tooling, variables};
use crate::fields::{self, Fields};
use crate::{ApiError, Limits, Sampling, ServiceTier};

/// A chat request, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model asked for; the node's chat model when absent.
    pub model: Option<String>,
    /// The conversation; never empty.
    pub messages: Vec<Message>,
    /// The tools it offers.
    pub tooling: Tooling,
    /// What it tells the model's template: `reasoning_effort` and `chat_template_kwargs`.
    pub variables: Map<String, Value>,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// Most likely tokens to report at each position; `None` = no log-probabilities at all.
    pub logprobs: Option<u32>,
    /// How many answers, at least one.
    pub choices: u32,
    /// Whether to stream.
    pub stream: bool,
    /// Whether a stream ends with a chunk of usage.
    pub include_usage: bool,
    /// The caller's own mark for the end user.
    pub user: Option<String>,
    /// The caller's own notes.
    pub metadata: BTreeMap<String, String>,
    /// Requests with the same key are likely to share their start.
    pub prompt_cache_key: Option<String>,
    /// How urgent it is, where it says.
    pub service_tier: Option<ServiceTier>,
    /// Whether the answer is to be kept. Chats are not; the caller is told.
    pub store: bool,
}

impl ChatRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong, over its limit, or not honoured yet.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        root.refuse("add_generation_prompt", &[json!(true)])?;
        Self::read(&root, limits)
    }

    /// Reads what is asked, whatever is to be done with it.
    pub(crate) fn read(root: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        refuse_unsupported(root)?;
        let (stream, include_usage) = stream(root)?;
        Ok(Self {
            model: root.name("model", limits)?,
            messages: Message::parse_list(root, limits)?,
            tooling: Tooling::parse(root, Shape::Nested, limits)?,
            variables: variables::parse(root, limits)?,
            sampling: Sampling::parse(root, limits)?,
            logprobs: logprobs(root, limits)?,
            choices: choices(root, limits)?,
            stream,
            include_usage,
            user: root.name("user", limits)?,
            metadata: metadata(root, limits)?,
            prompt_cache_key: root.name("prompt_cache_key", limits)?,
            service_tier: ServiceTier::parse(root)?,
            store: root.boolean("store")?.unwrap_or(false),
        })
    }
}

/// What this node does not do yet; the values that ask for nothing pass.
fn refuse_unsupported(root: &Fields<'_>) -> Result<(), ApiError> {
    root.refuse("functions", &[json!([])])?;
    root.refuse("function_call", &[json!("none"), json!("auto")])?;
    root.refuse("modalities", &[json!(["text"])])?;
    for key in ["audio", "prediction", "web_search_options", "moderation"] {
        root.refuse(key, &[])?;
    }
    root.refuse("verbosity", &[json!("medium")])
}

/// How many answers are wanted.
pub(crate) fn choices(root: &Fields<'_>, limits: &Limits) -> Result<u32, ApiError> {
    Ok(root.count("n", 1..=limits.choices_max)?.unwrap_or(1))
}

pub(crate) fn stream(root: &Fields<'_>) -> Result<(bool, bool), ApiError> {
    let stream = root.boolean("stream")?.unwrap_or(false);
    let Some(options) = root.object("stream_options")? else {
        return Ok((stream, false));
    };
    if !stream {
        let message = "`stream_options` is only allowed when `stream` is true.";
        return Err(ApiError::invalid_value("stream_options", message));
    }
    Ok((stream, options.boolean("include_usage")?.unwrap_or(false)))
}

fn logprobs(root: &Fields<'_>, limits: &Limits) -> Result<Option<u32>, ApiError> {
    let wanted = root.boolean("logprobs")?.unwrap_or(false);
    match root.count("top_logprobs", 0..=limits.top_logprobs_max)? {
        Some(top) if top > 0 && !wanted => {
            let message = "`top_logprobs` needs `logprobs` to be true.";
            Err(ApiError::invalid_value("top_logprobs", message))
        }
        top => Ok(wanted.then(|| top.unwrap_or(0))),
    }
}

pub(crate) fn metadata(
    root: &Fields<'_>,
    limits: &Limits,
) -> Result<BTreeMap<String, String>, ApiError> {
    let Some(map) = root.object("metadata")? else {
        return Ok(BTreeMap::new());
    };
    fields::too_long("metadata", map.len(), limits.metadata_max)?;
    map.entries()
        .map(|(key, value)| match value {
            Value::String(text) if key.len().max(text.len()) <= limits.name_bytes_max => {
                Ok((key.clone(), text.clone()))
            }
            _ => {
                let max = limits.name_bytes_max;
                let message = format!("`metadata` maps strings to strings of at most {max} bytes.");
                Err(ApiError::invalid_value("metadata", message))
            }
        })
        .collect()
}
