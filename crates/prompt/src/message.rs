//! A message as a template sees it.

use std::borrow::Cow;

use serde::Serialize;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: Cow<'static, str>,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message.
    pub fn new(role: impl Into<Cow<'static, str>>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
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
}
