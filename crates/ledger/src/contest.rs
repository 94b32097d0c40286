//! Contests: what receipts demand of a tree of shares. The contract decides the same.
//!
//! A receipt promises its node's operator what the node has earned through the receipt's epoch. A tree of that
//! epoch or a later one must give the operator the sum over its nodes, or falls.

use crate::account::EpochNumber;
use crate::merkle::Share;
use crate::receipt::Receipt;
use alloy_primitives::Address;

/// The most receipts in a contest: one of each of an operator's nodes.
pub const RECEIPTS_MAX: usize = 16;

/// What an operator's share must hold at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Who earns.
    pub operator: Address,
    /// In which asset.
    pub asset: Address,
    /// In nano-units; a sum of amounts may be more than one can be.
    pub least: u128,
}

/// Receipts demand nothing, or a tree does not give it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContestError {
    /// None, or too many.
    #[error(
        "a contest takes 1 to {RECEIPTS_MAX} receipts, not {0}: one of each of the operator's nodes"
    )]
    Count(usize),
    /// One that does not belong to the first.
    #[error(
        "receipt {0} is of another domain, operator or asset, of a later epoch than the tree, or does not come after the one before in the order of nodes: leave it out, or sort them"
    )]
    Other(usize),
    /// A share below what was promised.
    #[error(
        "the tree gives {} {given} nano-units of {}, its receipts say {}: contest it while its batch can be challenged",
        demand.operator, demand.asset, demand.least
    )]
    TooLittle {
        /// What was promised.
        demand: Demand,
        /// What the tree says.
        given: u64,
    },
}

impl Demand {
    /// What receipts, one a node, demand of a tree that says what was earned through `shares_epoch`.
    ///
    /// # Errors
    /// When the contract would not take them.
    pub fn of(receipts: &[Receipt], shares_epoch: EpochNumber) -> Result<Self, ContestError> {
        let first = match receipts {
            [first, ..] if receipts.len() <= RECEIPTS_MAX => first,
            _ => return Err(ContestError::Count(receipts.len())),
        };
        for (place, receipt) in receipts.iter().enumerate() {
            let belongs = receipt.domain_id == first.domain_id
                && receipt.operator == first.operator
                && receipt.asset == first.asset
                && receipt.epoch <= shares_epoch;
            let follows = place == 0 || receipts[place - 1].node < receipt.node;
            if !belongs || !follows {
                return Err(ContestError::Other(place));
            }
        }
        let parts = receipts
            .iter()
            .map(|receipt| u128::from(receipt.node_cumulative.get()));
        Ok(Self {
            operator: first.operator,
            asset: first.asset,
            least: parts.sum(),
        })
    }

    /// Whether a tree of these shares gives it.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, shares: &[Share]) -> Result<(), ContestError> {
        let is_ours = |share: &&Share| share.account == self.operator && share.asset == self.asset;
        let ours = shares.iter().filter(is_ours);
        let given = ours.map(|share| share.cumulative.get()).max();
        let given = given.unwrap_or_default();
        if u128::from(given) >= self.least {
            return Ok(());
        }
        Err(ContestError::TooLittle {
            demand: *self,
            given,
        })
    }
}

/// What all shares in an asset come to: a tree that was contested is published only if charges have earned as much.
#[must_use]
pub fn sum_of(shares: &[Share], asset: Address) -> u128 {
    let ours = shares.iter().filter(|share| share.asset == asset);
    ours.map(|share| u128::from(share.cumulative.get())).sum()
}
