//! `POST /v1/chat/completions`: the request as meant, the reply, and the chunks of a stream.

mod call;
mod chunk;
mod logprobs;
mod message;
mod node_call;
mod reply;
mod request;
mod tool;
mod variables;

pub(crate) use call::function_arguments;
pub use call::{CallDelta, FunctionDelta, ToolCall};
pub use chunk::{ChatChunk, ChunkChoice, ChunkHead, Delta};
pub use logprobs::{LogProbs, TokenLogProb, TopLogProb};
pub use message::{Message, Role};
pub(crate) use message::{check_answers, too_many_images};
pub use node_call::{CallStatus, NodeCall};
pub use reply::{Answered, AssistantMessage, ChatChoice, ChatReply};
pub use request::ChatRequest;
pub(crate) use request::{choices, metadata, stream};
pub(crate) use tool::{Shape, function_name};
pub use tool::{Tool, ToolChoice, Tooling};
pub(crate) use variables::thinking;
