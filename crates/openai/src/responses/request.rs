//! The request for a response, reduced to what it means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::chat::{Shape, check_answers, metadata, thinking};
use crate::fields::{self, Fields};
use crate::responses::conversation;
use crate::responses::item::Item;
use crate::sampling::text_format;
use crate::{ApiError, ChatRequest, Limits, Sampling, ServiceTier, Tooling};

/// What `include` may name. Apart from the log-probabilities, all of it is there anyway or never comes to be: thoughts
/// stand in their items in the clear, and no tool of somebody else's is called.
const INCLUDES: [&str; INCLUDES_MAX] = [
    LOGPROBS,
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "file_search_call.results",
    "web_search_call.action.sources",
    "web_search_call.results",
];

/// Entries of `include`.
pub const INCLUDES_MAX: usize = 8;

const LOGPROBS: &str = "message.output_text.logprobs";

/// A request for a response, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRequest {
    /// Its own part of the conversation; never empty.
    pub input: Vec<Item>,
    /// The response that it goes on from.
    pub previous: Option<String>,
    /// Whether the response is to be kept; `None`: it does not say, which means yes.
    pub store: Option<bool>,
    /// Whether to stream.
    pub stream: bool,
    /// What the response repeats of it.
    pub settings: Settings,
    /// How to answer; the conversation is still to be put in.
    chat: ChatRequest,
    text_bytes_max: usize,
    messages_max: usize,
}

/// What a response repeats of its request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether it is worked on after its caller was answered.
    pub background: bool,
    /// Said before the conversation.
    pub instructions: Option<String>,
    /// Most tokens to generate.
    pub max_output_tokens: Option<u32>,
    /// Always `null`: no tool is called that this would count.
    pub max_tool_calls: Option<u32>,
    /// The caller's own notes.
    pub metadata: BTreeMap<String, String>,
    /// Whether one response may hold several calls.
    pub parallel_tool_calls: bool,
    /// The response that it goes on from.
    pub previous_response_id: Option<String>,
    /// Requests with the same key are likely to share their start.
    pub prompt_cache_key: Option<String>,
    /// How much to think.
    pub reasoning: Value,
    /// The caller's own mark for the end user.
    pub safety_identifier: Option<String>,
    /// Whether it is kept.
    pub store: bool,
    /// As asked for; `null`: the node's own.
    pub temperature: Option<f32>,
    /// What the text conforms to.
    pub text: Value,
    /// What to do with the tools.
    pub tool_choice: Value,
    /// The tools, as they were sent.
    pub tools: Value,
    /// Most likely tokens reported at each position.
    pub top_logprobs: u32,
    /// As asked for; `null`: the node's own.
    pub top_p: Option<f32>,
    /// Always `disabled`: turns are never dropped silently.
    pub truncation: String,
    /// The caller's own mark for the end user, by its older name.
    pub user: Option<String>,
}

impl ResponseRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// 400 naming the field that is wrong, over its limit, or not honoured.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, ApiError> {
        let map = fields::body(bytes)?;
        let root = Fields::root(&map);
        refuse_unsupported(&root)?;
        let chat = chat(&root, limits)?;
        let stream = chat.stream;
        Ok(Self {
            input: Item::parse_input(&root, limits)?,
            previous: root.name("previous_response_id", limits)?,
            store: root.boolean("store")?,
            stream,
            settings: settings(&root, &chat, limits)?,
            chat,
            text_bytes_max: limits.text_bytes_max,
            messages_max: limits.messages_max,
        })
    }

    /// The model asked for.
    pub fn model(&self) -> Option<&str> {
        self.chat.model.as_deref()
    }

    /// Names the items of its input for the response `id`, which is what they are listed under.
    pub fn name_input(&mut self, id: &str) {
        let tail = id.split_once('_').map_or(id, |(_, tail)| tail);
        for (index, item) in self.input.iter_mut().enumerate() {
            item.name(&format!("{tail}i{index:03x}"));
        }
    }

    /// It as a chat that goes on from `history`.
    ///
    /// # Errors
    /// 400 where a result has no call, or all of it together is over a limit.
    pub fn conversation(&self, history: &[Item]) -> Result<ChatRequest, ApiError> {
        let items = || history.iter().chain(&self.input);
        fields::too_long("input", items().count(), self.messages_max)?;
        let bytes = items().map(Item::bytes).sum();
        fields::too_large("input", bytes, self.text_bytes_max)?;
        let instructions = self.settings.instructions.as_deref();
        let messages = conversation::messages(instructions, items());
        if messages.is_empty() {
            let message = "`input` must hold a message.";
            return Err(ApiError::invalid_value("input", message));
        }
        check_answers(&messages).map_err(|error| ApiError {
            param: Some("input".to_owned()),
            ..error
        })?;
        Ok(ChatRequest {
            messages,
            ..self.chat.clone()
        })
    }
}

/// An error of a chat in the words of a response.
#[must_use]
pub fn in_words_of_responses(error: ApiError) -> ApiError {
    let param = error.param.map(|param| match param.as_str() {
        "messages" => "input".to_owned(),
        "response_format" => "text.format".to_owned(),
        other => other.replace(".function.", "."),
    });
    let message = error
        .message
        .replace("`messages`", "`input`")
        .replace("`response_format`", "`text.format`");
    ApiError {
        param,
        message,
        ..error
    }
}

