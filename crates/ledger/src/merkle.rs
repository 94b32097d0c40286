//! The tree of shares, as OpenZeppelin's StandardMerkleTree builds it.
//!
//! A leaf is hashed twice, so that no inner node passes for one; leaves stand sorted by hash, in
//! reverse, at the end of an array whose element 0 is the root, and element i is the hash of its children
//! 2i + 1 and 2i + 2, the smaller first.

use crate::amount::NanoUnits;
use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most leaves of a tree.
pub const SHARES_MAX: usize = 1 << 20;

/// What an address has earned in an asset ever: a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Who.
    pub account: Address,
    /// In which asset.
    pub asset: Address,
    /// How much, claimed or not.
    pub cumulative: NanoUnits,
}

/// Why there is no tree, or no proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No leaf.
    #[error("nobody has earned anything: there is no tree of no shares")]
    Empty,
    /// Too many leaves.
    #[error("{0} shares are more than a tree holds ({SHARES_MAX}): settle in several trees")]
    TooMany(usize),
    /// Somebody twice in one asset.
    #[error("{account} stands twice for {asset}: add the two shares up")]
    Twice {
        /// Who.
        account: Address,
        /// In which asset.
        asset: Address,
    },
    /// Not in the tree.
    #[error("{account} has no share in {asset} here")]
    NoShare {
        /// Who.
        account: Address,
        /// In which asset.
        asset: Address,
    },
}

/// Shares, and what proves each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareTree {
    nodes: Vec<B256>,
    /// By hash: the order of the leaves.
    shares: Vec<(B256, Share)>,
}

impl Share {
    /// The leaf's hash.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        let words = (self.account, self.asset, self.cumulative.get()).abi_encode();
        keccak256(keccak256(words))
    }

    /// Whether `proof` shows that this share stands in the tree with this `root`.
    #[must_use]
    pub fn is_proven(&self, proof: &[B256], root: B256) -> bool {
        proof
            .iter()
            .fold(self.leaf(), |hash, next| pair(hash, *next))
            == root
    }
}

impl ShareTree {
    /// # Errors
    /// For no shares, too many, and somebody twice in one asset.
    pub fn new(shares: &[Share]) -> Result<Self, TreeError> {
        if shares.is_empty() {
            return Err(TreeError::Empty);
        }
        if shares.len() > SHARES_MAX {
            return Err(TreeError::TooMany(shares.len()));
        }
        let mut seen = BTreeSet::new();
        let twice = |share: &&Share| !seen.insert((share.account, share.asset));
        if let Some(share) = shares.iter().find(twice) {
            return Err(TreeError::Twice {
                account: share.account,
                asset: share.asset,
            });
        }
        let mut shares: Vec<_> = shares.iter().map(|share| (share.leaf(), *share)).collect();
        shares.sort_unstable_by_key(|(leaf, _)| *leaf);
        Ok(Self {
            nodes: nodes(&shares),
            shares,
        })
    }

    /// What goes on the chain.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes[0]
    }

    /// The share of `account` in `asset`, and its proof.
    ///
    /// # Errors
    /// When there is none.
    pub fn proof(&self, account: Address, asset: Address) -> Result<(Share, Vec<B256>), TreeError> {
        let is = |(_, share): &(B256, Share)| share.account == account && share.asset == asset;
        let found = self.shares.iter().position(is);
        let place = found.ok_or(TreeError::NoShare { account, asset })?;
        let mut node = self.nodes.len() - 1 - place;
        let mut proof = Vec::new();
        while node > 0 {
            let sibling = if node.is_multiple_of(2) {
                node - 1
            } else {
                node + 1
            };
            proof.push(self.nodes[sibling]);
            node = (node - 1) / 2;
        }
        Ok((self.shares[place].1, proof))
    }
}

fn nodes(sorted: &[(B256, Share)]) -> Vec<B256> {
    let mut nodes = vec![B256::ZERO; 2 * sorted.len() - 1];
    let last = nodes.len() - 1;
    for (place, (leaf, _)) in sorted.iter().enumerate() {
        nodes[last - place] = *leaf;
    }
    for place in (0..sorted.len() - 1).rev() {
        nodes[place] = pair(nodes[2 * place + 1], nodes[2 * place + 2]);
    }
    nodes
}

fn pair(a: B256, b: B256) -> B256 {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    keccak256([first.0, second.0].concat())
}
