//! Reads the parts of a header, in the order of the file.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek};

use crate::cursor::{Cursor, check, invalid};
use crate::header::Entry;
use crate::{
    ALIGNMENT_DEFAULT, ALIGNMENT_KEY, ALIGNMENT_MAX, ARRAY_DEPTH_MAX, Array, DIMENSIONS_MAX, MAGIC,
    ReadHeaderError, TENSOR_NAME_BYTES_MAX, TensorInfo, TensorType, Value, ValueType,
};

pub(crate) fn version<R: Read + Seek>(cursor: &mut Cursor<'_, R>) -> Result<u32, ReadHeaderError> {
    let found = cursor.array::<4>("the magic number")?;
    if found != MAGIC {
        return Err(ReadHeaderError::Magic { found });
    }
    match cursor.u32("the version")? {
        version @ (2 | 3) => Ok(version),
        found => Err(ReadHeaderError::Version { found }),
    }
}

pub(crate) fn metadata<R: Read + Seek>(
    cursor: &mut Cursor<'_, R>,
    count: u64,
) -> Result<(BTreeMap<String, Entry>, u64), ReadHeaderError> {
    let mut metadata = BTreeMap::new();
    let mut alignment = ALIGNMENT_DEFAULT;
    for index in 0..count {
        let offset = cursor.offset;
        let key = cursor.name(
            || format!("metadata key {index}"),
            cursor.limits.key_bytes_max,
        )?;
        if key.is_empty() {
            let field = format!("metadata key {index}");
            return Err(invalid(offset, field.as_str(), "it is empty"));
        }
        if metadata.contains_key(&key) {
            let field = format!("metadata key `{key}`");
            return Err(ReadHeaderError::Duplicate { field, offset });
        }
        let offset = cursor.offset;
        let value = read_value(cursor, &key)?;
        if key == ALIGNMENT_KEY {
            alignment = alignment_of(offset, &value)?;
        }
        let place = offset..cursor.offset;
        metadata.insert(key, Entry { value, place });
    }
    Ok((metadata, alignment))
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
    let (offset, name) = (cursor.offset, || format!("`{key}`"));
    match cursor.array(name)? {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(invalid(offset, name, "a flag is 0 or 1")),
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
    let depth_name = || format!("the depth of `{key}`");
    check(
        cursor.offset,
        depth_name,
        depth as u64,
        ARRAY_DEPTH_MAX as u64,
    )?;
    let element = read_type(cursor, key)?;
    let len_name = || format!("the number of elements of `{key}`");
    let count = cursor.count(len_name, cursor.limits.array_len_max)?;
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

fn alignment_of(offset: u64, value: &Value) -> Result<u64, ReadHeaderError> {
    const KEY: &str = "`general.alignment`";
    match *value {
        Value::U32(alignment) if alignment.is_power_of_two() => {
            check(offset, KEY, alignment.into(), ALIGNMENT_MAX)?;
            Ok(alignment.into())
        }
        Value::U32(_) => Err(invalid(offset, KEY, "it is not a power of two")),
        _ => Err(invalid(offset, KEY, "it is not a 32-bit whole number")),
    }
}

/// A tensor before its place in the file is known to be right: its offset is still relative.
pub(crate) fn tensors<R: Read + Seek>(
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
    let field = || format!("tensor `{name}`");
    let start = cursor.offset;
    let dimensions = read_dimensions(cursor, &name)?;
    let offset = cursor.offset;
    let found = cursor.u32(|| format!("the type of tensor `{name}`"))?;
    let Some(kind) = TensorType::from_id(found) else {
        let field = field();
        return Err(ReadHeaderError::UnknownType {
            field,
            offset,
            found,
        });
    };
    let row = dimensions.first().copied().unwrap_or(1);
    if !row.is_multiple_of(kind.block_len()) {
        return Err(invalid(start, field, "its rows hold no whole blocks"));
    }
    let elements = dimensions
        .iter()
        .try_fold(1u64, |product, &n| product.checked_mul(n));
    let sized = elements.and_then(|elements| Some((elements, kind.bytes(elements)?)));
    let (elements, bytes) =
        sized.ok_or_else(|| invalid(start, field, "its size does not fit 64 bits"))?;
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
    let count_name = || format!("the number of dimensions of tensor `{name}`");
    let offset = cursor.offset;
    let count = cursor.u32(count_name)?;
    check(offset, count_name, count.into(), DIMENSIONS_MAX as u64)?;
    let field = || format!("the shape of tensor `{name}`");
    let mut dimensions = Vec::with_capacity(DIMENSIONS_MAX);
    for _ in 0..count {
        let offset = cursor.offset;
        let size = cursor.u64(field)?;
        // llama.cpp reads these as signed.
        if size == 0 || i64::try_from(size).is_err() {
            return Err(invalid(offset, field, "a dimension is out of range"));
        }
        dimensions.push(size);
    }
    Ok(dimensions)
}

/// Checks that the tensors follow each other without hole or overlap and end inside the file, as
/// llama.cpp demands, and makes their offsets absolute.
pub(crate) fn place(
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
