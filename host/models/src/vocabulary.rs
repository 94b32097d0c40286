//! A model's header without its weights: all that a gateway needs to count tokens, in a few megabytes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};

use gaia_gguf::{Header, Pooling, ReadHeaderError, WriteError, Writer};

/// Why there is no vocabulary file.
#[derive(Debug, thiserror::Error)]
pub enum WriteVocabularyError {
    /// The model cannot be read.
    #[error("failed to read model file `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is none.
    #[error("model file `{path}` is damaged or not a GGUF file")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ReadHeaderError,
    },
    /// The header cannot be put together again.
    #[error("the header of `{path}` cannot be written again")]
    Again {
        /// The model.
        path: PathBuf,
        /// Why.
        #[source]
        source: WriteError,
    },
    /// There is no room, or no permission.
    #[error("failed to write vocabulary file `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Writes the header of `model`, tokenizer and template with it, to `to`: a GGUF file without tensors, which
/// `gaia-counting` takes in place of the model. What was there is replaced, whole or not at all.
///
/// # Errors
/// The model cannot be read, or the file cannot be written.
pub fn write_vocabulary(model: &Path, to: &Path) -> Result<(), WriteVocabularyError> {
    let read = |source| WriteVocabularyError::Read {
        path: model.to_owned(),
        source,
    };
    let mut file = BufReader::new(File::open(model).map_err(read)?);
    let header = Header::read(&mut file).map_err(|source| WriteVocabularyError::Header {
        path: model.to_owned(),
        source,
    })?;
    let mut bytes = Vec::new();
    let file = File::open(model).map_err(read)?;
    file.take(header.data_offset())
        .read_to_end(&mut bytes)
        .map_err(read)?;
    write(&header, &bytes, to).map_err(|error| match error {
        WriteError::Write(source) => WriteVocabularyError::Write {
            path: to.to_owned(),
            source,
        },
        source => WriteVocabularyError::Again {
            path: model.to_owned(),
            source,
        },
    })
}

fn write(header: &Header, bytes: &[u8], to: &Path) -> Result<(), WriteError> {
    let mut writer = Writer::new();
    for stored in header.stored(bytes) {
        writer.copy(stored)?;
    }
    let facts = header.facts();
    // Some say what they are for by their tensors alone.
    if let Some(architecture) = facts
        .architecture
        .as_deref()
        .filter(|_| facts.is_reranking() && facts.pooling.is_none())
    {
        writer.set(&format!("{architecture}.pooling_type"), Pooling::Rank.id())?;
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    let mut buffered = BufWriter::new(file.as_file_mut());
    writer.write(&mut buffered)?;
    drop(buffered);
    file.as_file().sync_all()?;
    file.persist(to).map_err(|error| error.error)?;
    Ok(())
}
