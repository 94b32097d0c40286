//! Makes the GGUF file that llama.cpp runs best out of what can be had: a BERT embedding model in
//! safetensors form ([`bert`]), or a GGUF file whose matrices are stored in a way that is slow to
//! compute with ([`requantise`]).
//!
//! What would be converted wrongly is refused, because a file that loads and answers wrongly is
//! worse than none.
//!
//! Pure: slices in, bytes out. Invariant: the same input gives the same bytes, so the result has a
//! checksum that can be known beforehand.

pub mod bert;
mod q4_1;
mod q8_0;
mod requantise;

pub use requantise::{RequantiseError, requantise};
