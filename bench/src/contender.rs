//! Who is measured. Each is started with the same model file, threads, sequences and room for tokens.

pub mod engine;
pub mod llama_server;
pub mod llama_tools;
pub mod node;

use std::path::PathBuf;

/// What all contenders of one comparison have in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The model file.
    pub model: PathBuf,
    /// Threads that compute.
    pub threads: u32,
    /// Requests at the same time.
    pub sequences: u32,
    /// Room for the contexts of all requests together, in tokens; also the most that one may have.
    pub cells: u32,
    /// The most that one request may have.
    pub context: u32,
}
