//! From messages to the text a model reads.
//!
//! [`ChatTemplate`] renders a model's own template, [`prompt`] chooses what the owner says before a
//! conversation, [`RagPrompt`] puts retrieved passages into it, [`budget`] does the arithmetic of
//! tokens, [`making`] lets a program make a prompt. Counting tokens is the engine's business; their numbers arrive as arguments.
//!
//! Invariant: text from users and documents never turns into a template's control marker, and no
//! turn of a conversation is dropped.

pub mod budget;
pub mod making;
mod marker;
mod message;
mod named;
pub mod prompt;
mod rag;
mod strftime;
mod template;

pub use marker::Markers;
pub use message::{Message, Tool, ToolCall, into_system};
pub use named::{NAMED_TEMPLATES, named_template};
pub use rag::{ParsePolicyError, RAG_PROMPT_DEFAULT, RAG_PROMPT_NO_HIT, RagPolicy, RagPrompt};
pub use template::{ChatTemplate, RenderOptions, SpecialTokens, TEMPLATE_BYTES_MAX, TemplateError};
