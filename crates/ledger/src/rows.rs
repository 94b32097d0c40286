//! The rows that stand for the journal's sum, and which of them a command touches.
//!
//! A row that is not there is one of zeros.

use crate::account::{AccountId, EpochNumber, KeyId, Party, ReservationId, Timestamp};
use crate::amount::{AmountError, NanoUnits, NanoUsd, Price};
use crate::command::Command;
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// An epoch that takes charges, and its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEpoch {
    /// Its number.
    pub number: EpochNumber,
    /// What a whole unit is worth in it.
    pub price: Price,
}

/// Epochs of an asset that are not closed: never more than two. Key: asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epochs {
    /// Takes new reservations.
    pub current: Option<OpenEpoch>,
    /// Takes only captures of what was reserved in it.
    pub closing: Option<OpenEpoch>,
}

/// Key: account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// What the escrow holds for it, charges of open epochs not taken off.
    pub held: NanoUnits,
    /// Of that, what the payer has asked back.
    pub refunding: NanoUnits,
    /// All it was ever charged: `accountCumulative` of receipts.
    pub charged: NanoUsd,
}

/// What an account owes of one epoch. Key: account and epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Set aside for requests that run.
    pub reserved: NanoUsd,
    /// Captured.
    pub charged: NanoUsd,
}

/// An access token of an account. Key: account and token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Set aside for its requests that run.
    pub reserved: NanoUsd,
    /// All it was ever charged: `keyCumulative` of receipts.
    pub charged: NanoUsd,
}

/// What a node has earned for its operator: the operator's parts of what its requests cost, each in whole
/// nano-units at the price of its epoch. Key: node, operator and asset.
///
/// At most two epochs take captures at a time, so that two sums tell what was earned through either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// The latest epoch it earned in.
    pub epoch: EpochNumber,
    /// What it earned in epochs before that.
    pub before: NanoUnits,
    /// What it earned ever.
    pub total: NanoUnits,
}

impl NodeRow {
    /// The row when `units` of `epoch` are earned as well, and what the receipt says of it: what was earned
    /// through that epoch. None when that is more than an amount can be.
    #[must_use]
    pub fn earning(self, epoch: EpochNumber, units: NanoUnits) -> Option<(Self, NanoUnits)> {
        let total = self.total.checked_add(units)?;
        if epoch < self.epoch {
            let before = self.before.checked_add(units)?;
            let row = Self {
                before,
                total,
                ..self
            };
            return Some((row, before));
        }
        let before = if epoch == self.epoch {
            self.before
        } else {
            self.total
        };
        let row = Self {
            epoch,
            before,
            total,
        };
        Some((row, total))
    }
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReservationState {
    /// It stands.
    Held,
    /// It was captured.
    Captured,
    /// It was given back.
    Released,
    /// It was given back because its time was over.
    Expired,
}

/// Key: reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRow {
    /// Who pays.
    pub account: AccountId,
    /// With which access token.
    pub key: KeyId,
    /// In which epoch, at whose price.
    pub epoch: EpochNumber,
    /// How much is set aside.
    pub amount: NanoUsd,
    /// When it may be given back unasked.
    pub expires_at: Timestamp,
    /// What became of it.
    pub state: ReservationState,
}

/// What accounts have paid for an epoch that is closing. Key: asset and epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// Collected.
    pub units: NanoUnits,
    /// What parties have earned it for.
    pub usd: NanoUsd,
}

/// What an address has earned in an asset. Key: address and asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareRow {
    /// Ever: what the tree of shares says.
    pub cumulative: NanoUnits,
    /// Of that, what the chain has paid.
    pub claimed: NanoUnits,
}

/// A node, for whom it earns, and in which asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeKey {
    /// Who served.
    pub node: Address,
    /// Who earns for it.
    pub operator: Address,
    /// In which asset.
    pub asset: Address,
}

/// A row as it is after a command, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Epochs of an asset.
    Epochs(Address, Epochs),
    /// An account.
    Account(AccountId, AccountRow),
    /// What an account owes of an epoch.
    Owed(AccountId, EpochNumber, Owed),
    /// An access token.
    Token(AccountId, KeyId, TokenRow),
    /// A reservation.
    Reservation(ReservationId, ReservationRow),
    /// What a node has earned for an operator in an asset.
    Node(NodeKey, NodeRow),
    /// What was collected for an epoch.
    Pool(Address, EpochNumber, PoolRow),
    /// Share of an address in an asset.
    Share(Address, Address, ShareRow),
}

