//! The header as a whole: reading it, and typed access to what it holds.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Seek};

use crate::cursor::Cursor;
use crate::{
    ALIGNMENT_DEFAULT, ALIGNMENT_MAX, ARRAY_DEPTH_MAX, Array, DIMENSIONS_MAX, Limits, MAGIC,
    MetadataError, ReadHeaderError, TENSOR_NAME_BYTES_MAX, TensorInfo, TensorType, Value,
    ValueType,
};

/// A GGUF header whose every part has been checked against the format and the file's length.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    version: u32,
    alignment: u64,
    data_offset: u64,
    file_bytes: u64,
    metadata: BTreeMap<String, Value>,
    tensors: Vec<TensorInfo>,
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
        let version = read_version(&mut cursor)?;
        let tensor_count = cursor.u64("the number of tensors")?;
        cursor.check(
            "the number of tensors",
            tensor_count,
            limits.tensor_count_max,
        )?;
        let metadata_count = cursor.u64("the number of metadata entries")?;
        cursor.check(
            "the number of metadata entries",
            metadata_count,
            limits.metadata_count_max,
        )?;

        let metadata = read_metadata(&mut cursor, metadata_count)?;
        let alignment = alignment_of(&metadata, &cursor)?;
        let drafts = read_tensors(&mut cursor, tensor_count)?;
        let data_offset = cursor.offset.next_multiple_of(alignment);
        let tensors = place(drafts, data_offset, alignment, cursor.file_bytes)?;
        let file_bytes = cursor.file_bytes;
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
            .map(|(key, value)| (key.as_str(), value))
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
        self.metadata.get(key)
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
        let Some(value) = self.metadata.get(key) else {
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

fn read_version<R: Read + Seek>(cursor: &mut Cursor<'_, R>) -> Result<u32, ReadHeaderError> {
    let found = cursor.array::<4>("the magic number")?;
    if found != MAGIC {
        return Err(ReadHeaderError::Magic { found });
    }
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        found => Err(ReadHeaderError::Version { found }),
    }
}

fn read_metadata<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    count: u64,
) -> Result<BTreeMap<String, Value>, ReadHeaderError> {
    let mut metadata = BTreeMap::new();
    for index in 0..count {
        let offset = cursor.offset;
        let key = cursor.name(
            || format!("metadata key {index}"),
            cursor.limits.key_bytes_max,
        )?;
        if key.is_empty() {
            return cursor.invalid(|| format!("metadata key {index}"), "it is empty");
        }
        if metadata.contains_key(&key) {
            let field = format!("metadata key `{key}`");
            return Err(ReadHeaderError::Duplicate { field, offset });
        }
        let value = read_value(cursor, &key)?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn read_type<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    key: &str,
) -> Result<ValueType, ReadHeaderError> {
    let offset = cursor.offset;
    let found = cursor.u32(|| format!("the type of `{key}`"))?;
    ValueType::from_id(found).ok_or_else(|| ReadHeaderError::UnknownType {
        field: format!("`{key}`"),
        offset,
        found,
    })
}

fn read_value<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    key: &str,
) -> Result<Value, ReadHeaderError> {
    let name = || format!("`{key}`");
    Ok(match read_type(cursor, key)? {
        ValueType::U8 => Value::U8(u8::from_le_bytes(cursor.array(name)?)),
        ValueType::I8 => Value::I8(i8::from_le_bytes(cursor.array(name)?)),
        ValueType::U16 => Value::U16(u16::from_le_bytes(cursor.array(name)?)),
        ValueType::I16 => Value::I16(i16::from_le_bytes(cursor.array(name)?)),
        ValueType::U32 => Value::U32(u32::from_le_bytes(cursor.array(name)?)),
        ValueType::I32 => Value::I32(i32::from_le_bytes(cursor.array(name)?)),
        ValueType::F32 => Value::F32(f32::from_le_bytes(cursor.array(name)?)),
        ValueType::U64 => Value::U64(u64::from_le_bytes(cursor.array(name)?)),
        ValueType::I64 => Value::I64(i64::from_le_bytes(cursor.array(name)?)),
        ValueType::F64 => Value::F64(f64::from_le_bytes(cursor.array(name)?)),
        ValueType::Bool => Value::Bool(read_flag(cursor, key)?),
        ValueType::Text => Value::Text(read_text(cursor, key)?),
        ValueType::Array => Value::Array(read_array(cursor, key, 1)?),
    })
}

