//! A model that a domain offers, and what it costs.

use std::path::PathBuf;

use gaia_ledger::price::ModelId;
use gaia_ledger::{DecimalError, ModelPrice, NanoUsd};
use serde::Deserialize;

/// A table `[[models]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What requests call it.
    pub name: String,
    /// USD for a million tokens that are read, as a decimal.
    pub input: String,
    /// USD for a million tokens that the node had read before.
    pub cached: String,
    /// USD for a million tokens that are written.
    pub output: String,
    /// The longest context that a node gives one request, in tokens.
    #[serde(default = "context_default")]
    pub context_tokens: u64,
    /// What its nodes say to it first, unless the user does: as `system_prompt` of the nodes' configuration.
    #[serde(default = "system_default")]
    pub system_prompt: String,
    /// How its nodes put passages to it: as `rag_prompt` of the nodes' configuration, where that is not empty.
    #[serde(default)]
    pub rag_prompt: Option<String>,
    /// Its GGUF file, of which the vocabulary is read to count tokens. Without it nodes' claims are believed within
    /// what a request can cost.
    #[serde(default)]
    pub vocabulary: Option<PathBuf>,
}

fn system_default() -> String {
    "You are a helpful assistant.".to_owned()
}

fn context_default() -> u64 {
    4096
}

impl Model {
    /// Its row of the price table.
    ///
    /// # Errors
    /// When a price is no amount.
    pub fn price(&self) -> Result<ModelPrice, DecimalError> {
        let usd = |text: &str| text.parse::<NanoUsd>();
        Ok(ModelPrice {
            model: ModelId::of(&self.name),
            input: usd(&self.input)?,
            cached: usd(&self.cached)?,
            output: usd(&self.output)?,
        })
    }
}
