//! A reader that knows where it is and how much may still be read.
//!
//! Invariant: nothing is allocated for a length that the rest of the file (or the header's limit)
//! could not hold.

use std::io::{BufReader, Read, Seek, SeekFrom};

use crate::{Limits, ReadHeaderError};

pub(crate) struct Cursor<'a, R> {
    reader: BufReader<&'a mut R>,
    pub(crate) offset: u64,
    pub(crate) file_bytes: u64,
    pub(crate) limits: Limits,
}

/// Makes the name of a field only when an error needs it.
pub(crate) trait Field: Copy {
    fn name(self) -> String;
}

impl Field for &str {
    fn name(self) -> String {
        self.to_owned()
    }
}

impl<F: Fn() -> String + Copy> Field for F {
    fn name(self) -> String {
        self()
    }
}

impl<'a, R: Read + Seek> Cursor<'a, R> {
    pub(crate) fn new(reader: &'a mut R, limits: Limits) -> Result<Self, ReadHeaderError> {
        let file_bytes = reader
            .seek(SeekFrom::End(0))
            .and_then(|end| reader.seek(SeekFrom::Start(0)).map(|_| end))
            .map_err(|source| ReadHeaderError::Read {
                field: "the file's length".to_owned(),
                offset: 0,
                source,
            })?;
        let reader = BufReader::with_capacity(1 << 16, reader);
        Ok(Self {
            reader,
            offset: 0,
            file_bytes,
            limits,
        })
    }

    /// Says no when `needed` more bytes are not there or not allowed.
    pub(crate) fn expect_bytes(
        &self,
        needed: u64,
        field: impl Field,
    ) -> Result<(), ReadHeaderError> {
        let left = self.file_bytes.saturating_sub(self.offset);
        if needed > left {
            let field = field.name();
            return Err(ReadHeaderError::Truncated {
                field,
                offset: self.offset,
                needed,
                left,
            });
        }
        // No overflow: both are at most the file's length here.
        let end = self.offset + needed;
        let limit = self.limits.header_bytes_max;
        check(self.offset, "the header's size in bytes", end, limit)
    }

    /// A whole number that says how much follows, at most `limit`.
    pub(crate) fn count(&mut self, field: impl Field, limit: u64) -> Result<u64, ReadHeaderError> {
        let offset = self.offset;
        let found = self.u64(field)?;
        check(offset, field, found, limit)?;
        Ok(found)
    }

    fn fill(&mut self, bytes: &mut [u8], field: impl Field) -> Result<(), ReadHeaderError> {
        let offset = self.offset;
        self.reader
            .read_exact(bytes)
            .map_err(|source| ReadHeaderError::Read {
                field: field.name(),
                offset,
                source,
            })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn array<const N: usize>(
        &mut self,
        field: impl Field,
    ) -> Result<[u8; N], ReadHeaderError> {
        self.expect_bytes(N as u64, field)?;
        let mut bytes = [0; N];
        self.fill(&mut bytes, field)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self, field: impl Field) -> Result<u32, ReadHeaderError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: impl Field) -> Result<u64, ReadHeaderError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A length followed by as many bytes.
    pub(crate) fn bytes(
        &mut self,
        field: impl Field,
        limit: u64,
    ) -> Result<Vec<u8>, ReadHeaderError> {
        let len = self.count(move || format!("the length of {}", field.name()), limit)?;
        self.expect_bytes(len, field)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.fill(&mut bytes, field)?;
        Ok(bytes)
    }

    /// A text that other parts of the header refer to: broken UTF-8 is an error.
    pub(crate) fn name(
        &mut self,
        field: impl Field,
        limit: u64,
    ) -> Result<String, ReadHeaderError> {
        let offset = self.offset;
        let bytes = self.bytes(field, limit)?;
        String::from_utf8(bytes).map_err(|_| ReadHeaderError::NotUtf8 {
            field: field.name(),
            offset,
        })
    }
}

/// Says no when `found`, which starts at `offset`, is above `limit`.
pub(crate) fn check(
    offset: u64,
    field: impl Field,
    found: u64,
    limit: u64,
) -> Result<(), ReadHeaderError> {
    if found <= limit {
        return Ok(());
    }
    let field = field.name();
    Err(ReadHeaderError::TooLarge {
        field,
        offset,
        found,
        limit,
    })
}

/// Says that what starts at `offset` breaks a rule.
pub(crate) fn invalid(offset: u64, field: impl Field, reason: &'static str) -> ReadHeaderError {
    let field = field.name();
    ReadHeaderError::Invalid {
        field,
        offset,
        reason,
    }
}
