//! Puts retrieved passages into a conversation.
//!
//! What many requests share comes first, byte for byte: the system prompt, then what introduces the
//! passages, then the passages in the caller's order. Nothing here depends on time or chance, so equal
//! input is equal text, and the engine reads a common beginning once.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Message;
use crate::message::into_system;

/// What introduces passages when the owner says nothing else.
pub const RAG_PROMPT_DEFAULT: &str =
    "Use the following passages to answer the question. If they do not answer it, say so.";

/// What the model is told when nothing was found.
pub const RAG_PROMPT_NO_HIT: &str = "The knowledge base has nothing about this question. Answer from what you know, or say that you do not know.";

/// Stands for the passages in a `rag_prompt`.
pub(crate) const CONTEXT: &str = "{context}";

/// Where passages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RagPolicy {
    /// Into the system message, which is made if there is none.
    #[default]
    SystemMessage,
    /// In front of the question in the last user message.
    LastUserMessage,
}

/// Not the name of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rag_policy must be `system-message` or `last-user-message`")]
pub struct ParsePolicyError;

impl FromStr for RagPolicy {
    type Err = ParsePolicyError;

    fn from_str(text: &str) -> Result<Self, ParsePolicyError> {
        match text {
            "system-message" => Ok(Self::SystemMessage),
            "last-user-message" => Ok(Self::LastUserMessage),
            _ => Err(ParsePolicyError),
        }
    }
}

impl std::fmt::Display for RagPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::SystemMessage => "system-message",
            Self::LastUserMessage => "last-user-message",
        })
    }
}

/// How passages are put into a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RagPrompt {
    /// Introduces the passages. Where it contains `{context}`, they go there, else after it.
    pub text: String,
    /// Said instead when nothing was found; empty = nothing is said.
    pub no_hit: String,
    /// Where it goes.
    pub policy: RagPolicy,
}

impl Default for RagPrompt {
    fn default() -> Self {
        Self {
            text: RAG_PROMPT_DEFAULT.to_owned(),
            no_hit: RAG_PROMPT_NO_HIT.to_owned(),
            policy: RagPolicy::default(),
        }
    }
}

impl RagPrompt {
    /// The conversation with `passages` in it, which are shown in the order given.
    pub fn insert(&self, messages: Vec<Message>, passages: &[&str]) -> Vec<Message> {
        let text = match passages {
            [] => self.no_hit.trim().to_owned(),
            passages => self.introduce(&passages.join("\n\n")),
        };
        match self.policy {
            _ if text.is_empty() => messages,
            RagPolicy::SystemMessage => into_system(messages, &text),
            RagPolicy::LastUserMessage => into_last_user(messages, &text),
        }
    }

    fn introduce(&self, context: &str) -> String {
        match self.text.split_once(CONTEXT) {
            Some((before, after)) => format!("{before}{context}{after}"),
            None if self.text.trim().is_empty() => context.to_owned(),
            None => format!("{}\n\n{context}", self.text.trim_end()),
        }
    }
}

fn into_last_user(mut messages: Vec<Message>, text: &str) -> Vec<Message> {
    match messages.iter_mut().rfind(|message| message.is_user()) {
        Some(user) => user.content = format!("{text}\n\n{}", user.content),
        None => messages.push(Message::new("user", text)),
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(text: &str, policy: RagPolicy) -> RagPrompt {
        RagPrompt {
            text: text.to_owned(),
            no_hit: "Nothing.".to_owned(),
            policy,
        }
    }

    #[track_caller]
    fn check(
        prompt: &RagPrompt,
        messages: &[(&'static str, &str)],
        passages: &[&str],
        expected: &[(&str, &str)],
    ) {
        let messages = messages
            .iter()
            .map(|(role, text)| Message::new(*role, *text))
            .collect();
        let messages = prompt.insert(messages, passages);
        let got: Vec<(&str, &str)> = messages
            .iter()
            .map(|message| (message.role.as_ref(), message.content.as_str()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn into_the_system_message() {
        let rag = prompt("Read:", RagPolicy::SystemMessage);
        check(
            &rag,
            &[("user", "q")],
            &["b", "a"],
            &[("system", "Read:\n\nb\n\na"), ("user", "q")],
        );
        check(
            &rag,
            &[("system", "Be kind."), ("user", "q")],
            &["a"],
            &[("system", "Be kind.\n\nRead:\n\na"), ("user", "q")],
        );
        check(
            &rag,
            &[("user", "q")],
            &[],
            &[("system", "Nothing."), ("user", "q")],
        );
    }

    #[test]
    fn into_the_last_question() {
        let rag = prompt("Read:", RagPolicy::LastUserMessage);
        check(
            &rag,
            &[("user", "p"), ("assistant", "r"), ("user", "q")],
            &["a"],
            &[
                ("user", "p"),
                ("assistant", "r"),
                ("user", "Read:\n\na\n\nq"),
            ],
        );
        check(&rag, &[("user", "q")], &[], &[("user", "Nothing.\n\nq")]);
    }

    #[test]
    fn passages_go_where_the_owner_says() {
        let rag = prompt("<<{context}>> {context}", RagPolicy::LastUserMessage);
        check(
            &rag,
            &[("user", "q")],
            &["a"],
            &[("user", "<<a>> {context}\n\nq")],
        );
        let rag = prompt("", RagPolicy::LastUserMessage);
        check(&rag, &[("user", "q")], &["a"], &[("user", "a\n\nq")]);
    }

    #[test]
    fn policies_have_their_names() {
        for policy in [RagPolicy::SystemMessage, RagPolicy::LastUserMessage] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!("first".parse::<RagPolicy>(), Err(ParsePolicyError));
    }
}
