//! Messages of a conversation: content as text or as parts becomes one text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fields::{self, Fields};
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
}

impl Role {
    /// The role's name in requests and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// The speaker's name, where there are several of a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message without a speaker's name.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            name: None,
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
        let mut bytes = 0;
        for (index, value) in list.iter().enumerate() {
            let fields = Fields::of(value, format!("messages[{index}]"))?;
            let message = Self::parse(&fields, limits)?;
            bytes += message.content.len();
            fields::too_large("messages", bytes, limits.text_bytes_max)?;
            messages.push(message);
        }
        Ok(messages)
    }

    fn parse(fields: &Fields<'_>, limits: &Limits) -> Result<Self, ApiError> {
        let role = role(fields)?;
        for key in ["tool_calls", "function_call", "audio"] {
            fields.refuse(key, &[Value::Array(Vec::new())])?;
        }
        let content = match fields.require("content")? {
            Value::String(text) => text.clone(),
            Value::Array(parts) => join_parts(parts, &fields.param("content"), limits)?,
            _ => {
                return Err(ApiError::invalid_type(
                    fields.param("content"),
                    "a string or a list of parts",
                ));
            }
        };
        Ok(Self {
            role,
            content,
            name: fields.name("name", limits)?,
        })
    }
}

fn role(fields: &Fields<'_>) -> Result<Role, ApiError> {
    fields.require("role")?;
    let param = fields.param("role");
    match fields.text("role")?.unwrap_or_default() {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        role @ ("tool" | "function") => Err(ApiError::unsupported(
            param,
            format!("Messages of role `{role}` are not supported by this node yet."),
        )),
        _ => Err(ApiError::invalid_value(
            param,
            "`role` must be `system`, `developer`, `user` or `assistant`.",
        )),
    }
}

fn join_parts(parts: &[Value], at: &str, limits: &Limits) -> Result<String, ApiError> {
    fields::too_long(at, parts.len(), limits.parts_max)?;
    if parts.is_empty() {
        let message = format!("`{at}` must not be an empty list.");
        return Err(ApiError::invalid_value(at, message));
    }
    let texts = parts.iter().enumerate().map(|(index, part)| {
        let part = Fields::of(part, format!("{at}[{index}]"))?;
        part_text(&part)
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

fn part_text<'a>(part: &Fields<'a>) -> Result<&'a str, ApiError> {
    part.require("type")?;
    let key = match part.text("type")?.unwrap_or_default() {
        "text" => "text",
        "refusal" => "refusal",
        kind @ ("image_url" | "input_audio" | "file") => {
            let message = format!("Content of type `{kind}` is not supported by this node yet.");
            return Err(ApiError::unsupported(part.param("type"), message));
        }
        _ => {
            let message = "The type of a content part must be `text`.";
            return Err(ApiError::invalid_value(part.param("type"), message));
        }
    };
    part.require(key)?;
    Ok(part.text(key)?.unwrap_or_default())
}
