//! Messages of a conversation: content as text or as parts becomes one text.
//!
//! Invariant: a message of role `tool` answers a call of the assistant's message before it, and each
//! call has one answer at most.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat::ToolCall;
use crate::fields::{self, Fields};
use crate::image::ImageFile;
use crate::{ApiError, Limits};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The one who sets the rules. `developer` is this too: no open model's template knows it.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
    /// A tool that the model called.
    Tool,
}

impl Role {
    /// The role's name in requests and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; may be empty beside calls.
    pub content: String,
    /// The speaker's name, where there are several of a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The assistant's calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool's message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What the assistant thought before it answered; templates put it back where their model wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The images that its content names.
    #[serde(skip)]
    pub images: Vec<ImageFile>,
}

impl Message {
    /// A message without a speaker's name.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            reasoning_content: None,
            images: Vec::new(),
        }
    }

    /// The field `messages` of a request.
    pub(crate) fn parse_list(root: &Fields<'_>, limits: &Limits) -> Result<Vec<Self>, ApiError> {
        root.require("messages")?;
        let list = root
            .list("messages", limits.messages_max)?
            .unwrap_or_default();
        if list.is_empty() {
            let message = "`messages` must not be empty.";
            return Err(ApiError::invalid_value("messages", message));
        }
        let mut messages = Vec::with_capacity(list.len());
        let (mut bytes, mut images) = (0, 0);
        for (index, value) in list.iter().enumerate() {
            let fields = Fields::of(value, format!("messages[{index}]"))?;
            let message = Self::parse(&fields, limits)?;
            bytes += message.bytes();
            fields::too_large("messages", bytes, limits.text_bytes_max)?;
            images += message.images.len();
            too_many_images("messages", images, limits)?;
            messages.push(message);
        }
        check_answers(&messages)?;
        Ok(messages)
    }

    /// Its text.
    fn bytes(&self) -> usize {
        let calls = self.tool_calls.iter();
        let calls: usize = calls
            .map(|call| call.name.len() + call.arguments.len())
            .sum();
        self.content.len() + self.reasoning_content.as_ref().map_or(0, String::len) + calls
    }

    fn parse(fields: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        let role = role(fields)?;
        for key in ["function_call", "audio"] {
            fields.refuse(key, &[])?;
        }
        let tool_calls = match role {
            Role::Assistant => ToolCall::parse_list(fields, limits)?,
            _ => {
                fields.refuse("tool_calls", &[Value::Array(Vec::new())])?;
                Vec::new()
            }
        };
        if role == Role::Tool {
            fields.require("tool_call_id")?;
        }
        let said = content(fields, tool_calls.is_empty(), limits)?;
        if role != Role::User && !said.images.is_empty() {
            let message = "Images may stand in messages of role `user` only.";
            return Err(ApiError::unsupported(fields.param("content"), message));
        }
        Ok(Self {
            role,
            content: said.text,
            images: said.images,
            name: fields.name("name", limits)?,
            tool_calls,
            tool_call_id: fields.name("tool_call_id", limits)?,
            reasoning_content: match role {
                Role::Assistant => fields.text("reasoning_content")?.map(str::to_owned),
                _ => None,
            },
        })
    }
}

/// More than a request may carry.
pub(crate) fn too_many_images(param: &str, found: usize, limits: &Limits) -> Result<(), ApiError> {
    match found > limits.images_max {
        true => {
            let max = limits.images_max;
            let message = format!("A request may carry {max} images, and this one has more.");
            Err(ApiError::invalid_value(param, message))
        }
        false => Ok(()),
    }
}

/// What a message says.
#[derive(Default)]
struct Said {
    text: String,
    images: Vec<ImageFile>,
}

impl Said {
    fn words(text: String) -> Self {
        Self {
            text,
            images: Vec::new(),
        }
    }
}

/// What a message says; only one that calls may say nothing.
fn content(fields: &Fields<'_>, required: bool, limits: &Limits) -> Result<Said, ApiError> {
    let value = match required {
        true => Some(fields.require("content")?),
        false => fields.get("content"),
    };
    match value {
        None => Ok(Said::default()),
        Some(Value::String(text)) => Ok(Said::words(text.clone())),
        Some(Value::Array(parts)) => join_parts(parts, &fields.param("content"), limits),
        Some(_) => Err(ApiError::invalid_type(
            fields.param("content"),
            "a string or a list of parts",
        )),
    }
}

/// A tool speaks only when it was called, and once for each call.
pub(crate) fn check_answers(messages: &[Message]) -> Result<(), ApiError> {
    let mut open = HashSet::new();
    for (index, message) in messages.iter().enumerate() {
        let id = match message.role {
            Role::Tool => message.tool_call_id.as_deref().unwrap_or_default(),
            _ => {
                let calls = message.tool_calls.iter();
                open = calls.map(|call| call.id.as_str()).collect();
                continue;
            }
        };
        if !open.remove(id) {
            let message = format!(
                "`{id}` is no call of the assistant's message before, or it has an answer already."
            );
            let param = format!("messages[{index}].tool_call_id");
            return Err(ApiError::invalid_value(param, message));
        }
    }
    Ok(())
}

fn role(fields: &Fields<'_>) -> Result<Role, ApiError> {
    fields.require("role")?;
    let param = fields.param("role");
    match fields.text("role")?.unwrap_or_default() {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" => Ok(Role::Tool),
        "function" => Err(ApiError::unsupported(
            param,
            "Messages of role `function` are not supported: send the role `tool` with its `tool_call_id`.",
        )),
        _ => Err(ApiError::invalid_value(
            param,
            "`role` must be `system`, `developer`, `user`, `assistant` or `tool`.",
        )),
    }
}

fn join_parts(parts: &[Value], at: &str, limits: &Limits) -> Result<Said, ApiError> {
    fields::too_long(at, parts.len(), limits.parts_max)?;
    if parts.is_empty() {
        let message = format!("`{at}` must not be an empty list.");
        return Err(ApiError::invalid_value(at, message));
    }
    let mut texts = Vec::with_capacity(parts.len());
    let mut images = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let part = Fields::of(part, format!("{at}[{index}]"))?;
        match part.text("type")? {
            Some("image_url") => {
                // Before it is decoded: each may be megabytes.
                too_many_images(at, images.len() + 1, limits)?;
                let image = ImageFile::of_part(&part, limits)?;
                texts.push(image.name());
                images.push(image);
            }
            _ => texts.push(part_text(&part)?.to_owned()),
        }
    }
    let text = texts.join("\n");
    Ok(Said { text, images })
}

fn part_text<'a>(part: &Fields<'a>) -> Result<&'a str, ApiError> {
    part.require("type")?;
    let key = match part.text("type")?.unwrap_or_default() {
        "text" => "text",
        "refusal" => "refusal",
        kind @ ("input_audio" | "file") => {
            let message = format!("Content of type `{kind}` is not supported by this node yet.");
            return Err(ApiError::unsupported(part.param("type"), message));
        }
        _ => {
            let message = "The type of a content part must be `text` or `image_url`.";
            return Err(ApiError::invalid_value(part.param("type"), message));
        }
    };
    part.require(key)?;
    Ok(part.text(key)?.unwrap_or_default())
}
