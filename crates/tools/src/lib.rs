//! How models of each family write tool calls and reasoning.
//!
//! A [`Format`] is chosen from the model's chat template. It gives the grammar that holds the model to
//! calls which parse, and a [`Parser`] reads what the model wrote, piece by piece.
//!
//! Invariant: the same text in other pieces gives the same parts, and no part holds a marker of the
//! format.

mod format;
mod kinds;
mod marker;
mod parser;
mod tool;

pub use format::{CallGrammarError, Family, Format};
pub use parser::{Parser, Part};
pub use tool::{
    AnswerForm, CALL_ARGUMENTS_BYTES_MAX, CALLS_MAX, Calls, NAME_BYTES_MAX, Tool, ToolChoice,
};