/// What to load for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// `epochs`, shared: only another [`Touched::Asset`] or [`Touched::Epoch`] changes them.
    Asset(Address),
    /// `epochs` shared, `account`, `current` and `closing`.
    Account(AccountId),
    /// That, with `token` and `reservation`.
    Reserve(AccountId, KeyId, ReservationId),
    /// `reservation`; it names the account and the token of [`Touched::Reserve`].
    Reservation(ReservationId),
    /// That, with `node` of the reservation's asset, if somebody earns for it.
    Capture {
        /// Out of which reservation.
        reservation: ReservationId,
        /// Who served.
        node: Address,
        /// Who earns for it.
        operator: Option<Address>,
    },
    /// [`Touched::Account`], with `pool` of the epoch.
    CloseAccount(AccountId, EpochNumber),
    /// `epochs`, `pool`, `earned`, `reserved_open`, and `shares` of all who have earned.
    Epoch(Address, EpochNumber),
    /// `shares` of one.
    Share(Address, Address),
}

/// The rows that a command touches, as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Of the asset.
    pub epochs: Epochs,
    /// The payer's account.
    pub account: AccountRow,
    /// What it owes of the current epoch.
    pub current: Owed,
    /// What it owes of the epoch that is closing.
    pub closing: Owed,
    /// The access token.
    pub token: TokenRow,
    /// The reservation.
    pub reservation: Option<ReservationRow>,
    /// What the node has earned for the operator.
    pub node: NodeRow,
    /// What was collected for the epoch.
    pub pool: PoolRow,
    /// What each party has earned in the epoch: the sums of its postings.
    pub earned: Vec<(Party, NanoUsd)>,
    /// Reservations of the epoch that still stand.
    pub reserved_open: u64,
    /// Shares of those concerned, in the order of their addresses.
    pub shares: Vec<(Address, ShareRow)>,
}

impl Command {
    /// What to load for it.
    #[must_use]
    pub fn touches(&self) -> Touched {
        match self {
            Self::Deposit { account, .. }
            | Self::RequestRefund { account, .. }
            | Self::PayRefund { account, .. } => Touched::Account(*account),
            Self::Reserve(reserve) => {
                Touched::Reserve(reserve.account, reserve.key, reserve.reservation)
            }
            Self::Capture {
                reservation,
                node,
                split,
                ..
            } => Touched::Capture {
                reservation: *reservation,
                node: *node,
                operator: split.operator(),
            },
            Self::Release { reservation } | Self::Expire { reservation } => {
                Touched::Reservation(*reservation)
            }
            Self::OpenEpoch { asset, .. } => Touched::Asset(*asset),
            Self::CloseAccount { account, epoch } => Touched::CloseAccount(*account, *epoch),
            Self::CloseEpoch { asset, epoch } => Touched::Epoch(*asset, *epoch),
            Self::Claim { party, asset, .. } => Touched::Share(*party, *asset),
        }
    }
}

impl Owed {
    /// Reserved and charged.
    #[must_use]
    pub fn total(&self) -> Option<NanoUsd> {
        self.reserved.checked_add(self.charged)
    }
}

impl View {
    /// What the account can still spend in the current epoch: the worth of what it holds, without
    /// what is set aside for the epoch that closes and what was asked back, less what it owes.
    ///
    /// # Errors
    /// When a sum is more than an amount can be.
    pub fn available(&self) -> Result<NanoUsd, AmountError> {
        let Some(current) = self.epochs.current else {
            return Ok(NanoUsd::ZERO);
        };
        let too_much = || AmountError::TooMuch("the sum of an account".to_owned());
        let mut free = self.account.held.left_after(self.account.refunding);
        if let Some(closing) = self.epochs.closing {
            let owed = self.closing.total().ok_or_else(too_much)?;
            free = free.left_after(closing.price.units_for(owed)?);
        }
        let owed = self.current.total().ok_or_else(too_much)?;
        Ok(current.price.worth(free).left_after(owed))
    }

    /// Which of the open epochs `number` is, with what the account owes of it.
    #[must_use]
    pub fn owed_of(&self, number: EpochNumber) -> Option<(OpenEpoch, Owed)> {
        let is = |epoch: &OpenEpoch| epoch.number == number;
        let current = self
            .epochs
            .current
            .filter(is)
            .map(|epoch| (epoch, self.current));
        current.or_else(|| {
            self.epochs
                .closing
                .filter(is)
                .map(|epoch| (epoch, self.closing))
        })
    }
}
