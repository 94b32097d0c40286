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

/// Puts the node's own system prompt first, unless the conversation brings one of its own.
pub fn with_system_prompt(mut messages: Vec<Message>, system_prompt: Option<&str>) -> Vec<Message> {
    let prompt = system_prompt.filter(|prompt| !prompt.trim().is_empty());
    if let Some(prompt) = prompt
        && !messages.iter().any(Message::is_system)
    {
        messages.insert(0, Message::new("system", prompt));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(roles: &[&'static str], prompt: Option<&str>, expected: &[&str]) {
        let messages = roles.iter().map(|role| Message::new(*role, "x")).collect();
        let messages = with_system_prompt(messages, prompt);
        let roles: Vec<&str> = messages
            .iter()
            .map(|message| message.role.as_ref())
            .collect();
        assert_eq!(roles, expected);
    }

    #[test]
    fn the_callers_system_message_wins() {
        check(&["user"], Some("p"), &["system", "user"]);
        check(&["user"], Some(" "), &["user"]);
        check(&["user"], None, &["user"]);
        check(&["system", "user"], Some("p"), &["system", "user"]);
    }
}
