//! The plugin that gives WebAssembly programs in WasmEdge the engine, as `wasi_ephemeral_nn`.
//!
//! A drop-in for WasmEdge's own GGML plugin: same module, functions, metadata keys and error numbers;
//! what it adds travels through the same calls (see `README.md`). All thinking is in `gaia-engine`;
//! this crate decodes a call, asks the engine and encodes the answer.
//!
//! The guest is not trusted. Invariant: no pointer or length from it is used unchecked, and no panic
//! leaves this library.

mod call;
mod config;
mod descriptor;
mod doorbell;
mod environment;
mod errno;
mod execution;
mod ffi;
mod footprint;
mod graph;
mod guest;
mod inputs;
mod keeper;
mod loading;
mod logging;
mod output;
mod preload;
mod residency;
mod verdict;

pub use descriptor::WasmEdge_Plugin_GetDescriptor;