/// What this node does not do; the values that ask for nothing pass.
fn refuse_unsupported(root: &Fields<'_>) -> Result<(), ApiError> {
    for key in [
        "conversation",
        "prompt",
        "max_tool_calls",
        "context_management",
    ] {
        root.refuse(key, &[])?;
    }
    root.refuse("truncation", &[json!("disabled")])?;
    root.refuse(
        "prompt_cache_retention",
        &[json!("in-memory"), json!("in_memory")],
    )?;
    if let Some(options) = root.object("stream_options")? {
        options.refuse("include_obfuscation", &[json!(false)])?;
    }
    if let Some(text) = root.object("text")? {
        text.refuse("verbosity", &[json!("medium")])?;
    }
    if let Some(reasoning) = root.object("reasoning")? {
        for key in ["summary", "generate_summary"] {
            // As much as there is: nobody here sums thoughts up.
            reasoning.refuse(key, &[json!("auto")])?;
        }
    }
    Ok(())
}

fn chat(root: &Fields<'_>, limits: &Limits) -> Result<ChatRequest, ApiError> {
    let tokens_max = root.count("max_output_tokens", 1..=limits.tokens_max)?;
    let mut sampling = Sampling::parse(root, limits)?;
    sampling.tokens_max = tokens_max.or(sampling.tokens_max);
    if let Some(format) = format(root)?
        && let Some(constraint) = text_format(&format, limits)?
        && sampling.constraint.replace(constraint).is_some()
    {
        let message = "Only one of `text.format`, `json_schema` and `grammar` can be given.";
        return Err(ApiError::invalid_value("text.format", message));
    }
    let variables = match root.object("reasoning")? {
        Some(reasoning) => thinking(&reasoning, "effort")?,
        None => Map::new(),
    };
    Ok(ChatRequest {
        model: root.name("model", limits)?,
        messages: Vec::new(),
        tooling: Tooling::parse(root, Shape::Flat, limits)?,
        variables,
        sampling,
        logprobs: logprobs(root, limits)?,
        choices: 1,
        stream: root.boolean("stream")?.unwrap_or(false),
        include_usage: false,
        user: root.name("user", limits)?,
        metadata: metadata(root, limits)?,
        prompt_cache_key: root.name("prompt_cache_key", limits)?,
        service_tier: ServiceTier::parse(root)?,
        // The response is kept, not the chat that makes it.
        store: false,
    })
}

fn format<'a>(root: &Fields<'a>) -> Result<Option<Fields<'a>>, ApiError> {
    match root.object("text")? {
        Some(text) => text.object("format"),
        None => Ok(None),
    }
}

/// Most likely tokens to report; `None` where `include` does not ask for log-probabilities.
fn logprobs(root: &Fields<'_>, limits: &Limits) -> Result<Option<u32>, ApiError> {
    let top = root.count("top_logprobs", 0..=limits.top_logprobs_max)?;
    let includes = root.list("include", INCLUDES_MAX)?.unwrap_or_default();
    for (index, include) in includes.iter().enumerate() {
        let known = include
            .as_str()
            .is_some_and(|name| INCLUDES.contains(&name));
        if !known {
            let param = format!("include[{index}]");
            let message = format!("`{param}` must be one of `{}`.", INCLUDES.join("`, `"));
            return Err(ApiError::invalid_value(param, message));
        }
    }
    let wanted = includes.iter().any(|include| include == LOGPROBS);
    match top {
        Some(top) if top > 0 && !wanted => {
            let message = format!("`top_logprobs` needs `{LOGPROBS}` in `include`.");
            Err(ApiError::invalid_value("top_logprobs", message))
        }
        top => Ok(wanted.then(|| top.unwrap_or(0))),
    }
}

fn settings(root: &Fields<'_>, chat: &ChatRequest, limits: &Limits) -> Result<Settings, ApiError> {
    let reasoning = root.object("reasoning")?;
    let effort = match &reasoning {
        Some(reasoning) => reasoning.text("effort")?,
        None => None,
    };
    let format = root
        .object("text")?
        .and_then(|text| text.get("format").cloned());
    let format = format.unwrap_or_else(|| json!({"type": "text"}));
    let or = |key: &str, default: Value| root.get(key).cloned().unwrap_or(default);
    Ok(Settings {
        background: root.boolean("background")?.unwrap_or(false),
        instructions: instructions(root, limits)?,
        max_output_tokens: chat.sampling.tokens_max,
        max_tool_calls: None,
        metadata: chat.metadata.clone(),
        parallel_tool_calls: chat.tooling.parallel,
        previous_response_id: root.name("previous_response_id", limits)?,
        prompt_cache_key: chat.prompt_cache_key.clone(),
        reasoning: json!({"effort": effort, "summary": null}),
        safety_identifier: root.name("safety_identifier", limits)?,
        store: root.boolean("store")?.unwrap_or(true),
        temperature: chat.sampling.temperature,
        text: json!({"format": format, "verbosity": "medium"}),
        tool_choice: or("tool_choice", json!("auto")),
        tools: or("tools", json!([])),
        top_logprobs: chat.logprobs.unwrap_or(0),
        top_p: chat.sampling.top_p,
        truncation: "disabled".to_owned(),
        user: chat.user.clone(),
    })
}

fn instructions(root: &Fields<'_>, limits: &Limits) -> Result<Option<String>, ApiError> {
    let text = root.text("instructions")?.filter(|text| !text.is_empty());
    fields::too_large(
        "instructions",
        text.map_or(0, str::len),
        limits.text_bytes_max,
    )?;
    Ok(text.map(str::to_owned))
}
