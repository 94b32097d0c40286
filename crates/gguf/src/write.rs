//! Writes GGUF files: for the converters, and for tests that need a tiny model.
//!
//! Tensors are declared first and their data is made one at a time while writing, so that a large
//! model needs no more memory than its largest tensor.
//!
//! Invariant: what is written is accepted by [`Header::read`](crate::Header::read).

use std::collections::HashSet;
use std::io::{self, Read, Write};

use crate::{
    ALIGNMENT_DEFAULT, ALIGNMENT_KEY, ALIGNMENT_MAX, Array, DIMENSIONS_MAX, MAGIC,
    TENSOR_NAME_BYTES_MAX, TensorType, VERSION, Value,
};

/// The most that all tensors together may take: half of what a file can, so that a header fits too.
const DATA_BYTES_MAX: u64 = 1 << 62;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A key or tensor name was added twice.
    #[error("`{name}` was added twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// `general.alignment` is no alignment.
    #[error("`{ALIGNMENT_KEY}` must be a 32-bit power of two, at most {ALIGNMENT_MAX}")]
    Alignment,
    /// A tensor's shape cannot be stored.
    #[error("tensor `{name}` has a shape or name that cannot be stored")]
    Shape {
        /// The tensor's name.
        name: String,
    },
    /// The tensors up to this one are longer than a file can be.
    #[error("the tensors up to `{name}` are longer than a file can be")]
    Length {
        /// The tensor's name.
        name: String,
    },
    /// A tensor's data does not have the length that follows from its shape.
    #[error("tensor `{name}` needs {expected} bytes and got {found}")]
    Data {
        /// The tensor's name.
        name: String,
        /// The length that follows from shape and type.
        expected: u64,
        /// The length of the data.
        found: u64,
    },
    /// The destination failed.
    #[error("failed to write")]
    Write(#[from] io::Error),
}

/// A GGUF file in the making: metadata and tensors in the order in which they are added.
pub struct Writer<'a> {
    /// Keys and encoded values.
    metadata: Vec<(String, Vec<u8>)>,
    tensors: Vec<Tensor<'a>>,
    names: HashSet<String>,
    keys: HashSet<String>,
    alignment: u64,
}

/// A metadata value as it stands in another file; see [`Header::stored`].
///
/// [`Header::stored`]: crate::Header::stored
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    /// Its key.
    pub key: &'a str,
    pub(crate) value: &'a Value,
    pub(crate) bytes: &'a [u8],
}

type Data<'a> = Box<dyn FnOnce() -> Vec<u8> + 'a>;

struct Tensor<'a> {
    name: String,
    dimensions: Vec<u64>,
    kind: TensorType,
    bytes: u64,
    data: Data<'a>,
}

impl Default for Writer<'_> {
    fn default() -> Self {
        Self {
            metadata: Vec::new(),
            tensors: Vec::new(),
            names: HashSet::new(),
            keys: HashSet::new(),
            alignment: ALIGNMENT_DEFAULT,
        }
    }
}

