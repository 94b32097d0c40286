//! Prompts made at run time: a plugin that is asked with each question what the model is to be told.
//!
//! It is run in steps. First it is [`Asked`] without results, and says which of the node's tools to
//! [`Call`], or gives the prompt, [`Made`]. After calls it is run again with what came of them. It keeps
//! nothing between two steps; all that it was told stands in `results`.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use gaia_plugin::prompt::{Asked, Call, Made, Source, Step};
//! use serde_json::json;
//!
//! fn main() -> ExitCode {
//!     gaia_plugin::run(|asked: Asked| -> Result<Step, String> {
//!         let Some(result) = asked.results.first() else {
//!             return Ok(Call::new("weather", json!({"city": "Bonn"})).into());
//!         };
//!         let source = Source {
//!             title: "The weather now".to_owned(),
//!             url: String::new(),
//!             text: result.outcome()?.to_owned(),
//!         };
//!         Ok(Made {
//!             system: Some("Answer with the weather in mind.".to_owned()),
//!             context: vec![source],
//!         }
//!         .into())
//!     })
//! }
//! ```
//!
//! In `plugin.toml` it says `[prompt]` instead of `[parameters]`, and which tools it may have called:
//!
//! ```toml
//! name = "weather_prompt"
//!
//! [prompt]
//! tools = ["weather"]
//! ```
//!
//! A file in the node's folder `prompts` uses it, and is chosen as every prompt is:
//!
//! ```toml
//! +++
//! made_by = "weather_prompt"
//! +++
//! ```
//!
//! `gaia prompt add FOLDER` adds the plugin, and the file if it lies beside it as `prompt.md`. A plugin
//! that fails costs no answer: the node answers without it and says so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a prompt is wanted for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The last turn of the one who asks.
    pub question: String,
    /// The conversation up to it, the oldest first.
    pub messages: Vec<Said>,
    /// The variables of the prompt's file, as the request has them.
    pub variables: BTreeMap<String, String>,
    /// The model that will answer.
    pub model: String,
    /// The tools that may be called.
    pub tools: Vec<String>,
    /// What came of all calls so far, in their order; none on the first step.
    pub results: Vec<CallResult>,
}

/// A turn of the conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// What came of a call.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct CallResult {
    /// The tool.
    pub tool: String,
    /// What it was called with.
    pub arguments: Value,
    text: Option<String>,
    error: Option<String>,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Step {
    /// These calls, and then another step.
    Call {
        /// In this order.
        call: Vec<Call>,
    },
    /// The prompt.
    Made(Made),
}

/// A call of one of the node's tools.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Call {
    /// The tool, one of those that `plugin.toml` names.
    pub tool: String,
    /// A JSON object.
    pub arguments: Value,
}

/// What the model is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Stands behind what the prompt's file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the answer may rest on, the best first; as much of it as there is room for.
    pub context: Vec<Source>,
}

/// Something that the answer may rest on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What it is called.
    pub title: String,
    /// Where it is.
    pub url: String,
    /// What it says.
    pub text: String,
}

impl Call {
    /// A call of `tool` with `arguments`.
    pub fn new(tool: impl Into<String>, arguments: Value) -> Self {
        Self {
            tool: tool.into(),
            arguments,
        }
    }
}

impl CallResult {
    /// A result by hand, for tests.
    pub fn new(tool: &str, outcome: Result<&str, &str>) -> Self {
        Self {
            tool: tool.to_owned(),
            arguments: Value::Null,
            text: outcome.ok().map(str::to_owned),
            error: outcome.err().map(str::to_owned),
        }
    }

    /// What the tool said, or why it said nothing.
    ///
    /// # Errors
    /// It said nothing.
    pub fn outcome(&self) -> Result<&str, &str> {
        match (&self.text, &self.error) {
            (Some(text), None) => Ok(text),
            (_, error) => Err(error.as_deref().unwrap_or("it said nothing")),
        }
    }
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Call { call: vec![call] }
    }
}

impl From<Made> for Step {
    fn from(made: Made) -> Self {
        Self::Made(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_node_sends_is_read() {
        let sent = r#"{"question": "q", "messages": [{"role": "user", "content": "q"}], "later": 1,
            "results": [{"tool": "a", "arguments": {}, "text": "t"}, {"tool": "b", "error": "e"}]}"#;
        let asked: Asked = serde_json::from_str(sent).unwrap();
        assert_eq!(asked.messages[0].role, "user");
        assert_eq!(asked.results[0].outcome(), Ok("t"));
        assert_eq!(asked.results[1].outcome(), Err("e"));
    }
}
