//! What stands in the journal: one entry for each command that was carried out.

use crate::account::{Currency, EpochNumber, LedgerAccount, Timestamp};
use crate::amount::{NanoUnits, NanoUsd};
use crate::command::{Command, IdempotencyKey};
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// An amount added to an account, or taken from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posting {
    /// Which account.
    pub account: LedgerAccount,
    /// In what.
    pub currency: Currency,
    /// How much; never zero.
    pub amount: i64,
}

/// What came of a command. The reply to the caller, the first time and every time after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// The deposit is there.
    Deposited {
        /// What the account holds now.
        held: NanoUnits,
    },
    /// The amount is set aside.
    Reserved {
        /// In which epoch.
        epoch: EpochNumber,
        /// What the account can still spend.
        available: NanoUsd,
        /// When the reservation may be given back unasked.
        expires_at: Timestamp,
    },
    /// The cost is taken.
    Captured {
        /// In which epoch.
        epoch: EpochNumber,
        /// What was given back of the reservation.
        released: NanoUsd,
        /// For the receipt.
        key_cumulative: NanoUsd,
        /// For the receipt.
        account_cumulative: NanoUsd,
        /// For the receipt: who earns for the node, the zero address where nobody does.
        operator: Address,
        /// For the receipt: what the node has earned for its operator.
        node_cumulative: NanoUnits,
    },
    /// The reservation was given back.
    Released {
        /// How much.
        amount: NanoUsd,
    },
    /// What was asked back is no longer spent.
    RefundRequested {
        /// How much.
        units: NanoUnits,
    },
    /// What was asked back is gone.
    RefundPaid {
        /// What the account holds now.
        held: NanoUnits,
    },
    /// The epoch is open.
    EpochOpened {
        /// The one before, which is to be closed.
        closing: Option<EpochNumber>,
    },
    /// The account has paid for the epoch: a charge for the chain.
    AccountClosed {
        /// The charge.
        cost: NanoUsd,
        /// What it takes from the account.
        units: NanoUnits,
        /// What could not be charged, because the chain has paid it back before. Zero where charges are settled in time.
        short: NanoUsd,
    },
    /// Shares have grown by what was collected.
    EpochClosed {
        /// By how much.
        units: NanoUnits,
    },
    /// The claim is in the books.
    Claimed {
        /// What is still to be claimed.
        left: NanoUnits,
    },
}

/// An entry of the journal. Never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its place in the journal, from 0, without gaps.
    pub number: u64,
    /// The caller's name for the command.
    pub key: IdempotencyKey,
    /// When it was carried out.
    pub time: Timestamp,
    /// What was asked.
    pub command: Command,
    /// What that moved. Sums to zero in each currency.
    pub postings: Vec<Posting>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a known idempotency key says to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It was carried out: this came of it.
    Before(&'a Outcome),
    /// The key stands for another command.
    Another,
}

impl Entry {
    /// What to reply to `command`, which came with this entry's idempotency key.
    #[must_use]
    pub fn answers(&self, command: &Command) -> Answer<'_> {
        if self.command == *command {
            Answer::Before(&self.outcome)
        } else {
            Answer::Another
        }
    }
}
