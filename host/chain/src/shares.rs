//! Trees of shares, kept so that those who have earned can prove it.
//!
//! The chain has a root; the leaves are kept as records under it, by whoever proposed it. A proof is
//! checked by the one who claims, and again by the contract.

use crate::contracts::Escrow;
use crate::domain::{ChainError, Domain};
use crate::rpc::At;
use alloy_primitives::{Address, B256};
use gaia_ledger::merkle::TreeError;
use gaia_ledger::{NanoUnits, Share, ShareTree};
use gaia_ledger_store::{Ledger, ReadError, RecordError};
use serde::{Deserialize, Serialize};

/// Leaves in one record.
const LEAVES_PER_RECORD: usize = 4_000;

/// Records of the roots whose leaves are here.
const ROOTS: &str = "shares-root";

/// Trees that are kept at the same time.
pub const TREES_MAX: u64 = 256;

/// The trees of one ledger.
#[derive(Debug)]
pub struct Trees<'a> {
    ledger: &'a Ledger,
}

/// A share and what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenShare {
    /// What was earned ever.
    pub share: Share,
    /// Of that, what the chain has paid.
    pub paid: NanoUnits,
    /// From the leaf to the root.
    pub proof: Vec<B256>,
    /// The root on the chain.
    pub root: B256,
}

/// Trees cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum TreesError {
    /// The shares make no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A record cannot be written.
    #[error("the tree of shares cannot be kept")]
    Record(#[from] RecordError),
    /// A record cannot be read.
    #[error("the tree of shares cannot be read")]
    Read(#[from] ReadError),
    /// The chain does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The leaves under a root are not its leaves.
    #[error("the leaves that are kept of the root {0} make another tree: were the records edited?")]
    Damaged(B256),
    /// Nobody here has proposed the root.
    #[error("the leaves of the root {0} are not kept here: ask the gateway that settled")]
    Unknown(B256),
}

impl<'a> Trees<'a> {
    /// The trees of `ledger`.
    #[must_use]
    pub fn new(ledger: &'a Ledger) -> Self {
        Self { ledger }
    }

    /// Keeps the tree of `shares`; its root.
    ///
    /// # Errors
    /// When they make no tree, or cannot be written.
    pub async fn keep(&self, shares: &[Share]) -> Result<B256, TreesError> {
        let root = ShareTree::new(shares)?.root();
        for (page, leaves) in shares.chunks(LEAVES_PER_RECORD).enumerate() {
            let value = serde_json::to_string(leaves).unwrap_or_default();
            self.ledger
                .put_record(&kind(root), &format!("{page:08}"), &value, None)
                .await?;
        }
        // The root last: where it is, all leaves are.
        self.ledger
            .put_record(ROOTS, &format!("{root:#x}"), "", None)
            .await?;
        Ok(root)
    }

    /// The tree of a root.
    ///
    /// # Errors
    /// When its leaves are not here, or not its own.
    pub async fn tree(&self, root: B256) -> Result<ShareTree, TreesError> {
        let tree = ShareTree::new(&self.leaves(root).await?)?;
        if tree.root() != root {
            return Err(TreesError::Damaged(root));
        }
        Ok(tree)
    }

    /// The leaves of a root, in the order of their hashes.
    ///
    /// # Errors
    /// When they are not here.
    pub async fn leaves(&self, root: B256) -> Result<Vec<Share>, TreesError> {
        let mut shares: Vec<Share> = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.ledger.records(&kind(root), &after, 1).await?;
            let Some(record) = page.into_iter().next() else {
                break;
            };
            let leaves: Vec<Share> =
                serde_json::from_str(&record.value).map_err(|_| TreesError::Damaged(root))?;
            shares.extend(leaves);
            after = record.id;
        }
        if shares.is_empty() {
            return Err(TreesError::Unknown(root));
        }
        shares.sort_by_cached_key(Share::leaf);
        Ok(shares)
    }

    /// Removes all trees but those.
    ///
    /// # Errors
    /// When records cannot be removed.
    pub async fn keep_only(&self, roots: &[B256]) -> Result<(), TreesError> {
        for record in self.ledger.records(ROOTS, "", TREES_MAX).await? {
            let Ok(root) = record.id.parse::<B256>() else {
                continue;
            };
            if roots.contains(&root) {
                continue;
            }
            self.ledger.remove_record(ROOTS, &record.id).await?;
            loop {
                let pages = self.ledger.records(&kind(root), "", 100).await?;
                if pages.is_empty() {
                    break;
                }
                for page in pages {
                    self.ledger.remove_record(&kind(root), &page.id).await?;
                }
            }
        }
        Ok(())
    }
}

fn kind(root: B256) -> String {
    format!("shares:{root:#x}")
}

/// The root of the tree on the chain; zero for none.
///
/// # Errors
/// When the chain does not answer.
pub async fn root(domain: &Domain) -> Result<B256, ChainError> {
    let call = Escrow::sharesRootCall {};
    Ok(domain.rpc.view(domain.escrow, call, At::Latest).await?.root)
}

/// What `account` has earned by the tree on the chain, in each asset, with proofs.
///
/// # Errors
/// When the tree is not here, or the chain does not answer.
pub async fn proven(
    domain: &Domain,
    ledger: &Ledger,
    account: Address,
) -> Result<Vec<ProvenShare>, TreesError> {
    let root = root(domain).await?;
    if root.is_zero() {
        return Ok(Vec::new());
    }
    let tree = Trees::new(ledger).tree(root).await?;
    Ok(proven_in(domain, &tree, account).await?)
}

/// The same in a tree that is at hand.
///
/// # Errors
/// When the chain does not answer.
pub async fn proven_in(
    domain: &Domain,
    tree: &ShareTree,
    account: Address,
) -> Result<Vec<ProvenShare>, ChainError> {
    let mut shares = Vec::new();
    for asset in &domain.assets {
        let Ok((share, proof)) = tree.proof(account, asset.address) else {
            continue;
        };
        shares.push(ProvenShare {
            share,
            paid: paid(domain, account, asset.address).await?,
            proof,
            root: tree.root(),
        });
    }
    Ok(shares)
}

/// What the chain has paid to `account` in `asset`.
///
/// # Errors
/// When the chain does not answer.
pub async fn paid(
    domain: &Domain,
    account: Address,
    asset: Address,
) -> Result<NanoUnits, ChainError> {
    let call = Escrow::paidToCall { account, asset };
    let paid = domain.rpc.view(domain.escrow, call, At::Latest).await?;
    Ok(NanoUnits::try_from(paid)?)
}
