//! The model's JSON files: what they must say, and what of it goes into the header.

use gaia_gguf::{Pooling, WriteError, Writer};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Precision, Source};

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadConfigError {
    /// A file is not the JSON it should be.
    #[error("`{file}` cannot be read")]
    Json {
        /// Which file.
        file: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The model is of a kind that would be converted wrongly.
    #[error("`{key}` is {found}; only {wanted} can be converted")]
    Unsupported {
        /// The key in the configuration.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it would have to be.
        wanted: &'static str,
    },
}

/// What `config.json` says, reduced to what is used.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    layer_norm_eps: f32,
    pub(crate) hidden_size: u32,
    pub(crate) intermediate_size: u32,
    pub(crate) max_position_embeddings: u32,
    pub(crate) num_attention_heads: u32,
    pub(crate) num_hidden_layers: u32,
    pub(crate) type_vocab_size: u32,
    pub(crate) vocab_size: u32,
}

/// The most layers a model may say it has; BERT's largest have 24.
pub(crate) const LAYER_COUNT_MAX: u32 = 256;

fn absolute() -> String {
    "absolute".to_owned()
}

#[derive(Debug, Deserialize)]
struct Tokenizer {
    do_lower_case: bool,
    #[serde(default)]
    strip_accents: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct PoolingModes {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
    #[serde(default)]
    pooling_mode_mean_sqrt_len_tokens: bool,
}

#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) model: Model,
    tokenizer: Tokenizer,
    pooling: Pooling,
}

impl Config {
    pub(crate) fn read(source: &Source<'_>) -> Result<Self, ReadConfigError> {
        let model: Model = parse("config.json", source.config)?;
        let tokenizer = parse("tokenizer_config.json", source.tokenizer_config)?;
        let modes = parse("1_Pooling/config.json", source.pooling_config)?;
        model.check()?;
        Ok(Self {
            model,
            tokenizer,
            pooling: pooling(&modes)?,
        })
    }

    pub(crate) fn describe(
        &self,
        source: &Source<'_>,
        precision: Precision,
        writer: &mut Writer<'_>,
    ) -> Result<(), WriteError> {
        let model = &self.model;
        writer
            .set("general.architecture", "bert")?
            .set("general.type", "model")?
            .set("general.name", source.name)?
            .set("general.license", source.licence)?
            .set("general.file_type", precision.file_type())?
            .set("general.quantization_version", 2u32)?
            .set("bert.block_count", model.num_hidden_layers)?
            .set("bert.context_length", model.max_position_embeddings)?
            .set("bert.embedding_length", model.hidden_size)?
            .set("bert.feed_forward_length", model.intermediate_size)?
            .set("bert.attention.head_count", model.num_attention_heads)?
            .set("bert.attention.layer_norm_epsilon", model.layer_norm_eps)?
            .set("bert.attention.causal", false)?
            .set("bert.pooling_type", self.pooling.id())?
            .set("tokenizer.ggml.token_type_count", model.type_vocab_size)?
            .set(
                "tokenizer.ggml.normalizer.lowercase",
                self.tokenizer.do_lower_case,
            )?;
        if let Some(strip) = self.tokenizer.strip_accents {
            writer.set("tokenizer.ggml.normalizer.strip_accents", strip)?;
        }
        Ok(())
    }
}

impl Model {
    fn check(&self) -> Result<(), ReadConfigError> {
        let heads_fit = self
            .hidden_size
            .is_multiple_of(self.num_attention_heads.max(1));
        require(
            self.model_type == "bert",
            "model_type",
            &self.model_type,
            "`bert`",
        )?;
        require(
            self.hidden_act == "gelu",
            "hidden_act",
            &self.hidden_act,
            "`gelu`",
        )?;
        let positions = &self.position_embedding_type;
        require(
            positions == "absolute",
            "position_embedding_type",
            positions,
            "`absolute`",
        )?;
        let layers = self.num_hidden_layers;
        require(
            (1..=LAYER_COUNT_MAX).contains(&layers),
            "num_hidden_layers",
            layers,
            "1 to 256",
        )?;
        let heads = self.num_attention_heads;
        require(
            heads > 0 && heads_fit,
            "num_attention_heads",
            heads,
            "a divisor of hidden_size",
        )
    }
}

fn require(
    holds: bool,
    key: &'static str,
    found: impl std::fmt::Display,
    wanted: &'static str,
) -> Result<(), ReadConfigError> {
    if holds {
        return Ok(());
    }
    Err(ReadConfigError::Unsupported {
        key,
        found: format!("`{found}`"),
        wanted,
    })
}

fn parse<T: DeserializeOwned>(file: &'static str, bytes: &[u8]) -> Result<T, ReadConfigError> {
    serde_json::from_slice(bytes).map_err(|source| ReadConfigError::Json { file, source })
}

fn pooling(modes: &PoolingModes) -> Result<Pooling, ReadConfigError> {
    let others = modes.pooling_mode_max_tokens || modes.pooling_mode_mean_sqrt_len_tokens;
    match (
        modes.pooling_mode_mean_tokens,
        modes.pooling_mode_cls_token,
        others,
    ) {
        (true, false, false) => Ok(Pooling::Mean),
        (false, true, false) => Ok(Pooling::Cls),
        _ => Err(ReadConfigError::Unsupported {
            key: "pooling_mode",
            found: format!("{modes:?}"),
            wanted: "either the mean or the first token",
        }),
    }
}
