//! What a node serves with, in one hash that it signs.

use alloy_primitives::B256;
use alloy_sol_types::SolStruct;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

mod solidity {
    alloy_sol_types::sol! {
        struct NodeConfig {
            bytes32 model;
            bytes32 knowledge;
            bytes32 prompts;
            string engine;
        }
    }
}

/// What a node serves with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// SHA-256 of the model's file.
    pub model: B256,
    /// Digest of the knowledge base; zero without one.
    pub knowledge: B256,
    /// [`prompts_digest`] of the node's prompts.
    pub prompts: B256,
    /// Name and version of the engine.
    pub engine: String,
}

impl NodeConfig {
    /// The `configHash` of a join: the struct's EIP-712 hash, in which no two configurations meet.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let config = solidity::NodeConfig {
            model: self.model,
            knowledge: self.knowledge,
            prompts: self.prompts,
            engine: self.engine.clone(),
        };
        config.eip712_hash_struct()
    }
}

/// Digest of named prompts, in whatever order they come. Lengths stand before texts, so that nothing
/// moves from one into the next.
#[must_use]
pub fn prompts_digest(prompts: &[(&str, &str)]) -> B256 {
    let mut prompts = prompts.to_vec();
    prompts.sort_unstable();
    let mut hash = Sha256::new();
    for text in prompts.into_iter().flat_map(|(name, text)| [name, text]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    B256::from(<[u8; 32]>::from(hash.finalize()))
}
