//! Why the watcher stands still, and what to do.

use super::RECORDS;
use crate::rpc::RpcError;
use gaia_ledger::{IdempotencyKey, Refusal};
use gaia_ledger_store::{ExecuteError, ReadError, RecordError};

/// Nothing more is booked until somebody looks, or the next try.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The chain does not answer.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The block under the cursor is gone.
    #[error(
        "the chain has changed below the confirmations: block {block} was {known}, now {found}. Nothing more is credited. Compare deposits since then with the ledger, correct it, and remove the record {RECORDS}/{record}; raise the confirmations"
    )]
    Reorganised {
        /// Which block.
        block: u64,
        /// What it was.
        known: alloy_primitives::B256,
        /// What it is; none: the chain is shorter now.
        found: String,
        /// The cursor's id.
        record: String,
    },
    /// The chain changed while it was read.
    #[error("the chain has changed while it was read: reading again")]
    Moving,
    /// A log of the escrow's that makes no sense.
    #[error(
        "log {index} of {transaction} is not what an escrow writes ({why}): is this program as new as the contracts?"
    )]
    Log {
        /// Of which transaction.
        transaction: alloy_primitives::B256,
        /// Which.
        index: u64,
        /// Why.
        why: String,
    },
    /// The ledger refuses it.
    #[error(
        "the ledger refuses what the chain has done ({key}): nothing more is credited until that is understood"
    )]
    Refused {
        /// The event.
        key: IdempotencyKey,
        /// Why.
        #[source]
        source: Refusal,
    },
    /// The ledger does not answer.
    #[error("the ledger does not take an event of the chain")]
    Execute(#[source] ExecuteError),
    /// The cursor cannot be kept.
    #[error("the cursor cannot be kept")]
    Record(#[from] RecordError),
    /// The cursor cannot be read.
    #[error("the cursor cannot be read")]
    Read(#[from] ReadError),
    /// The cursor's record was written by something else.
    #[error("the record {RECORDS}/{0} is no cursor: was it edited?")]
    CursorDamaged(String),
}

impl WatchError {
    /// Whether the next try may well succeed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Rpc(_) | Self::Moving | Self::Execute(_) | Self::Record(_) | Self::Read(_)
        )
    }
}
