//! One turn of conversation: retrieve → prompt → infer → reply.
//!
//! [`Turn`] decides and never does: it is fed events and names effects, which whoever drives it
//! carries out and reports back. [`Generation`] is what the engine is asked for, [`StopFilter`] and
//! [`Utf8Joiner`] mend the output of an engine that does less than ours.
//!
//! What the model writes is read while it comes: text, reasoning and calls of the caller's tools are
//! parts of their own. [`Rounds`] is several turns for one question: between them the node calls tools
//! of its own.
//!
//! Invariant: a turn ends exactly once, with [`Effect::Finish`] or [`Effect::Fail`], unless it was
//! cancelled; after that it asks for nothing.

mod ending;
mod generation;
mod node;
mod pieces;
mod retrieval;
mod rounds;
mod tooling;
mod turn;

pub use ending::Ending;
pub use generation::{Engine, Generation};
pub use node::{Node, Retrieval};
pub use pieces::{StopFilter, Utf8Joiner};
pub use retrieval::{query_of, to_wire};
pub use rounds::{OwnTools, RoundLimits, Rounds, with_own_tools};
pub use turn::{Effect, Event, Given, Outcome, Part, Turn};