impl<'a> Writer<'a> {
    /// A file without anything in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metadata value. `general.alignment` also decides where tensors start.
    ///
    /// # Errors
    /// The key is already there, or the value is no alignment.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<&mut Self, WriteError> {
        let value = value.into();
        let mut bytes = Vec::new();
        put_value(&mut bytes, &value);
        self.insert(key, &value, bytes)
    }

    /// Adds a metadata value as another file has it, byte by byte: a text that is not UTF-8 stays
    /// what it is.
    ///
    /// # Errors
    /// As [`Writer::set`].
    pub fn copy(&mut self, stored: Stored<'_>) -> Result<&mut Self, WriteError> {
        self.insert(stored.key, stored.value, stored.bytes.to_vec())
    }

    fn insert(
        &mut self,
        key: &str,
        value: &Value,
        bytes: Vec<u8>,
    ) -> Result<&mut Self, WriteError> {
        if key == ALIGNMENT_KEY {
            self.alignment = alignment(value).ok_or(WriteError::Alignment)?;
        }
        if !self.keys.insert(key.to_owned()) {
            return Err(WriteError::Duplicate {
                name: key.to_owned(),
            });
        }
        self.metadata.push((key.to_owned(), bytes));
        Ok(self)
    }

    /// Adds a tensor, fastest-running dimension first. `data` is called while writing and gives
    /// the bytes in the layout of `kind`.
    ///
    /// # Errors
    /// The name is already there or too long, or the shape cannot be stored.
    pub fn add_tensor(
        &mut self,
        name: &str,
        dimensions: &[u64],
        kind: TensorType,
        data: impl FnOnce() -> Vec<u8> + 'a,
    ) -> Result<&mut Self, WriteError> {
        let shape = || WriteError::Shape {
            name: name.to_owned(),
        };
        let row = dimensions.first().copied().unwrap_or(1);
        let fits = dimensions.len() <= DIMENSIONS_MAX
            && name.len() as u64 <= TENSOR_NAME_BYTES_MAX
            && !dimensions.contains(&0)
            && row.is_multiple_of(kind.block_len());
        let elements = dimensions
            .iter()
            .try_fold(1u64, |product, &n| product.checked_mul(n));
        let bytes = elements
            .and_then(|n| kind.bytes(n))
            .filter(|_| fits)
            .ok_or_else(shape)?;
        if !self.names.insert(name.to_owned()) {
            return Err(WriteError::Duplicate {
                name: name.to_owned(),
            });
        }
        let (name, dimensions, data) = (name.to_owned(), dimensions.to_vec(), Box::new(data));
        self.tensors.push(Tensor {
            name,
            dimensions,
            kind,
            bytes,
            data,
        });
        Ok(self)
    }

    /// Writes the whole file.
    ///
    /// # Errors
    /// The destination fails, a tensor's data has the wrong length, or all of it is too long for a
    /// file; then nothing was written.
    pub fn write(self, to: &mut impl Write) -> Result<(), WriteError> {
        let (header, alignment) = (self.header()?, self.alignment);
        to.write_all(&header)?;
        pad(to, header.len() as u64, alignment)?;
        for tensor in self.tensors {
            let data = (tensor.data)();
            if data.len() as u64 != tensor.bytes {
                return Err(WriteError::Data {
                    name: tensor.name,
                    expected: tensor.bytes,
                    found: data.len() as u64,
                });
            }
            to.write_all(&data)?;
            pad(to, tensor.bytes, alignment)?;
        }
        to.flush()?;
        Ok(())
    }

    fn header(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            put_text(&mut out, key);
            out.extend(value);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            put_text(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            tensor
                .dimensions
                .iter()
                .for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(tensor.kind.id().to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset = self
                .end(offset, tensor.bytes)
                .ok_or_else(|| WriteError::Length {
                    name: tensor.name.clone(),
                })?;
        }
        Ok(out)
    }

    /// Where the next tensor starts after one of `bytes` at `offset`. The end of a file, header and
    /// all, is a signed number to every system.
    fn end(&self, offset: u64, bytes: u64) -> Option<u64> {
        let padded = bytes.checked_next_multiple_of(self.alignment)?;
        let end = offset.checked_add(padded)?;
        (end <= DATA_BYTES_MAX).then_some(end)
    }
}

fn alignment(value: &Value) -> Option<u64> {
    match *value {
        Value::U32(bytes) if bytes.is_power_of_two() => Some(bytes.into()),
        _ => None,
    }
    .filter(|&bytes| bytes <= ALIGNMENT_MAX)
}

fn pad(to: &mut impl Write, written: u64, alignment: u64) -> io::Result<()> {
    let missing = written.next_multiple_of(alignment) - written;
    io::copy(&mut io::repeat(0).take(missing), to).map(|_| ())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    out.extend(value.value_type().id().to_le_bytes());
    match value {
        Value::U8(n) => out.extend(n.to_le_bytes()),
        Value::I8(n) => out.extend(n.to_le_bytes()),
        Value::U16(n) => out.extend(n.to_le_bytes()),
        Value::I16(n) => out.extend(n.to_le_bytes()),
        Value::U32(n) => out.extend(n.to_le_bytes()),
        Value::I32(n) => out.extend(n.to_le_bytes()),
        Value::F32(n) => out.extend(n.to_le_bytes()),
        Value::U64(n) => out.extend(n.to_le_bytes()),
        Value::I64(n) => out.extend(n.to_le_bytes()),
        Value::F64(n) => out.extend(n.to_le_bytes()),
        Value::Bool(flag) => out.push((*flag).into()),
        Value::Text(text) => put_text(out, text),
        Value::Array(array) => put_array(out, array),
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    out.extend(array.element_type().id().to_le_bytes());
    out.extend((array.len() as u64).to_le_bytes());
    match array {
        Array::U8(v) => out.extend(v),
        Array::I8(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::U16(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::I16(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::U32(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::I32(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::F32(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::U64(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::I64(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::F64(v) => v.iter().for_each(|n| out.extend(n.to_le_bytes())),
        Array::Bool(v) => v.iter().for_each(|&flag| out.push(flag.into())),
        Array::Text(v) => v.iter().for_each(|text| put_text(out, text)),
        Array::Array(v) => v.iter().for_each(|inner| put_array(out, inner)),
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }
        impl From<Vec<$type>> for Value {
            fn from(values: Vec<$type>) -> Self {
                Self::Array(Array::$variant(values))
            }
        }
    )*};
}

value_from!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, f32 => F32,
    bool => Bool, String => Text, u64 => U64, i64 => I64, f64 => F64);
