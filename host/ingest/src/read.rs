//! From a file's bytes to text, or the reason why not.
//!
//! Reads UTF-8 and, by its mark, UTF-16. Never guesses: what does not decode is skipped and named.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use gaia_rag::Format;

/// The largest document.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// Why a file is not a document.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system said no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Too large.
    #[error("larger than {} MiB", DOCUMENT_BYTES_MAX >> 20)]
    TooLarge,
    /// Bytes that no text has.
    #[error("not a text")]
    Binary,
    /// Not in an encoding we read.
    #[error("neither UTF-8 nor UTF-16")]
    Encoding,
    /// A kind of file that is not read.
    #[error("not Markdown, plain text or HTML")]
    Format,
    /// Links are not followed.
    #[error("a link")]
    Link,
}

/// A file that was left out.
#[derive(Debug)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: ReadError,
}

/// The bytes of a file, within the limit.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    read_all(File::open(path)?)
}

/// Everything a reader gives, within the limit.
pub(crate) fn read_all(reader: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    reader
        .take(DOCUMENT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        Err(ReadError::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// The text in a file's bytes, without a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, ReadError> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            if rest.contains(&0) {
                return Err(ReadError::Binary);
            }
            std::str::from_utf8(rest)
                .map_err(|_| ReadError::Encoding)?
                .to_owned()
        }
    };
    if text.contains('\0') {
        Err(ReadError::Binary)
    } else {
        Ok(text)
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, ReadError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| unit(pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    if rest.is_empty() {
        text.map_err(|_| ReadError::Encoding)
    } else {
        Err(ReadError::Encoding)
    }
}

/// The format of a text: by its name, else a web page where it starts like one, else Markdown.
pub(crate) fn format(name: &str, text: &str) -> Format {
    let start = text
        .trim_start()
        .get(..14)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_page = start.starts_with("<!doctype html") || start.starts_with("<html");
    Format::from_name(name).unwrap_or(if is_page {
        Format::Html
    } else {
        Format::Markdown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_text_and_nothing_else() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            assert_eq!(decode(bytes).ok().as_deref(), expected, "{bytes:?}")
        };
        check(b"", Some(""));
        check("grün".as_bytes(), Some("grün"));
        check(b"\xef\xbb\xbfa", Some("a"));
        check(b"\xff\xfea\0b\0", Some("ab"));
        check(b"\xfe\xff\0a\0b", Some("ab"));
        check(b"\xff\xfea", None);
        check(b"\xff\xfe\x00\xd8", None);
        check(b"\xff\xfe\0\0", None);
        check(b"gr\xfcn", None);
        check(b"a\0b", None);
        check(b"\x89PNG\r\n\x1a\n\0", None);
    }

    #[test]
    fn a_document_over_the_limit_is_refused() {
        let bytes = io::repeat(b'a').take(DOCUMENT_BYTES_MAX);
        assert_eq!(read_all(bytes).unwrap().len() as u64, DOCUMENT_BYTES_MAX);
        assert!(matches!(
            read_all(io::repeat(b'a')),
            Err(ReadError::TooLarge)
        ));
    }

    #[test]
    fn formats_without_a_name() {
        let check = |name, text, expected| assert_eq!(format(name, text), expected);
        check("a.txt", "<html>", Format::Text);
        check("stdin", " <!DOCTYPE html><p>", Format::Html);
        check("stdin", "# A", Format::Markdown);
        check("stdin", "ääääääääääää", Format::Markdown);
    }
}
