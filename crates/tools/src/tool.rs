//! What may be called, and whether it must be.

use serde_json::Value;

/// The longest arguments of one call, in bytes. What goes on beyond is text again.
pub const CALL_ARGUMENTS_BYTES_MAX: usize = 256 << 10;

/// How many calls one answer may hold. What looks like one more is text.
pub const CALLS_MAX: usize = 32;

/// The longest name of a tool, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Letters, digits, `_` and `-`, at most [`NAME_BYTES_MAX`] of them.
    pub name: String,
    /// What it does, in words for the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments, an object's; `None`: it takes none.
    pub parameters: Option<Value>,
    /// Whether its schema must be enforced to the letter. Of another tool whose schema cannot be,
    /// only this is certain: the arguments are a JSON object.
    pub strict: bool,
}

/// Whether the model calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// It does not.
    None,
    /// As it likes.
    #[default]
    Auto,
    /// At least one tool, whichever.
    Required,
    /// This one.
    Named(String),
}

/// What calls an answer may or must hold.
#[derive(Debug, Clone, Copy)]
pub struct Calls<'a> {
    /// What may be called; the names differ.
    pub tools: &'a [Tool],
    /// Whether it must be.
    pub choice: &'a ToolChoice,
    /// Whether an answer may hold several calls.
    pub parallel: bool,
    /// Whether the prompt ends in the middle of the model's reasoning: see
    /// [`Format::opens_reasoning`](crate::Format::opens_reasoning).
    pub reasoning_open: bool,
    /// What an answer without calls is; `None`: any text.
    pub answer: Option<AnswerForm<'a>>,
}

/// A JSON value valid against a schema.
#[derive(Debug, Clone, Copy)]
pub struct AnswerForm<'a> {
    /// The schema.
    pub schema: &'a Value,
    /// What it is compiled within.
    pub limits: &'a gaia_grammar::schema::Limits,
}
