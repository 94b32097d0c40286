//! Whole nodes: real processes, a real model, real sockets.
//!
//! One program, because each that is linked takes as long as some of these tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod bare;
mod chaos;
#[cfg(target_os = "linux")]
mod confinement;
mod dialects;
mod idle;
mod isolation;
mod keys;
mod library;
mod lifecycle;
mod node_tools;
mod outside;
mod plugins;
mod priority;
mod prompts;
mod readme;
mod reranking;
mod responses;
mod restore;
mod runtime_prompts;
mod safety;
mod streams;
mod structured;
mod tools;
mod vision;
mod watching;
