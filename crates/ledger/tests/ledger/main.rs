//! The ledger from outside: tables, properties, crashes, and what others got wrong.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod amounts;
mod books;
mod contests;
mod contracts;
mod others_mistakes;
mod properties;
mod receipts;
mod scene;
mod simulation;
mod trees;
