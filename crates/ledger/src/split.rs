//! Amounts divided so that the parts add up, to the last nano.
//!
//! Each part is floored; what is left goes, one each, to the largest remainders, of equal ones to the
//! earlier in the list. The contracts' `Splits` does the same.

use crate::account::{Party, Role};
use crate::amount::NanoUsd;
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// The whole, in basis points.
pub const WHOLE: u64 = 10_000;

/// The most parts of a split.
pub const PARTS_MAX: usize = 32;

/// A part of the whole: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BasisPoints(pub u16);

/// Who gets which part of what a request cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "Vec<(Party, BasisPoints)>",
    into = "Vec<(Party, BasisPoints)>"
)]
pub struct Split(Vec<(Party, BasisPoints)>);

/// Why parts are no split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// None, or too many.
    #[error("a split has 1 to {PARTS_MAX} parts, this has {0}")]
    Parts(usize),
    /// More or less than the whole.
    #[error("the parts of a split add up to 10000 basis points, these to {0}: change one of them")]
    NotWhole(u64),
    /// A part of nothing.
    #[error("a part of a split is nothing: leave {0:?} out")]
    Nothing(Party),
    /// Somebody twice.
    #[error("{0:?} stands twice in the split: add the two parts up")]
    Twice(Party),
    /// Nobody's address.
    #[error("a part of the split goes to the zero address, where it would be lost: name a party")]
    Nobody,
}

impl Split {
    /// # Errors
    /// Unless the parts add up to the whole, each to another party.
    pub fn new(parts: Vec<(Party, BasisPoints)>) -> Result<Self, SplitError> {
        if parts.is_empty() || parts.len() > PARTS_MAX {
            return Err(SplitError::Parts(parts.len()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for (party, part) in &parts {
            if part.0 == 0 {
                return Err(SplitError::Nothing(*party));
            }
            if party.address.is_zero() {
                return Err(SplitError::Nobody);
            }
            if !seen.insert(*party) {
                return Err(SplitError::Twice(*party));
            }
        }
        let sum = parts.iter().map(|(_, part)| u64::from(part.0)).sum();
        if sum != WHOLE {
            return Err(SplitError::NotWhole(sum));
        }
        Ok(Self(parts))
    }

    /// The parts, in their order.
    #[must_use]
    pub fn parts(&self) -> &[(Party, BasisPoints)] {
        &self.0
    }

    /// Who earns for the node that served: the first party of that role, to which the receipt speaks. None where
    /// the domain serves by itself.
    #[must_use]
    pub fn operator(&self) -> Option<Address> {
        let mut parties = self.0.iter().map(|(party, _)| party);
        let operator = parties.find(|party| party.role == Role::NodeOperator)?;
        Some(operator.address)
    }

    /// What each party gets of `amount`. The sum is `amount`.
    #[must_use]
    pub fn of(&self, amount: NanoUsd) -> Vec<(Party, NanoUsd)> {
        let weights: Vec<u64> = self.0.iter().map(|(_, part)| u64::from(part.0)).collect();
        let parts = apportion(amount.get(), &weights).into_iter();
        let parties = self.0.iter().map(|(party, _)| *party);
        // A part is at most the amount.
        parties
            .zip(parts.map(|part| NanoUsd::new(part).unwrap_or(NanoUsd::MAX)))
            .collect()
    }
}

/// The parts of every request of a domain; only the operator differs, with the node that served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitRule {
    /// The part of the operator whose node served.
    pub node_operator: BasisPoints,
    /// Everybody else's.
    pub others: Vec<(Party, BasisPoints)>,
}

impl SplitRule {
    /// The parts where a node of this operator served.
    ///
    /// # Errors
    /// When they do not add up, or somebody stands in them twice.
    pub fn of(&self, operator: Address) -> Result<Split, SplitError> {
        let party = Party {
            role: Role::NodeOperator,
            address: operator,
        };
        let own = (self.node_operator.0 > 0).then_some((party, self.node_operator));
        Split::new(own.into_iter().chain(self.others.iter().copied()).collect())
    }
}

/// `total` in proportion to `weights`, by largest remainder. The sum is `total`, unless all weights
/// are zero: then nobody gets anything.
#[must_use]
pub fn apportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let whole: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let products = weights
        .iter()
        .map(|weight| u128::from(total) * u128::from(*weight));
    let (mut parts, remainders): (Vec<u64>, Vec<u128>) = products
        // A part is at most the total, because a weight is at most the whole.
        .map(|product| ((product / whole) as u64, product % whole))
        .unzip();
    let left = total - parts.iter().sum::<u64>();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // Stable: of equal remainders the earlier stays the earlier.
    order.sort_by_key(|place| std::cmp::Reverse(remainders[*place]));
    // Remainders sum up to `left` wholes, each being less than one: so fewer are left than have one.
    for place in order
        .into_iter()
        .take(usize::try_from(left).unwrap_or(usize::MAX))
    {
        parts[place] += 1;
    }
    parts
}

impl TryFrom<Vec<(Party, BasisPoints)>> for Split {
    type Error = SplitError;

    fn try_from(parts: Vec<(Party, BasisPoints)>) -> Result<Self, SplitError> {
        Self::new(parts)
    }
}

impl From<Split> for Vec<(Party, BasisPoints)> {
    fn from(split: Split) -> Self {
        split.0
    }
}
