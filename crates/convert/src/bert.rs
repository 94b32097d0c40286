//! Turns a BERT sentence-embedding model in safetensors form into one GGUF file that llama.cpp
//! runs.
//!
//! Made for the sentence-transformers family of all-MiniLM-L6-v2: architecture BERT with absolute
//! positions, a WordPiece vocabulary, one pooling step. A model that differs in any of this is
//! refused.

mod config;
mod tensors;
mod vocabulary;

use std::io::Write;

use gaia_gguf::{TensorType, WriteError, Writer};

use config::Config;
pub use config::ReadConfigError;
pub use tensors::ReadTensorError;
pub use vocabulary::ReadVocabularyError;

/// The files of a sentence-transformers model, as bytes.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name to write into the header, such as `all-MiniLM-L6-v2`.
    pub name: &'a str,
    /// The SPDX name of the licence to write into the header.
    pub licence: &'a str,
    /// `model.safetensors`.
    pub weights: &'a [u8],
    /// `config.json`.
    pub config: &'a [u8],
    /// `tokenizer_config.json`.
    pub tokenizer_config: &'a [u8],
    /// `1_Pooling/config.json`.
    pub pooling_config: &'a [u8],
    /// `vocab.txt`.
    pub vocabulary: &'a [u8],
}

/// How the large matrices are stored. Norms, biases and positions stay 32-bit floats: they are
/// small, and errors in them reach every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 16-bit floats: half the size, and the same vectors for every practical purpose.
    #[default]
    F16,
    /// 8 bits and a scale for every 32 numbers: a quarter of the size, slightly different vectors.
    Q8_0,
}

impl Precision {
    fn tensor_type(self) -> TensorType {
        match self {
            Self::F16 => TensorType::F16,
            Self::Q8_0 => TensorType::Q8_0,
        }
    }

    /// llama.cpp's number for `general.file_type`.
    fn file_type(self) -> u32 {
        match self {
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }
}

/// Why a model could not be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// One of the JSON files does not describe a model that can be converted.
    #[error("the model's configuration cannot be used")]
    Config(#[from] ReadConfigError),
    /// The vocabulary does not fit the model.
    #[error("the vocabulary cannot be used")]
    Vocabulary(#[from] ReadVocabularyError),
    /// The weights do not fit the configuration.
    #[error("the weights cannot be used")]
    Weights(#[from] ReadTensorError),
    /// The result could not be written.
    #[error("the GGUF file could not be written")]
    Write(#[from] WriteError),
}

/// Converts `source` and writes the GGUF file to `to`.
///
/// # Errors
/// The source is not a model of the kind this crate is for, is damaged, or `to` fails. What was
/// written until then is of no use.
pub fn convert(
    source: &Source<'_>,
    precision: Precision,
    to: &mut impl Write,
) -> Result<(), ConvertError> {
    let config = Config::read(source)?;
    let vocabulary = vocabulary::read(source.vocabulary, config.model.vocab_size)?;
    let mut writer = Writer::new();
    config.describe(source, precision, &mut writer)?;
    vocabulary.describe(&mut writer)?;
    tensors::add_all(source.weights, &config.model, precision, &mut writer)?;
    writer.write(to)?;
    Ok(())
}
