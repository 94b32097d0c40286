//! What a node has served here, since this gateway knows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gaia_ledger::NanoUsd;
use gaia_statements::TokenCounts;

use crate::status::Times;

/// Counts of one node. What was paid for is counted, and attempts that failed.
#[derive(Debug, Default)]
pub(crate) struct Served {
    answered: AtomicU64,
    failed: AtomicU64,
    paid: AtomicU64,
    input: AtomicU64,
    cached: AtomicU64,
    output: AtomicU64,
    /// From the moment it was asked.
    pub first_bytes: Times,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ServedNow {
    pub answered: u64,
    pub failed: u64,
    /// Nano-USD that its answers cost.
    pub paid: u64,
    pub tokens: TokenCounts,
}

impl Served {
    pub(crate) fn answered(&self, cost: NanoUsd, tokens: TokenCounts) {
        add(&self.answered, 1);
        add(&self.paid, cost.get());
        add(&self.input, tokens.input);
        add(&self.cached, tokens.cached);
        add(&self.output, tokens.output);
    }

    pub(crate) fn failed(&self) {
        add(&self.failed, 1);
    }

    pub(crate) fn began(&self, after: Duration) {
        self.first_bytes.note(after);
    }

    pub(crate) fn now(&self) -> ServedNow {
        ServedNow {
            answered: get(&self.answered),
            failed: get(&self.failed),
            paid: get(&self.paid),
            tokens: TokenCounts {
                input: get(&self.input),
                cached: get(&self.cached),
                output: get(&self.output),
            },
        }
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
