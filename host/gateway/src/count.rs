//! What a request took, and whose word that is.
//!
//! Best is the gateway's own count. Without a counter for the model the node's claim is taken, and without a claim
//! (the client went away in the middle) an estimate by bytes. Never more than was set aside.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gaia_ledger::price::TokenCeiling;
use gaia_metering::{Kind, Metered, hold};
use gaia_statements::{Claimed, Counted, TokenCounts};
use hyper::body::Bytes;

/// Bytes of text that are about a token.
const TOKEN_BYTES: u64 = 4;

/// Texts of so many bytes are counted where they are: handing them to another thread would take longer.
pub(crate) const COUNTED_AT_ONCE_BYTES_MAX: u64 = 4 << 10;

/// Counts tokens with a model's own tokenizer. May take milliseconds for long texts, with which it is called on a thread
/// that may block.
pub trait CountTokens: Send + Sync {
    /// The tokens of a request, whose body this is as the node got it, and of what was answered to it; `None` where
    /// that cannot be counted.
    fn count(&self, kind: Kind, request: &[u8], answer: &Metered) -> Option<Count>;
}

/// What was counted, and what that says of the node's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The tokens.
    pub counts: TokenCounts,
    /// Whether the claim is further off than an honest one can be.
    pub is_disputed: bool,
}

/// What is to be paid for.
pub(crate) struct Taken {
    /// The tokens, never more than was set aside.
    pub tokens: Counted,
    pub basis: Basis,
    /// A claim that is evidence against the node.
    pub disputed: Option<Claimed>,
}

/// Whose word a number of tokens is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The gateway counted.
    Counted,
    /// The node said so.
    Claimed,
    /// Nobody said: by the length of the texts.
    Estimated,
}

impl Basis {
    /// As it stands in the key of the capture's entry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Claimed => "claimed",
            Self::Estimated => "estimated",
        }
    }
}

/// What is to be counted.
pub(crate) struct Tally {
    pub kind: Kind,
    pub counter: Option<Arc<dyn CountTokens>>,
    /// The request's body, as the node got it.
    pub request: Bytes,
    pub ceiling: TokenCeiling,
    pub answer: Metered,
}

impl Tally {
    /// What is to be paid for.
    pub(crate) async fn count(self) -> Taken {
        if self.counter.is_none() {
            return self.reckon(None);
        }
        let kept = (self.ceiling, self.request.len());
        let bytes = self.request.len() as u64 + self.answer.bytes() as u64;
        let counted = match bytes <= COUNTED_AT_ONCE_BYTES_MAX {
            // It is gone with all that it had, so that nobody sees what a panic left half done.
            true => catch_unwind(AssertUnwindSafe(|| self.with_counter())).ok(),
            false => tokio::task::spawn_blocking(move || self.with_counter())
                .await
                .ok(),
        };
        match counted {
            Some(done) => done,
            // The counter has panicked: nothing of it is left, not even the answer.
            None => {
                tracing::error!("counting tokens failed");
                let counts = TokenCounts {
                    input: tokens(kept.1),
                    ..TokenCounts::default()
                };
                Taken {
                    tokens: hold(Counted(counts), &kept.0),
                    basis: Basis::Estimated,
                    disputed: None,
                }
            }
        }
    }

    fn with_counter(self) -> Taken {
        let counter = self.counter.as_deref();
        let counted = counter.and_then(|it| it.count(self.kind, &self.request, &self.answer));
        self.reckon(counted)
    }

    fn reckon(&self, counted: Option<Count>) -> Taken {
        let disputed = counted.filter(|count| count.is_disputed);
        let disputed = disputed.and(self.answer.claimed);
        let (counts, basis) = match (counted, self.answer.claimed) {
            (Some(counted), _) => (counted.counts, Basis::Counted),
            (None, Some(claimed)) => (claimed.0, Basis::Claimed),
            (None, None) => (self.estimate(), Basis::Estimated),
        };
        Taken {
            tokens: hold(Counted(counts), &self.ceiling),
            basis,
            disputed,
        }
    }

    fn estimate(&self) -> TokenCounts {
        TokenCounts {
            input: tokens(self.request.len()),
            cached: 0,
            output: tokens(self.answer.bytes()),
        }
    }
}

fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(TOKEN_BYTES)
}
