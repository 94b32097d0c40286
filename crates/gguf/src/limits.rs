//! How much a header may ask for.
//!
//! The numbers are several times what the largest published models need (a vocabulary of 262,144
//! tokens, a few thousand tensors), and small enough that a hostile file costs little.

/// Where tensors start when the header names no `general.alignment`, in bytes.
pub const ALIGNMENT_DEFAULT: u64 = 32;

/// The largest `general.alignment` accepted, in bytes.
pub const ALIGNMENT_MAX: u64 = 1 << 20;

/// How deep arrays may hold arrays; 1 is an array of plain values.
pub const ARRAY_DEPTH_MAX: usize = 3;

/// The largest number of dimensions of a tensor.
pub const DIMENSIONS_MAX: usize = 4;

/// The longest name of a tensor, in bytes. llama.cpp keeps 64 with the closing zero.
pub const TENSOR_NAME_BYTES_MAX: u64 = 63;

/// What a header may hold at most; `Default` is right for published models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Everything before the tensor data, in bytes.
    pub header_bytes_max: u64,
    /// Number of key-value pairs.
    pub metadata_count_max: u64,
    /// Number of tensors.
    pub tensor_count_max: u64,
    /// Length of a key, in bytes.
    pub key_bytes_max: u64,
    /// Length of a text value, in bytes.
    pub text_bytes_max: u64,
    /// Number of elements of one array.
    pub array_len_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes_max: 256 << 20,
            metadata_count_max: 1 << 16,
            tensor_count_max: 1 << 16,
            key_bytes_max: (1 << 16) - 1,
            text_bytes_max: 64 << 20,
            array_len_max: 1 << 24,
        }
    }
}
