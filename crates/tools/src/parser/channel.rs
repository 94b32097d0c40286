//! The headers of harmony: which channel a message belongs to, and whom it addresses.

use super::Meaning;
use crate::marker::Mark;

/// The longest header, in bytes.
const HEADER_BYTES_MAX: usize = 512;

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const RECIPIENT: &str = "to=functions.";

/// What ends a message, or begins the next one's header.
pub(super) fn marks() -> [(Mark, Meaning); 5] {
    [
        (Mark::anywhere("<|end|>"), Meaning::EndsMessage),
        (Mark::anywhere("<|return|>"), Meaning::EndsMessage),
        (Mark::anywhere("<|call|>"), Meaning::EndsMessage),
        (Mark::anywhere(START), Meaning::BeginsHeader),
        (Mark::anywhere(CHANNEL), Meaning::BeginsHeader),
    ]
}

/// Whether a header is one for certain.
pub(super) fn begins(header: &str) -> bool {
    header.starts_with(START) || header.starts_with(CHANNEL)
}

/// The part of a header that has come.
#[derive(Debug, Clone)]
pub(super) struct Header(String);

/// What follows a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// The header goes on.
    Undecided,
    Text,
    Reasoning,
    /// Arguments for the tool of this name.
    Call(String),
    /// It was no header; this was written instead.
    None(String),
}

impl Header {
    /// The prompt, or the message before, ended where one begins.
    pub fn new() -> Self {
        Self(String::new())
    }

    /// Behind a mark that begins one.
    pub fn begun(mark: String) -> Self {
        Self(mark)
    }

    /// Takes the next character.
    pub fn push(&mut self, character: char) -> Message {
        self.0.push(character);
        if self.0.ends_with(MESSAGE) {
            return self.message();
        }
        let possible = [START, CHANNEL, " to=", "to="]
            .iter()
            .any(|start| start.starts_with(&*self.0) || self.0.starts_with(start));
        match possible && self.0.len() <= HEADER_BYTES_MAX {
            true => Message::Undecided,
            false => Message::None(std::mem::take(&mut self.0)),
        }
    }

    fn message(&self) -> Message {
        let is_name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some((_, rest)) = self.0.split_once(RECIPIENT) {
            return Message::Call(rest.chars().take_while(is_name).collect());
        }
        // A stray header may stand before the real one.
        let channel = self.0.rsplit(CHANNEL).next().unwrap_or_default();
        match channel.starts_with("analysis") {
            true => Message::Reasoning,
            false => Message::Text,
        }
    }

    /// What is text of a header that goes no further: a header that has begun for certain says nothing.
    pub fn rest(&self) -> &str {
        match begins(&self.0) {
            true => "",
            false => &self.0,
        }
    }
}