fn read_flag<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    key: &str,
) -> Result<bool, ReadHeaderError> {
    match cursor.array(|| format!("`{key}`"))? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => cursor.invalid(|| format!("`{key}`"), "a flag is 0 or 1"),
    }
}

/// Vocabularies hold broken UTF-8 now and then; nothing looks a value up by its text.
fn read_text<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    key: &str,
) -> Result<String, ReadHeaderError> {
    let bytes = cursor.bytes(|| format!("`{key}`"), cursor.limits.text_bytes_max)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn read_array<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    key: &str,
    depth: usize,
) -> Result<Array, ReadHeaderError> {
    let name = || format!("`{key}`");
    cursor.check(
        || format!("the depth of `{key}`"),
        depth as u64,
        ARRAY_DEPTH_MAX as u64,
    )?;
    let element = read_type(cursor, key)?;
    let count = cursor.u64(|| format!("the number of elements of `{key}`"))?;
    cursor.check(
        || format!("the number of elements of `{key}`"),
        count,
        cursor.limits.array_len_max,
    )?;
    // No overflow: the count is limited, and a 64-bit limit above 2^60 would still saturate here.
    cursor.expect_bytes(count.saturating_mul(element.bytes_min()), name)?;
    Ok(match element {
        ValueType::U8 => Array::U8(many(cursor, count, |c| {
            c.array(name).map(u8::from_le_bytes)
        })?),
        ValueType::I8 => Array::I8(many(cursor, count, |c| {
            c.array(name).map(i8::from_le_bytes)
        })?),
        ValueType::U16 => Array::U16(many(cursor, count, |c| {
            c.array(name).map(u16::from_le_bytes)
        })?),
        ValueType::I16 => Array::I16(many(cursor, count, |c| {
            c.array(name).map(i16::from_le_bytes)
        })?),
        ValueType::U32 => Array::U32(many(cursor, count, |c| {
            c.array(name).map(u32::from_le_bytes)
        })?),
        ValueType::I32 => Array::I32(many(cursor, count, |c| {
            c.array(name).map(i32::from_le_bytes)
        })?),
        ValueType::F32 => Array::F32(many(cursor, count, |c| {
            c.array(name).map(f32::from_le_bytes)
        })?),
        ValueType::U64 => Array::U64(many(cursor, count, |c| {
            c.array(name).map(u64::from_le_bytes)
        })?),
        ValueType::I64 => Array::I64(many(cursor, count, |c| {
            c.array(name).map(i64::from_le_bytes)
        })?),
        ValueType::F64 => Array::F64(many(cursor, count, |c| {
            c.array(name).map(f64::from_le_bytes)
        })?),
        ValueType::Bool => Array::Bool(many(cursor, count, |c| read_flag(c, key))?),
        ValueType::Text => Array::Text(many(cursor, count, |c| read_text(c, key))?),
        ValueType::Array => Array::Array(many(cursor, count, |c| read_array(c, key, depth + 1))?),
    })
}

/// Reads `count` elements; the caller has checked that the file can hold them.
fn many<R: Read + Seek, T>(
    cursor: &mut Cursor<'_, R>,
    count: u64,
    mut read: impl FnMut(&mut Cursor<'_, R>) -> Result<T, ReadHeaderError>,
) -> Result<Vec<T>, ReadHeaderError> {
    let mut elements = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for _ in 0..count {
        elements.push(read(cursor)?);
    }
    Ok(elements)
}

fn alignment_of<R: Read + Seek>(
    metadata: &BTreeMap<String, Value>,
    cursor: &Cursor<'_, R>,
) -> Result<u64, ReadHeaderError> {
    const KEY: &str = "`general.alignment`";
    match metadata.get("general.alignment") {
        None => Ok(ALIGNMENT_DEFAULT),
        Some(&Value::U32(alignment)) if alignment.is_power_of_two() => {
            cursor.check(KEY, alignment.into(), ALIGNMENT_MAX)?;
            Ok(alignment.into())
        }
        Some(Value::U32(_)) => cursor.invalid(KEY, "it is not a power of two"),
        Some(_) => cursor.invalid(KEY, "it is not a 32-bit whole number"),
    }
}

/// A tensor before its place in the file is known to be right: its offset is still relative.
fn read_tensors<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    count: u64,
) -> Result<Vec<TensorInfo>, ReadHeaderError> {
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for index in 0..count {
        let offset = cursor.offset;
        let name = cursor.name(
            || format!("the name of tensor {index}"),
            TENSOR_NAME_BYTES_MAX,
        )?;
        if !names.insert(name.clone()) {
            let field = format!("tensor `{name}`");
            return Err(ReadHeaderError::Duplicate { field, offset });
        }
        tensors.push(read_tensor(cursor, name)?);
    }
    Ok(tensors)
}

