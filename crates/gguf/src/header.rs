//! The header as a whole: reading it, and typed access to what it holds.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::ops::Range;

use crate::cursor::Cursor;
use crate::{Array, Limits, MetadataError, ReadHeaderError, Stored, TensorInfo, Value, read};

/// A GGUF header whose every part has been checked against the format and the file's length.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    version: u32,
    alignment: u64,
    data_offset: u64,
    file_bytes: u64,
    metadata: BTreeMap<String, Entry>,
    tensors: Vec<TensorInfo>,
}

/// A metadata value and where it stands in the file, its type included.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) place: Range<u64>,
}

impl Header {
    /// Reads and checks the header of a whole model file, with the default [`Limits`].
    ///
    /// `reader` is taken from its start to its end, wherever it stands now; the header is read,
    /// the tensor data is not.
    ///
    /// # Errors
    /// Anything that breaks the format, a limit, or does not fit into the file.
    pub fn read<R: Read + Seek>(reader: &mut R) -> Result<Self, ReadHeaderError> {
        Self::read_within(reader, Limits::default())
    }

    /// Like [`Header::read`], with other limits.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub fn read_within<R: Read + Seek>(
        reader: &mut R,
        limits: Limits,
    ) -> Result<Self, ReadHeaderError> {
        let mut cursor = Cursor::new(reader, limits)?;
        let version = read::version(&mut cursor)?;
        let tensor_count = cursor.count("the number of tensors", limits.tensor_count_max)?;
        let metadata_count =
            cursor.count("the number of metadata entries", limits.metadata_count_max)?;
        let (metadata, alignment) = read::metadata(&mut cursor, metadata_count)?;
        let drafts = read::tensors(&mut cursor, tensor_count)?;
        let data_offset = cursor.offset.next_multiple_of(alignment);
        let file_bytes = cursor.file_bytes;
        let tensors = read::place(drafts, data_offset, alignment, file_bytes)?;
        Ok(Self {
            version,
            alignment,
            data_offset,
            file_bytes,
            metadata,
            tensors,
        })
    }

    /// [`Header::read`] over a file that is in memory.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadHeaderError> {
        Self::read(&mut io::Cursor::new(bytes))
    }

    /// The format's version, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Every tensor starts at a multiple of this many bytes from [`Header::data_offset`].
    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Where the tensor data starts, in bytes from the start of the file.
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// The file's length in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// All metadata, ordered by key.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.metadata
            .iter()
            .map(|(key, entry)| (key.as_str(), &entry.value))
    }

    /// All metadata as it stands in `file`, in the file's order, for [`Writer::copy`]. `file` is
    /// the one this header was read from; of one that is shorter, only what is there is given.
    ///
    /// [`Writer::copy`]: crate::Writer::copy
    pub fn stored<'a>(&'a self, file: &'a [u8]) -> impl Iterator<Item = Stored<'a>> {
        let mut entries: Vec<_> = self.metadata.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.place.start);
        entries.into_iter().filter_map(|(key, entry)| {
            let start = usize::try_from(entry.place.start).ok()?;
            let end = usize::try_from(entry.place.end).ok()?;
            let (bytes, value) = (file.get(start..end)?, &entry.value);
            Some(Stored { key, value, bytes })
        })
    }

    /// All tensors, in the file's order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor with this name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The value of a key, if the header has it.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key).map(|entry| &entry.value)
    }

    /// The text under `key`.
    ///
    /// # Errors
    /// The key is missing or holds something else.
    pub fn text(&self, key: &str) -> Result<&str, MetadataError> {
        self.typed(key, "a text", Value::as_text)
    }

    /// The whole number of at least zero under `key`, stored in any width.
    ///
    /// # Errors
    /// The key is missing or holds something else.
    pub fn number(&self, key: &str) -> Result<u64, MetadataError> {
        self.typed(key, "a whole number of at least zero", Value::as_u64)
    }

    /// The float under `key`.
    ///
    /// # Errors
    /// The key is missing or holds something else.
    pub fn float(&self, key: &str) -> Result<f64, MetadataError> {
        self.typed(key, "a float", Value::as_f64)
    }

    /// The flag under `key`.
    ///
    /// # Errors
    /// The key is missing or holds something else.
    pub fn flag(&self, key: &str) -> Result<bool, MetadataError> {
        self.typed(key, "a flag", Value::as_bool)
    }

    /// The array of texts under `key`, such as the vocabulary.
    ///
    /// # Errors
    /// The key is missing or holds something else.
    pub fn texts(&self, key: &str) -> Result<&[String], MetadataError> {
        self.typed(key, "an array of texts", |value| match value {
            Value::Array(Array::Text(texts)) => Some(texts.as_slice()),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &'static str,
        take: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T, MetadataError> {
        let Some(value) = self.get(key) else {
            return Err(MetadataError::Missing {
                key: key.to_owned(),
            });
        };
        take(value).ok_or_else(|| MetadataError::Type {
            key: key.to_owned(),
            found: value.describe(),
            wanted,
        })
    }
}
