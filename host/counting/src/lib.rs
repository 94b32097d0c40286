//! Counts what requests and answers take, with the model's own tokenizer and the node's own way of making prompts.
//!
//! A gateway counts by itself: what a node says is a claim. [`Counter::count`] renders the prompt as a node does
//! (template, the node's texts, passages as the answer cites them) and tokenises it and what the model wrote. Where
//! the gateway cannot know a thing (what a tool of the node said, a prompt that it was not told of), the count says so
//! by its type: [`Certainty::Estimated`], and what was not seen is not counted.
//!
//! ```no_run
//! use gaia_counting::{Counter, NodeTexts};
//! use gaia_metering::{Kind, Meter};
//! use gaia_models::write_vocabulary;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Once, where the model lies; the gateway needs no weights.
//! write_vocabulary("model.gguf".as_ref(), "vocabulary.gguf".as_ref())?;
//! let counter = Counter::open("vocabulary.gguf".as_ref())?.with_nodes(NodeTexts::default())?;
//!
//! let (request, answer) = (br#"{"messages":[]}"#, br#"{"choices":[]}"#);
//! let mut meter = Meter::new(Kind::Chat, false);
//! meter.eat(answer);
//! let metered = meter.finish();
//! let count = counter.count(Kind::Chat, request, &metered)?;
//! // Money hangs on `count.counted`, held to what was reserved: `gaia_metering::hold`.
//! // A claim that is too far off is evidence, where the count is good enough to say so.
//! let is_honest = metered.claimed.is_none_or(|claimed| count.bears_out(&claimed));
//! # Ok(()) }
//! ```
//!
//! Invariants: equal input is counted equally; what a node claims changes only which tokens of the prompt count as
//! cached, never how many there are.

mod answer;
mod count;
mod counter;
mod nodes;
mod passages;
mod prompt;
mod words;
mod written;

pub use count::{Certainty, Count, CountError, Reason};
pub use counter::{Counter, OpenError};
pub use nodes::{NodeTexts, NodeTextsError};
