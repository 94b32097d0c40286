//! Reads and writes the header of GGUF model files (versions 2 and 3), from any reader.
//!
//! A model file comes from strangers and is handed to a C++ library that ends the process when it
//! does not like what it sees. This crate reads it first: every count, length, type, shape, offset
//! and name is checked against a named limit and against the length of the file.
//!
//! It reads no tensor data and judges no model: whether an architecture can be run is the engine's
//! to know.
//!
//! Invariant: reading never panics, and holds at most a small multiple of
//! [`Limits::header_bytes_max`] in memory, whatever the bytes say.

mod available;
mod cursor;
mod draft;
mod error;
mod facts;
mod header;
mod limits;
mod memory;
mod read;
mod reranking;
mod tensor;
mod value;
mod write;

pub use available::Available;
pub use draft::{DRAFT_PADDING_MAX, DraftMisfit};
pub use error::{MetadataError, ReadHeaderError};
pub use facts::{Facts, Pooling};
pub use header::Header;
pub use limits::{
    ALIGNMENT_DEFAULT, ALIGNMENT_MAX, ARRAY_DEPTH_MAX, DIMENSIONS_MAX, Limits,
    TENSOR_NAME_BYTES_MAX,
};
pub use memory::{
    DraftMemory, Gpu, GpuPlan, KvType, MemoryPlan, MemoryWishes, default_cells, default_context,
    in_units,
};
pub use reranking::RerankingMisfit;
pub use tensor::{TensorInfo, TensorType};
pub use value::{Array, Value, ValueType};
pub use write::{Stored, WriteError, Writer};

/// The first four bytes of every GGUF file.
pub const MAGIC: [u8; 4] = *b"GGUF";

/// The version that [`Writer`] writes.
pub const VERSION: u32 = 3;

/// Under this key a header says where tensors may start.
pub(crate) const ALIGNMENT_KEY: &str = "general.alignment";
