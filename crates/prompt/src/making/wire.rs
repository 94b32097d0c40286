//! What a program is told, and what it says: JSON on its standard input and output. And what whoever
//! wants a prompt tells the one who runs programs, and hears of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MakingLimits;

/// Bytes of a source's title.
const TITLE_BYTES_MAX: usize = 512;
/// Bytes of a source's address.
const URL_BYTES_MAX: usize = 2048;

/// What is known of a request for whose question a prompt is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The last turn of the one who asks.
    pub question: String,
    /// The conversation up to it, the oldest first.
    pub messages: Vec<Said>,
    /// The prompt's variables.
    pub variables: BTreeMap<String, String>,
    /// The model that will answer.
    pub model: String,
}

/// What came of a prompt that was to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The program's name, `@` and a hash, where there is such a program.
    pub version: Option<String>,
    /// The prompt.
    pub made: Option<Made>,
    /// Why there is none.
    pub failure: Option<String>,
    /// The calls of tools that were made for it.
    #[serde(default)]
    pub calls: Vec<CallMade>,
    /// How long it took.
    pub ms: u64,
}

/// A call that was made for a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallMade {
    /// The tool.
    pub tool: String,
    /// The text of a JSON object.
    pub arguments: String,
    /// Whether it said nothing.
    pub failed: bool,
    /// How long it took.
    pub ms: u64,
    /// How long its reply was.
    pub bytes: u64,
}

/// What a program is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// The last turn of the one who asks.
    pub question: String,
    /// The conversation up to it, the oldest first; what is too long is left out from the beginning.
    pub messages: Vec<Said>,
    /// The prompt's variables, as the request has them.
    pub variables: BTreeMap<String, String>,
    /// The model that will answer.
    pub model: String,
    /// The tools that it may ask for.
    pub tools: Vec<String>,
    /// What came of all calls so far; none on the first step.
    pub results: Vec<CallResult>,
}

/// A turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Whose.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A call of one of the node's tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool's name.
    pub tool: String,
    /// A JSON object.
    #[serde(default)]
    pub arguments: Value,
}

/// What came of one: a text, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallResult {
    /// The tool's name.
    pub tool: String,
    /// What it was called with.
    pub arguments: Value,
    /// What it said; cut where it is too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Why it said nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Something that the answer may rest on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is called.
    #[serde(default)]
    pub title: String,
    /// Where it is.
    #[serde(default)]
    pub url: String,
    /// What it says.
    pub text: String,
}

/// A prompt that was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// What the model is told, behind what the prompt's file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What goes into the context, the best first.
    #[serde(default)]
    pub context: Vec<Source>,
}

/// What a program says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// It wants to know more.
    Call { call: Vec<Call> },
    /// This is the prompt.
    Made(Made),
}

impl Subject {
    /// With as much of the question and of the conversation as a program is told.
    #[must_use]
    pub fn bounded(mut self, limits: &MakingLimits) -> Self {
        let most = limits.conversation_bytes_max;
        cut(&mut self.question, most);
        let mut room = most;
        // What was said last matters most.
        let kept = self.messages.iter().rev().take_while(|said| {
            let fits = room.checked_sub(said.content.len());
            room = fits.unwrap_or_default();
            fits.is_some()
        });
        let left_out = self.messages.len() - kept.count();
        self.messages.drain(..left_out);
        self
    }
}

impl CallResult {
    pub(super) fn of(call: Call, result: Result<String, String>) -> Self {
        Self {
            tool: call.tool,
            arguments: call.arguments,
            error: result.as_ref().err().cloned(),
            text: result.ok(),
        }
    }

    /// Cuts it to `room` bytes; gives how many there are.
    pub(super) fn cut(&mut self, room: usize) -> usize {
        let text = self.text.as_mut().or(self.error.as_mut());
        text.map_or(0, |text| {
            cut(text, room);
            text.len()
        })
    }
}

impl Made {
    /// Cuts it to its limits.
    pub(super) fn bound(&mut self, limits: &MakingLimits) {
        if let Some(system) = &mut self.system {
            cut(system, limits.system_bytes_max);
        }
        self.context.retain(|source| !source.text.trim().is_empty());
        self.context.truncate(limits.sources_max);
        for source in &mut self.context {
            cut(&mut source.title, TITLE_BYTES_MAX);
            cut(&mut source.url, URL_BYTES_MAX);
            cut(&mut source.text, limits.source_bytes_max);
        }
    }
}

impl Source {
    /// As the model reads it: with its number, title and address before the text.
    pub fn passage(&self, number: usize) -> String {
        let about = [self.title.trim(), self.url.trim()];
        let about: Vec<&str> = about.into_iter().filter(|text| !text.is_empty()).collect();
        let text = self.text.trim();
        match about.join("\n") {
            about if about.is_empty() => format!("[{number}] {text}"),
            about => format!("[{number}] {about}\n{text}"),
        }
    }
}

/// The beginning of `text`, in so many bytes.
pub(super) fn cut(text: &mut String, bytes_max: usize) {
    text.truncate(text.floor_char_boundary(bytes_max));
}
