//! From messages to the text a model reads.
//!
//! [`ChatTemplate`] renders a model's own template, [`RagPrompt`] puts retrieved passages into the
//! conversation, [`budget`] does the arithmetic of tokens. Counting tokens is the engine's business;
//! their numbers arrive as arguments.
//!
//! Invariant: text from users and documents never turns into a template's control marker, and no
//! turn of a conversation is dropped.

pub mod budget;
mod marker;
mod message;
mod named;
mod rag;
mod strftime;
mod template;

pub use marker::Markers;
pub use message::{Message, with_system_prompt};
pub use named::{NAMED_TEMPLATES, named_template};
pub use rag::{ParsePolicyError, RAG_PROMPT_DEFAULT, RAG_PROMPT_NO_HIT, RagPolicy, RagPrompt};
pub use template::{ChatTemplate, SpecialTokens, TEMPLATE_BYTES_MAX, TemplateError};
