//! Counts against what nodes claim.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod memory;
mod models;
mod order;
mod recorded;
mod refusals;
mod texts;
mod vocabularies;
mod words;
