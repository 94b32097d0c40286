//! A message as a template sees it, and the tools it is told of.

use std::borrow::Cow;

use serde_json::Value;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: Cow<'static, str>,
    /// What is said.
    pub content: String,
    /// The assistant's calls.
    pub calls: Vec<ToolCall>,
    /// Which call a tool's message answers.
    pub answers: Option<String>,
    /// What the assistant thought before, for templates that put it back.
    pub reasoning: Option<String>,
}

/// A call of a tool that the model made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What the message with the result refers to.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, a JSON object.
    pub arguments: Value,
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

impl Message {
    /// A message that only says something.
    pub fn new(role: impl Into<Cow<'static, str>>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            ..Self::default()
        }
    }

    /// Whether this sets the rules.
    pub fn is_system(&self) -> bool {
        self.role == "system"
    }

    /// Whether this asks.
    pub fn is_user(&self) -> bool {
        self.role == "user"
    }

    /// Whether this is what a tool said.
    pub fn is_tool(&self) -> bool {
        self.role == "tool"
    }
}

/// Puts `text` at the end of the system message, which is made if there is none.
pub fn into_system(mut messages: Vec<Message>, text: &str) -> Vec<Message> {
    match messages.iter_mut().find(|message| message.is_system()) {
        Some(system) if system.content.trim().is_empty() => system.content = text.to_owned(),
        Some(system) => {
            system.content.push_str("\n\n");
            system.content.push_str(text);
        }
        None => messages.insert(0, Message::new("system", text)),
    }
    messages
}
