//! The chain's side of a domain, on a real chain with the real contracts: anvil, and what forge makes of `contracts/`.
//!
//! `scripts/setup.sh test` brings both. Each test has an anvil of its own, which begins with the same deployment.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod chain;
mod deposits;
mod disputes;
mod kills;
mod proxy;
mod scene;
mod selectors;
mod settlement;
mod stakes;
mod transactions;

/// Does what a test asks of a process that it wants to kill; by itself nothing.
#[test]
fn worker() {
    kills::work_if_asked();
}
