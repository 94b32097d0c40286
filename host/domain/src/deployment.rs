//! Where a domain's contracts are: the file that `scripts/contracts.sh deploy --out FILE` writes.

use std::path::{Path, PathBuf};
use std::{fs, io};

use alloy_primitives::{Address, B256};
use gaia_statements::SigningDomain;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The contracts that a domain uses. Numbers are texts in the file, as the deployment writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployment {
    /// The chain's id (EIP-155).
    #[serde(deserialize_with = "number", serialize_with = "text")]
    pub chain_id: u64,
    /// When epoch 0 began, in seconds since 1970.
    #[serde(deserialize_with = "number", serialize_with = "text")]
    pub genesis: u64,
    /// How long an epoch is, in seconds.
    #[serde(deserialize_with = "number", serialize_with = "text")]
    pub epoch_seconds: u64,
    /// `GaiaToken`.
    pub token: Address,
    /// The dollar that deposits are made in.
    pub stable: Address,
    /// `EpochPrice`.
    pub prices: Address,
    /// `DomainRegistry`.
    pub registry: Address,
    /// `ComponentRegistry`.
    pub components: Address,
    /// The domain's `DomainEscrow`.
    pub escrow: Address,
    /// The domain's `DomainStake`.
    pub stake: Address,
    /// The domain's id in the registry.
    pub domain_id: B256,
    /// The key that signs the domain's receipts.
    pub gateway: Address,
}

/// The file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// It cannot be read.
    #[error("failed to read `{path}`, which says where the contracts are")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("`{path}` is not what scripts/contracts.sh deploy --out writes")]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

impl Deployment {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, or lacks something.
    pub fn read(path: &Path) -> Result<Self, DeploymentError> {
        let text = fs::read_to_string(path).map_err(|source| DeploymentError::Read {
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| DeploymentError::Form {
            path: path.to_owned(),
            source,
        })
    }

    /// Under which everything is signed.
    #[must_use]
    pub fn signing_domain(&self) -> SigningDomain {
        SigningDomain {
            chain_id: self.chain_id,
            verifying_contract: self.registry,
        }
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(number) => Ok(number),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

fn text<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}
