//! The plugin inside real WasmEdge processes, called by a real guest, with real models.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod answers;
mod embeddings;
mod hostile;
mod idle;
mod loading;
mod reranking;
mod waking;
mod wasmedge;
