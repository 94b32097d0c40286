//! `POST /v1/chat/completions`: the request as meant, the reply, and the chunks of a stream.

mod chunk;
mod logprobs;
mod message;
mod reply;
mod request;

pub use chunk::{ChatChunk, ChunkChoice, ChunkHead, Delta};
pub use logprobs::{LogProbs, TokenLogProb, TopLogProb};
pub use message::{Message, Role};
pub use reply::{AssistantMessage, ChatChoice, ChatReply};
pub use request::ChatRequest;
pub(crate) use request::{choices, stream};
