//! Named prompts: files with front matter and a Jinja body, of which one is chosen for each request.
//!
//! [`PromptSet`] holds what a folder holds, and the last good version of a file that reads no longer.
//! [`PromptSet::choose`] decides: what the request names, else a rule on its question, else the
//! configuration. Files, the model's facts and similarities arrive as arguments. What is made of a
//! prompt is an [`Opening`]; nothing behind that knows of files. It comes from a [`PromptSource`]: a file
//! is one, and so is whoever makes a prompt at run time ([`crate::making`]).
//!
//! Invariant: what a caller gives for a variable is data. It never becomes code, a control marker or
//! the place of the passages.

mod body;
mod file;
mod model;
mod opening;
mod set;
mod source;
mod version;
mod when;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use body::RenderPromptError;
pub use file::{Problem, PromptError};
pub use model::ModelFacts;
pub use opening::Opening;
pub use set::{Asked, Choice, ChosenBy, PromptFile, PromptSet, UnknownPrompt};
pub use source::{Occasion, Prepared, PromptSource};
pub use version::hash;

use body::Body;
use model::ModelRule;
use when::When;

use crate::{Markers, Message};

/// Files of prompts in one folder.
pub const PROMPTS_MAX: usize = 256;

/// Bytes of one file.
pub const PROMPT_BYTES_MAX: usize = 64 << 10;

/// Bytes of a prompt's name.
pub const PROMPT_NAME_BYTES_MAX: usize = 64;

/// Bytes of a prompt's description.
pub const DESCRIPTION_BYTES_MAX: usize = 512;

/// Conditions on the model.
pub const CONDITIONS_MAX: usize = 16;

/// Variables of one prompt.
pub const VARIABLES_MAX: usize = 16;

/// Bytes that a caller may give for a variable.
pub const VARIABLE_BYTES_MAX: usize = 4 << 10;

/// Exchanges shown to the model as examples.
pub const EXAMPLES_MAX: usize = 16;

/// Questions to which a question may be similar.
pub const SIMILAR_MAX: usize = 32;

/// Bytes that a compiled regular expression may take.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Bytes of a question that a regular expression looks at.
pub const REGEX_QUESTION_BYTES_MAX: usize = 64 << 10;

/// Least similarity that counts where a prompt does not say.
pub const THRESHOLD_DEFAULT: f32 = 0.6;

/// What a prompt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Tells the model who it is and how to answer.
    #[default]
    System,
    /// Introduces the passages.
    Rag,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::System, Self::Rag];

    /// As in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Rag => "rag",
        }
    }
}

/// A question and the answer that the model should give to one like it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What is asked.
    pub user: String,
    /// What is answered.
    pub assistant: String,
}

/// One prompt, checked.
#[derive(Debug, Clone)]
pub struct Prompt {
    name: String,
    description: String,
    kind: Kind,
    models: ModelRule,
    variables: BTreeMap<String, String>,
    examples: Vec<Example>,
    when: When,
    made_by: Option<String>,
    version: String,
    body: Body,
}

impl Prompt {
    /// What requests and the configuration call it; variants for other models share it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in its author's words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Where it goes.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// `name@` and twelve hexadecimal digits that change with the file.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The conditions on the model, as written.
    pub fn models(&self) -> Vec<String> {
        self.models.written()
    }

    /// The variables and what they are where a request does not say.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Whether it is chosen by questions, too.
    pub fn has_rule(&self) -> bool {
        !self.when.is_empty()
    }

    /// The plugin that makes the rest of it for each question.
    pub fn made_by(&self) -> Option<&str> {
        self.made_by.as_deref()
    }

    /// Whether it is made for this model.
    pub fn fits(&self, model: &ModelFacts<'_>) -> bool {
        self.models.rank(model).is_some()
    }

    /// The exchanges shown to the model before the conversation.
    pub fn examples(&self) -> Vec<Message> {
        let turns = |example: &Example| {
            [
                Message::new("user", example.user.clone()),
                Message::new("assistant", example.assistant.clone()),
            ]
        };
        self.examples.iter().flat_map(turns).collect()
    }

    /// Its text. `given` are variables as a request has them; names that the prompt does not have are
    /// of no consequence. In a prompt of kind `rag`, `{context}` is left where the passages go.
    ///
    /// # Errors
    /// The body fails or goes over a limit, or a value is too long.
    pub fn render(
        &self,
        given: &BTreeMap<String, String>,
        model: &ModelFacts<'_>,
        markers: &Markers,
        now_unix_seconds: i64,
    ) -> Result<String, RenderPromptError> {
        let values = self.values(given, markers)?;
        self.body.render(values, model.name, now_unix_seconds)
    }

    /// The variables of this request. A caller's marker, and a caller's word for the passages, become
    /// ordinary text.
    ///
    /// # Errors
    /// A value is too long.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
        markers: &Markers,
    ) -> Result<BTreeMap<String, String>, RenderPromptError> {
        let mut values = self.variables.clone();
        for (name, value) in &mut values {
            let Some(own) = given.get(name) else { continue };
            if own.len() > VARIABLE_BYTES_MAX {
                let name = name.clone();
                return Err(RenderPromptError::VariableTooLong { name });
            }
            *value = markers
                .neutralise_data(own)
                .replace(body::CONTEXT, "{ context }");
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests;
