//! What can be asked of the ledger.

use crate::account::{AccountId, EpochNumber, KeyId, ReservationId};
use crate::amount::{NanoUnits, NanoUsd, Price};
use crate::split::Split;
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_LEN_MAX: usize = 128;

/// The longest that a reservation may stand, in seconds. An epoch can only close without them.
pub const LIFETIME_SECONDS_MAX: u32 = 3600;

/// Name that the caller gives a command, for example `deposit:31337:0xab…:3` or `capture:0x12…`. A retry
/// carries the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

/// A text is no idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "an idempotency key is 1 to {IDEMPOTENCY_KEY_LEN_MAX} visible ASCII characters, this has {0} bytes or others among them"
)]
pub struct IdempotencyKeyError(usize);

impl IdempotencyKey {
    /// # Errors
    /// Unless it is 1 to [`IDEMPOTENCY_KEY_LEN_MAX`] visible ASCII characters.
    pub fn new(key: impl Into<String>) -> Result<Self, IdempotencyKeyError> {
        let key = key.into();
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > IDEMPOTENCY_KEY_LEN_MAX || !visible {
            return Err(IdempotencyKeyError(key.len()));
        }
        Ok(Self(key))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = IdempotencyKeyError;

    fn try_from(key: String) -> Result<Self, IdempotencyKeyError> {
        Self::new(key)
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

/// A command. What differs between two tries of one (the time) is no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// The chain has seen a deposit.
    Deposit {
        /// Whose.
        account: AccountId,
        /// How much.
        units: NanoUnits,
    },
    /// Set aside the most that a request can cost.
    Reserve(Reserve),
    /// Take what it did cost, and release the rest.
    Capture {
        /// Out of which reservation.
        reservation: ReservationId,
        /// Who served.
        node: Address,
        /// By the gateway's own count.
        cost: NanoUsd,
        /// Who earns it.
        split: Split,
    },
    /// Nothing was served: give everything back.
    Release {
        /// Which reservation.
        reservation: ReservationId,
    },
    /// Nobody has captured or released in time: give everything back.
    Expire {
        /// Which reservation.
        reservation: ReservationId,
    },
    /// The payer has asked the chain for money back: from now on it pays for nothing new. Zero takes the request back.
    RequestRefund {
        /// Whose.
        account: AccountId,
        /// How much.
        units: NanoUnits,
    },
    /// The chain has paid the payer.
    PayRefund {
        /// Whom.
        account: AccountId,
        /// How much.
        units: NanoUnits,
    },
    /// A new epoch begins: every account in the asset is worth its units at this price. The one
    /// before takes no new reservations.
    OpenEpoch {
        /// For which asset.
        asset: Address,
        /// Which; higher than the one before.
        epoch: EpochNumber,
        /// As the chain has fixed it.
        price: Price,
    },
    /// Turn what an account was charged in the epoch before into units.
    CloseAccount {
        /// Which account.
        account: AccountId,
        /// Which epoch.
        epoch: EpochNumber,
    },
    /// After all accounts: turn what parties earned in the epoch into shares of the units collected.
    CloseEpoch {
        /// For which asset.
        asset: Address,
        /// Which.
        epoch: EpochNumber,
    },
    /// The chain has paid a party.
    Claim {
        /// Whom.
        party: Address,
        /// In which asset.
        asset: Address,
        /// How much.
        units: NanoUnits,
    },
}

/// What is set aside for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// Its id: the request's.
    pub reservation: ReservationId,
    /// Who pays.
    pub account: AccountId,
    /// With which access token.
    pub key: KeyId,
    /// The most it can cost.
    pub amount: NanoUsd,
    /// The most that the access token may ever spend; none: what the account has.
    pub key_limit: Option<NanoUsd>,
    /// How long it stands before it may expire.
    pub lifetime_seconds: u32,
}

impl Command {
    /// SHA-256 of the command's JSON: for stores that compare commands without reading them.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let json =
            serde_json::to_vec(self).expect("a command has no map with keys other than text");
        Sha256::digest(json).into()
    }
}
