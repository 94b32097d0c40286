//! The engine with real models: a small chat model and a small embedding model.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod cancellation;
mod draft_model;
mod embeddings;
mod limits;
mod loading;
mod models;
mod prefix;
mod reference;
mod reranking;
mod same_tokens;
mod sampling;
mod shown_tokens;
mod speculation;
mod streams;
mod tiny_projector;
mod tiny_ranker;
mod tool_calls;
mod vision;