fn read_tensor<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    name: String,
) -> Result<TensorInfo, ReadHeaderError> {
    let dimensions = read_dimensions(cursor, &name)?;
    let offset = cursor.offset;
    let id = cursor.u32(|| format!("the type of tensor `{name}`"))?;
    let Some(kind) = TensorType::from_id(id) else {
        return Err(ReadHeaderError::UnknownType {
            field: format!("tensor `{name}`"),
            offset,
            found: id,
        });
    };
    let row = dimensions.first().copied().unwrap_or(1);
    if !row.is_multiple_of(kind.block_len()) {
        return cursor.invalid(
            || format!("tensor `{name}`"),
            "its rows hold no whole blocks",
        );
    }
    let elements = dimensions
        .iter()
        .try_fold(1u64, |product, &n| product.checked_mul(n));
    let sized = elements.and_then(|elements| Some((elements, kind.bytes(elements)?)));
    let Some((elements, bytes)) = sized else {
        return cursor.invalid(
            || format!("tensor `{name}`"),
            "its size does not fit 64 bits",
        );
    };
    let offset = cursor.u64(|| format!("the offset of tensor `{name}`"))?;
    Ok(TensorInfo {
        name,
        dimensions,
        kind,
        offset,
        bytes,
        elements,
    })
}

fn read_dimensions<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    name: &str,
) -> Result<Vec<u64>, ReadHeaderError> {
    let field = || format!("the number of dimensions of tensor `{name}`");
    let count = cursor.u32(field)?;
    cursor.check(field, count.into(), DIMENSIONS_MAX as u64)?;
    let mut dimensions = Vec::with_capacity(DIMENSIONS_MAX);
    for _ in 0..count {
        let size = cursor.u64(|| format!("the shape of tensor `{name}`"))?;
        // llama.cpp reads these as signed.
        if size == 0 || i64::try_from(size).is_err() {
            return cursor.invalid(
                || format!("the shape of tensor `{name}`"),
                "a dimension is out of range",
            );
        }
        dimensions.push(size);
    }
    Ok(dimensions)
}

/// Checks that the tensors follow each other without hole or overlap and end inside the file, as
/// llama.cpp demands, and makes their offsets absolute.
fn place(
    mut tensors: Vec<TensorInfo>,
    data_offset: u64,
    alignment: u64,
    file_bytes: u64,
) -> Result<Vec<TensorInfo>, ReadHeaderError> {
    let mut expected = 0u64;
    for tensor in &mut tensors {
        let found = tensor.offset;
        if found != expected {
            let name = tensor.name.clone();
            return Err(ReadHeaderError::TensorOffset {
                name,
                found,
                expected,
            });
        }
        let end = data_offset
            .checked_add(found)
            .and_then(|start| start.checked_add(tensor.bytes));
        let end = end.unwrap_or(u64::MAX);
        if end > file_bytes {
            let name = tensor.name.clone();
            return Err(ReadHeaderError::TensorBeyondFile {
                name,
                end,
                file_bytes,
            });
        }
        tensor.offset = data_offset + found;
        // No overflow: `end` is inside the file, and a file ends far below 2^64 - 2^20.
        expected = (found + tensor.bytes).saturating_add(alignment - 1) / alignment * alignment;
    }
    Ok(tensors)
}
