//! What a request costs, and the most that it can cost.

use crate::amount::{AmountError, NanoUsd};
use alloy_primitives::{B256, keccak256};
use alloy_sol_types::{SolValue, sol};
use gaia_statements::{Counted, TokenCounts};
use serde::{Deserialize, Serialize};

/// Prices are per so many tokens.
pub const TOKENS: u128 = 1_000_000;

/// The most models in one table: the contract takes so many rows.
pub const MODELS_MAX: usize = 64;

/// The most that a price can be: the contract takes no more.
pub const PRICE_MAX: u64 = 1_000_000_000_000_000;

sol! {
    /// A row as contracts encode it.
    struct PriceRow {
        bytes32 model;
        uint64 input;
        uint64 cached;
        uint64 output;
    }
}

/// Id of a model on the chain: keccak256 of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelId(pub B256);

impl ModelId {
    /// The id of the model that requests call `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(keccak256(name.as_bytes()))
    }
}

/// Prices of a model, in nano-USD per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// The model.
    pub model: ModelId,
    /// For tokens that are read.
    pub input: NanoUsd,
    /// For tokens that were read before.
    pub cached: NanoUsd,
    /// For tokens that are written.
    pub output: NanoUsd,
}

/// What may be asked of a model by one request: the ground for what is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCeiling {
    /// The most tokens in the prompt, cached or not.
    pub prompt: u64,
    /// The most tokens in the answer.
    pub output: u64,
}

/// The prices of a domain at one time. Never changed: a new price is a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct PriceTable {
    version: u32,
    models: Vec<ModelPrice>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    version: u32,
    models: Vec<ModelPrice>,
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// Not in the table.
    #[error("the price table {version} has no model {model}: ask for one that the domain lists")]
    UnknownModel {
        /// Version of the table.
        version: u32,
        /// What was asked for.
        model: B256,
    },
    /// Twice in the table.
    #[error("the model {0} stands twice in the price table: keep one of the rows")]
    Twice(B256),
    /// An empty table, or too long a one.
    #[error("a price table has 1 to {MODELS_MAX} models, this has {0}")]
    Models(usize),
    /// A price that nobody can mean.
    #[error(
        "a price of the model {0} is above {PRICE_MAX} nano-USD per million tokens: prices are in nano-USD"
    )]
    TooHigh(B256),
    /// More than an amount can be.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl ModelPrice {
    /// What `counted` costs: rounded up, once. Only what the gateway counted costs; a node's claim
    /// has another type.
    ///
    /// # Errors
    /// When it is more than an amount can be.
    pub fn cost(&self, counted: &Counted) -> Result<NanoUsd, AmountError> {
        let TokenCounts {
            input,
            cached,
            output,
        } = counted.0;
        self.sum([
            (input, self.input),
            (cached, self.cached),
            (output, self.output),
        ])
    }

    /// The most that a request under `ceiling` can cost, whatever of its prompt is cached.
    ///
    /// # Errors
    /// When it is more than an amount can be: ask for fewer tokens.
    pub fn cost_max(&self, ceiling: &TokenCeiling) -> Result<NanoUsd, AmountError> {
        let dearest = self.input.max(self.cached);
        self.sum([
            (ceiling.prompt, dearest),
            (ceiling.output, self.output),
            (0, NanoUsd::ZERO),
        ])
    }

    fn sum(&self, parts: [(u64, NanoUsd); 3]) -> Result<NanoUsd, AmountError> {
        // Each product is below 2¹²⁷, as prices are below 2⁶³.
        let products = parts.map(|(tokens, price)| u128::from(tokens) * u128::from(price.get()));
        let sum = products.into_iter().try_fold(0_u128, u128::checked_add);
        let sum = sum.ok_or_else(|| AmountError::TooMuch(u128::MAX.to_string()))?;
        NanoUsd::try_from(sum.div_ceil(TOKENS))
    }
}

impl PriceTable {
    /// # Errors
    /// Whatever the contract would refuse: a model twice, none or too many of them, a price too high.
    pub fn new(version: u32, models: Vec<ModelPrice>) -> Result<Self, PriceError> {
        if models.is_empty() || models.len() > MODELS_MAX {
            return Err(PriceError::Models(models.len()));
        }
        let too_high = |price: &&ModelPrice| {
            [price.input, price.cached, price.output]
                .iter()
                .any(|price| price.get() > PRICE_MAX)
        };
        if let Some(price) = models.iter().find(too_high) {
            return Err(PriceError::TooHigh(price.model.0));
        }
        let mut seen = std::collections::BTreeSet::new();
        match models.iter().find(|price| !seen.insert(price.model)) {
            Some(price) => Err(PriceError::Twice(price.model.0)),
            None => Ok(Self { version, models }),
        }
    }

    /// Its number; a receipt names it.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The rows, in their order.
    #[must_use]
    pub fn models(&self) -> &[ModelPrice] {
        &self.models
    }

    /// The prices of `model`.
    ///
    /// # Errors
    /// When it is not in the table.
    pub fn price(&self, model: ModelId) -> Result<&ModelPrice, PriceError> {
        let found = self.models.iter().find(|price| price.model == model);
        found.ok_or(PriceError::UnknownModel {
            version: self.version,
            model: model.0,
        })
    }

    /// What stands on the chain for this table: keccak256 of the rows as Solidity's `abi.encode` has them.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let rows = self.models.iter().map(|price| PriceRow {
            model: price.model.0,
            input: price.input.get(),
            cached: price.cached.get(),
            output: price.output.get(),
        });
        keccak256(rows.collect::<Vec<_>>().abi_encode())
    }
}

impl TryFrom<Unchecked> for PriceTable {
    type Error = PriceError;

    fn try_from(table: Unchecked) -> Result<Self, PriceError> {
        Self::new(table.version, table.models)
    }
}
