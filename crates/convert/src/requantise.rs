//! Stores the Q4_1 matrices of a GGUF file as Q8_0 and leaves everything else as it is, byte by
//! byte.
//!
//! ggml multiplies Q8_0 by several rows at once and Q4_1 row by row, so the same weights read
//! prompts and serve several streams faster, for 1.7 times the memory. Nothing is gained in
//! quality: every number stays within half a step of the new scale, which is fine against the
//! steps it had.
//!
//! Other types stay: llama.cpp has fast ways for the common ones, and they would lose more.
//!
//! Memory: beside the file, its header and one tensor.

use std::io::Write;

use gaia_gguf::{Header, ReadHeaderError, TensorInfo, TensorType, WriteError, Writer};

use crate::{q4_1, q8_0};

/// What llama.cpp calls most of the matrices.
const FILE_TYPE: (&str, u32) = ("general.file_type", 7);

/// The layout of blocks; there has been no other since the format began.
const BLOCKS_VERSION: (&str, u32) = ("general.quantization_version", 2);

/// Why a file could not be requantised.
#[derive(Debug, thiserror::Error)]
pub enum RequantiseError {
    /// The file is no whole GGUF file.
    #[error("the GGUF file cannot be read")]
    Read(#[from] ReadHeaderError),
    /// The blocks have another layout than the one known here.
    #[error("`{}` is {found}; only {} can be requantised", BLOCKS_VERSION.0, BLOCKS_VERSION.1)]
    Version {
        /// What the file says.
        found: String,
    },
    /// No matrix is stored as Q4_1: the file is not the one that was meant.
    #[error("no matrix is stored as Q4_1")]
    NoMatrix,
    /// A weight is not a number.
    #[error("tensor `{name}` holds a number that is not finite")]
    NotFinite {
        /// The tensor's name.
        name: String,
    },
    /// The result could not be written.
    #[error("the GGUF file could not be written")]
    Write(#[from] WriteError),
}

/// Writes `file` to `to` with its Q4_1 matrices stored as Q8_0.
///
/// # Errors
/// The file is damaged or has no such matrix, or `to` fails. What was written until then is of no
/// use.
pub fn requantise(file: &[u8], to: &mut impl Write) -> Result<(), RequantiseError> {
    let header = Header::from_bytes(file)?;
    if !header.tensors().iter().any(changes) {
        return Err(RequantiseError::NoMatrix);
    }
    let mut writer = Writer::new();
    describe(&header, file, &mut writer)?;
    for tensor in header.tensors() {
        add(tensor, file, &mut writer)?;
    }
    writer.write(to)?;
    Ok(())
}

fn changes(tensor: &TensorInfo) -> bool {
    tensor.kind == TensorType::Q4_1
}

fn describe(header: &Header, file: &[u8], writer: &mut Writer<'_>) -> Result<(), RequantiseError> {
    let (key, version) = BLOCKS_VERSION;
    match header.get(key) {
        None => writer.set(key, version)?,
        Some(value) if value.as_u64() == Some(version.into()) => writer,
        Some(value) => {
            let found = format!("{value:?}");
            return Err(RequantiseError::Version { found });
        }
    };
    let (key, kind) = FILE_TYPE;
    if header.get(key).is_none() {
        writer.set(key, kind)?;
    }
    for stored in header.stored(file) {
        match stored.key == key {
            true => writer.set(key, kind)?,
            false => writer.copy(stored)?,
        };
    }
    Ok(())
}

fn add<'a>(
    tensor: &TensorInfo,
    file: &'a [u8],
    writer: &mut Writer<'a>,
) -> Result<(), RequantiseError> {
    // The header was read from these bytes and ends no tensor behind them.
    let data = &file[tensor.offset as usize..][..tensor.bytes as usize];
    let (name, dimensions) = (&tensor.name, &tensor.dimensions);
    if !changes(tensor) {
        writer.add_tensor(name, dimensions, tensor.kind, move || data.to_vec())?;
        return Ok(());
    }
    let (blocks, _) = data.as_chunks();
    if !blocks.iter().all(q4_1::is_finite) {
        return Err(RequantiseError::NotFinite { name: name.clone() });
    }
    writer.add_tensor(name, dimensions, TensorType::Q8_0, move || {
        let mut bytes = Vec::with_capacity(blocks.len() * q8_0::BLOCK_BYTES);
        for block in blocks {
            q8_0::push(&q4_1::decode(block), &mut bytes);
        }
        bytes
    })?;
    Ok(())
}
