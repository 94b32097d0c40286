//! The store, asked from outside. One program for all of it: linking Qdrant's engine takes longer
//! than the tests.
#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod durability;
mod import;
mod snapshots;
mod support;
