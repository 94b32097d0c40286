//! Whose money: accounts of payers, parties that earn, and the accounts that entries post to.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A payer's account: one per asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountId {
    /// Who deposited.
    pub payer: Address,
    /// What was deposited: the token's contract.
    pub asset: Address,
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.payer, self.asset)
    }
}

/// Number of an epoch, the same as on the chain.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EpochNumber(pub u64);

impl fmt::Display for EpochNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Seconds since 1970.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

/// What a party earns for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the domain.
    Domain,
    /// Runs the node that served.
    NodeOperator,
    /// Vouches for the domain with a stake.
    Stakers,
    /// Made the model, the knowledge base or the plugin that was used.
    ComponentAuthor,
}

/// Who earns, and for what. One address may earn in several roles; on the chain it draws them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// For what.
    pub role: Role,
    /// Who.
    pub address: Address,
}

/// What amounts of a posting are counted in. Postings of an entry sum to zero in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Currency {
    /// Nano-units of an asset.
    Units(Address),
    /// Nano-USD that accounts in this asset owe within this epoch.
    Usd(Address, EpochNumber),
}

/// What an amount is posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerAccount {
    /// Everything outside of the escrow. In units, and the only account in units below zero.
    World,
    /// What the escrow holds for a payer. In units.
    Held(Address),
    /// What a payer has drawn against that in an epoch. In USD, zero or below.
    Drawn(Address),
    /// Set aside for requests of a payer that run. In USD.
    Reserved(Address),
    /// Earned in an epoch that is not closed. In USD.
    Earned(Party),
    /// Between the close of accounts and that of an epoch: in units what was collected, in USD, zero or
    /// below, what parties have earned it for.
    Pool(EpochNumber),
    /// Earned and settled, until it is claimed. In units.
    Share(Address),
}

/// Id of an access token's row: its hash, never the token.
pub type KeyId = B256;

/// Id of a reservation: the request's.
pub type ReservationId = B256;
