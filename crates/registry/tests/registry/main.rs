//! Joins, policies and membership from outside, with real keys.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod canaries;
mod contracts;
mod joins;
mod judging;
mod members;
mod others_mistakes;
mod policies;
mod records;
mod scene;
mod tokens;
