//! What an answer's bytes say as they pass a gateway, and the most that a request can cost.
//!
//! A gateway forwards what a node answers and must know at its end what was written, what the node claims that it
//! took, and whether it is all there. [`Meter`] eats the bytes as they come; [`Metered`] is what they said.
//! [`ceiling`](ceiling()) says before it how much must be set aside. Counting tokens is `gaia-counting`'s.
//!
//! ```
//! use gaia_metering::{Kind, Meter};
//! let mut meter = Meter::new(Kind::Chat, true);
//! meter.eat(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel");
//! meter.eat(b"lo\"},\"finish_reason\":\"stop\"}]}\n\n");
//! let metered = meter.finish();
//! assert_eq!(metered.texts[0].text, "Hello");
//! assert!(metered.is_complete && metered.claimed.is_none());
//! ```
//!
//! Invariants: the same bytes in other pieces give the same result; whatever they are, nothing panics and no more is
//! kept than the named maxima; past one of them [`Metered::beyond`] says which.

pub mod ceiling;
mod frames;
mod meter;
mod metered;
mod scan;
mod skim;
mod usage;
mod wire;

pub use ceiling::{CeilingError, ModelLimits, ceiling, hold};
pub use frames::EVENT_BYTES_MAX;
pub use meter::Meter;
pub use metered::{
    ANSWER_BYTES_MAX, Beyond, CALLS_MAX, CHOICES_MAX, CITATIONS_MAX, Call, Cited, Metered,
    PROMPTS_MAX, Written,
};
pub use skim::{BODY_BYTES_MAX, DEPTH_MAX};
pub use usage::ask_for_usage;

/// Which of the API's answers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completion,
    /// `/v1/responses`.
    Responses,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/rerank`.
    Rerank,
}

impl Kind {
    /// What is asked at `path`, with or without `/v1`; `None`: nothing that is metered.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => Some(Self::Chat),
            "/completions" => Some(Self::Completion),
            "/responses" => Some(Self::Responses),
            "/embeddings" => Some(Self::Embeddings),
            "/rerank" => Some(Self::Rerank),
            _ => None,
        }
    }
}
