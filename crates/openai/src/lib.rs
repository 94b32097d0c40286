//! Wire types of the OpenAI API: requests, replies, stream chunks, errors, limits.
//!
//! Each request has one `parse(bytes, &Limits)`, which turns what was sent into what was *meant*:
//! alternatives (`stop` as a string or a list, content as text or parts) become one shape, every
//! number is in range, every list within its limit. A known field with a bad value, or one this
//! node does not honour yet, is a 400 that names it; unknown fields are ignored.
//!
//! Invariant: nothing that `parse` returns needs checking again for shape or size. What depends on
//! the model (vocabulary, context) is checked by whoever knows the model.

pub mod chat;
pub mod chunks;
pub mod completion;
pub mod embedding;
mod error;
mod fields;
pub mod files;
pub mod grammar;
mod head;
pub mod image;
pub mod info;
pub mod input;
mod limits;
pub mod line;
pub mod model;
pub mod multipart;
mod pace;
pub mod rerank;
pub mod responses;
mod sampling;
pub mod sse;
mod tier;
mod timings;
pub mod tokenize;
mod usage;
pub mod vector_store;

pub use chat::{ChatChunk, ChatReply, ChatRequest, Message, Role, Tool, ToolChoice, Tooling};
pub use completion::{CompletionReply, CompletionRequest};
pub use embedding::{EmbeddingReply, EmbeddingRequest};
pub use error::ApiError;
pub use head::{HEAD_BYTES_MAX, check_head};
pub use image::ImageFile;
pub use info::{Citation, NodeInfo, RetrieveReply, RetrieveRequest};
pub use limits::Limits;
pub use model::{Model, ModelList};
pub use pace::{Pace, RETRY_SECONDS_MAX, RETRY_SECONDS_MIN};
pub use rerank::{RerankForm, RerankReply, RerankRequest};
pub use sampling::{AnswerSchema, Constraint, LogitBias, Sampling};
pub use tier::ServiceTier;
pub use timings::Timings;
pub use tokenize::{
    DetokenizeReply, DetokenizeRequest, TemplateReply, TokenizeReply, TokenizeRequest,
};
pub use usage::{FinishReason, PromptTokensDetails, Usage};
