//! The balancer over simulated nodes of ours, beside what others do: seeded, so that every run is the same.
//!
//! `cargo test --release -p gaia-balancer --test simulation -- --nocapture --test-threads 1` prints the table of
//! docs/decisions/balancing.md.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod chance;
mod engine;
mod policies;
mod scenarios;
mod workload;
mod world;
