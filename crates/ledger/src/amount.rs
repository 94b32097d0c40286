//! Money by type: nano-USD, nano-units of an asset, and the price between them.
//!
//! One is 10⁻⁹ of a dollar or of an asset's whole unit. Amounts go up to 2⁶³ − 1, so that every one of
//! them fits a column of SQL and an `int64` of Solidity. There is no operator that could wrap: sums
//! and differences are checked, and what rounds says which way.

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Nano-units in a whole unit.
pub const ONE: u64 = 1_000_000_000;

/// The most that an amount can be.
pub const AMOUNT_MAX: u64 = i64::MAX as u64;

/// The most decimals that an asset may have.
pub const DECIMALS_MAX: u8 = 27;

/// A number is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// More than [`AMOUNT_MAX`].
    #[error("{0} nano is more than an amount can be ({AMOUNT_MAX}): split it")]
    TooMuch(String),
    /// Base units that are no whole number of nano-units.
    #[error(
        "{0} base units are no whole number of nano-units: with more than nine decimals send a multiple of 10^(decimals − 9)"
    )]
    NotWhole(U256),
    /// An asset with too many decimals.
    #[error("an asset with {0} decimals cannot be counted here: at most {DECIMALS_MAX}")]
    Decimals(u8),
    /// A price of nothing.
    #[error("a price of zero buys everything: post a price above it")]
    PriceZero,
}

macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name(u64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// The most there can be.
            pub const MAX: Self = Self(AMOUNT_MAX);

            /// `None` above [`AMOUNT_MAX`].
            #[must_use]
            pub const fn new(nano: u64) -> Option<Self> {
                if nano > AMOUNT_MAX { None } else { Some(Self(nano)) }
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number for a posting.
            #[must_use]
            pub const fn signed(self) -> i64 {
                // An amount is at most i64::MAX.
                self.0.cast_signed()
            }

            /// `None` where the sum is more than an amount can be.
            #[must_use]
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Self::new(sum),
                    None => None,
                }
            }

            /// `None` where `other` is more.
            #[must_use]
            pub const fn checked_sub(self, other: Self) -> Option<Self> {
                match self.0.checked_sub(other.0) {
                    Some(rest) => Some(Self(rest)),
                    None => None,
                }
            }

            /// What is left of this when `other` is set aside: nothing, where `other` is more.
            #[must_use]
            pub const fn left_after(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// Whether this is nothing.
            #[must_use]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl TryFrom<u64> for $name {
            type Error = AmountError;

            fn try_from(nano: u64) -> Result<Self, AmountError> {
                Self::new(nano).ok_or_else(|| AmountError::TooMuch(nano.to_string()))
            }
        }

        impl TryFrom<u128> for $name {
            type Error = AmountError;

            fn try_from(nano: u128) -> Result<Self, AmountError> {
                u64::try_from(nano)
                    .ok()
                    .and_then(Self::new)
                    .ok_or_else(|| AmountError::TooMuch(nano.to_string()))
            }
        }

        impl From<$name> for u64 {
            fn from(amount: $name) -> u64 {
                amount.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{:09} {}", self.0 / ONE, self.0 % ONE, $unit)
            }
        }
    };
}

amount!(
    /// 10⁻⁹ of a dollar.
    NanoUsd,
    "USD"
);

amount!(
    /// 10⁻⁹ of a whole unit of the asset that stands beside it.
    NanoUnits,
    "units"
);

impl NanoUnits {
    /// What a deposit of `base` units is, exactly.
    ///
    /// # Errors
    /// When it is no whole number of nano-units, or too much.
    pub fn from_base(base: U256, decimals: u8) -> Result<Self, AmountError> {
        let nano = if decimals > 9 {
            let unit = base_units_per_nano(decimals)?;
            if !(base % unit).is_zero() {
                return Err(AmountError::NotWhole(base));
            }
            base / unit
        } else {
            base.saturating_mul(U256::from(10_u64.pow(u32::from(9 - decimals))))
        };
        u64::try_from(nano)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| AmountError::TooMuch(nano.to_string()))
    }

    /// The base units that can be paid out, floored, and the part of this amount that they are; the
    /// rest stays claimable.
    ///
    /// # Errors
    /// When the asset has too many decimals.
    pub fn to_base(self, decimals: u8) -> Result<(U256, Self), AmountError> {
        if decimals > 9 {
            let unit = base_units_per_nano(decimals)?;
            return Ok((U256::from(self.0) * unit, self));
        }
        let unit = 10_u64.pow(u32::from(9 - decimals));
        Ok((U256::from(self.0 / unit), Self(self.0 / unit * unit)))
    }
}

fn base_units_per_nano(decimals: u8) -> Result<U256, AmountError> {
    if decimals > DECIMALS_MAX {
        return Err(AmountError::Decimals(decimals));
    }
    Ok(U256::from(10).pow(U256::from(decimals - 9)))
}

/// What one whole unit of an asset is worth during an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "NanoUsd", into = "NanoUsd")]
pub struct Price(NanoUsd);

impl Price {
    /// A stablecoin's.
    pub const ONE_USD: Self = Self(NanoUsd(ONE));

    /// # Errors
    /// For a price of zero.
    pub fn new(per_unit: NanoUsd) -> Result<Self, AmountError> {
        if per_unit.is_zero() {
            return Err(AmountError::PriceZero);
        }
        Ok(Self(per_unit))
    }

    /// Nano-USD for one whole unit.
    #[must_use]
    pub const fn per_unit(self) -> NanoUsd {
        self.0
    }

    /// What `units` are worth, rounded down; more than an amount can be counts as the most there can be.
    #[must_use]
    pub fn worth(self, units: NanoUnits) -> NanoUsd {
        let worth = u128::from(units.0) * u128::from(self.0.0) / u128::from(ONE);
        NanoUsd::try_from(worth).unwrap_or(NanoUsd::MAX)
    }

    /// The units that pay for `cost`, rounded up. Not more than `units` whenever `cost` ≤ [`Self::worth`] of them.
    ///
    /// # Errors
    /// When that is more than an amount can be.
    pub fn units_for(self, cost: NanoUsd) -> Result<NanoUnits, AmountError> {
        let units = (u128::from(cost.0) * u128::from(ONE)).div_ceil(u128::from(self.0.0));
        NanoUnits::try_from(units)
    }

    /// The whole units that `amount` pays for, rounded down; more than an amount can be counts as the most there can be.
    #[must_use]
    pub fn units_in(self, amount: NanoUsd) -> NanoUnits {
        let units = u128::from(amount.0) * u128::from(ONE) / u128::from(self.0.0);
        NanoUnits::try_from(units).unwrap_or(NanoUnits::MAX)
    }
}

impl TryFrom<NanoUsd> for Price {
    type Error = AmountError;

    fn try_from(per_unit: NanoUsd) -> Result<Self, AmountError> {
        Self::new(per_unit)
    }
}

impl From<Price> for NanoUsd {
    fn from(price: Price) -> Self {
        price.0
    }
}
