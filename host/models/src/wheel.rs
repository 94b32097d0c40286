//! Takes files out of a Python wheel, which is a ZIP archive, with a limit on each.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

/// Why a file could not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum ReadWheelError {
    /// The wheel cannot be opened.
    #[error("the package file `{path}` cannot be opened")]
    Open {
        /// The wheel.
        path: PathBuf,
        /// Why.
        #[source]
        source: ZipError,
    },
    /// The file is not in the wheel, or not readable.
    #[error("`{member}` cannot be read from the package")]
    Member {
        /// The file.
        member: String,
        /// Why.
        #[source]
        source: ZipError,
    },
    /// The file is larger than it may be.
    #[error("`{member}` in the package is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        member: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// Reading or writing failed in the middle.
    #[error("`{member}` cannot be unpacked")]
    Unpack {
        /// The file.
        member: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An open wheel.
pub(crate) struct Wheel {
    archive: ZipArchive<BufReader<File>>,
}

impl Wheel {
    pub(crate) fn open(path: &Path) -> Result<Self, ReadWheelError> {
        let failed = |source| ReadWheelError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(|error| failed(error.into()))?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(failed)?;
        Ok(Self { archive })
    }

    /// Copies a file to `to`, at most `limit` bytes, whatever the archive says about its size.
    pub(crate) fn copy(
        &mut self,
        member: &str,
        limit: u64,
        to: &mut impl Write,
    ) -> Result<(), ReadWheelError> {
        let name = || member.to_owned();
        let file = self
            .archive
            .by_name(member)
            .map_err(|source| ReadWheelError::Member {
                member: name(),
                source,
            })?;
        let copied = io::copy(&mut file.take(limit.saturating_add(1)), to).map_err(|source| {
            ReadWheelError::Unpack {
                member: name(),
                source,
            }
        })?;
        if copied > limit {
            return Err(ReadWheelError::TooLarge {
                member: name(),
                limit,
            });
        }
        Ok(())
    }

    pub(crate) fn read(&mut self, member: &str, limit: u64) -> Result<Vec<u8>, ReadWheelError> {
        let mut bytes = Vec::new();
        self.copy(member, limit, &mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    #[test]
    fn unpacks_one_file_and_no_more_than_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.whl");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file("a/zeros", options).unwrap();
        writer.write_all(&[0; 100_000]).unwrap();
        writer.finish().unwrap();

        let mut wheel = Wheel::open(&path).unwrap();
        assert_eq!(wheel.read("a/zeros", 100_000).unwrap().len(), 100_000);
        let error = wheel.read("a/zeros", 99_999).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a/zeros` in the package is larger than 99999 bytes"
        );
        assert!(matches!(
            wheel.read("a/other", 1),
            Err(ReadWheelError::Member { .. })
        ));
        std::fs::write(&path, b"no archive").unwrap();
        assert!(matches!(
            Wheel::open(&path),
            Err(ReadWheelError::Open { .. })
        ));
    }
}
