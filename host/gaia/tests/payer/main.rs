//! What a payer does, from a key to a refund: the real command, a real gateway, the real contracts on an anvil.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod domains;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod wallets;
