//! What can be wrong with a header.
//!
//! Every variant that comes from the file's bytes names the field and the offset at which it
//! starts, so that a broken file can be looked at in a hex viewer.

use std::io;

/// Why [`Header::read`](crate::Header::read) refused a file. Offsets are in bytes from its start.
#[derive(Debug, thiserror::Error)]
pub enum ReadHeaderError {
    /// The reader failed.
    #[error("failed to read {field} at offset {offset}")]
    Read {
        /// What was being read.
        field: String,
        /// Where it starts.
        offset: u64,
        /// The reader's own error.
        #[source]
        source: io::Error,
    },
    /// The file does not start with `GGUF`.
    #[error("not a GGUF file: it starts with {found:02x?} instead of \"GGUF\"")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The format version is neither 2 nor 3.
    #[error("GGUF version {found} is not supported (2 and 3 are){}", byte_order_hint(*found))]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file ends before the field does.
    #[error("the file ends inside {field}: {needed} bytes wanted at offset {offset}, {left} left")]
    Truncated {
        /// What was being read.
        field: String,
        /// Where it starts.
        offset: u64,
        /// How many bytes it needs at least.
        needed: u64,
        /// How many bytes the file has from there.
        left: u64,
    },
    /// A count, length or size is above its limit.
    #[error("{field} at offset {offset} is {found}, the limit is {limit}")]
    TooLarge {
        /// What is too large.
        field: String,
        /// Where it is.
        offset: u64,
        /// The value in the file.
        found: u64,
        /// The largest value accepted.
        limit: u64,
    },
    /// A name or key is not UTF-8.
    #[error("{field} at offset {offset} is not UTF-8")]
    NotUtf8 {
        /// Which text.
        field: String,
        /// Where it starts.
        offset: u64,
    },
    /// A key or tensor name appears twice.
    #[error("{field} at offset {offset} appears twice")]
    Duplicate {
        /// Which name.
        field: String,
        /// Where the second one starts.
        offset: u64,
    },
    /// A type number means nothing.
    #[error("{field} at offset {offset} has the unknown type {found}")]
    UnknownType {
        /// What has this type.
        field: String,
        /// Where the number is.
        offset: u64,
        /// The number.
        found: u32,
    },
    /// A value breaks a rule of the format.
    #[error("{field} at offset {offset} is invalid: {reason}")]
    Invalid {
        /// What is wrong.
        field: String,
        /// Where it is.
        offset: u64,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A tensor is not where the ones before it end, so it overlaps one or leaves a hole.
    #[error(
        "tensor `{name}` starts at data offset {found}, but the ones before it end at {expected}"
    )]
    TensorOffset {
        /// The tensor's name.
        name: String,
        /// Its offset in the tensor data.
        found: u64,
        /// The only offset the format permits.
        expected: u64,
    },
    /// A tensor's data goes beyond the end of the file.
    #[error("tensor `{name}` ends at byte {end}, but the file has {file_bytes}: it is incomplete")]
    TensorBeyondFile {
        /// The tensor's name.
        name: String,
        /// The first byte after its data.
        end: u64,
        /// The file's length.
        file_bytes: u64,
    },
}

fn byte_order_hint(version: u32) -> &'static str {
    match version.swap_bytes() {
        2 | 3 => "; the file has the other byte order",
        _ => "",
    }
}

/// Why a metadata value could not be had in the wanted form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The header has no such key.
    #[error("the header has no `{key}`")]
    Missing {
        /// The key asked for.
        key: String,
    },
    /// The value has another type.
    #[error("`{key}` is {found}, not {wanted}")]
    Type {
        /// The key asked for.
        key: String,
        /// The type in the file.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
}
