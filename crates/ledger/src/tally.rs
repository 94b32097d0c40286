//! A node's own count of what it has earned: what it holds a receipt to before it signs.
//!
//! Receipts of requests that ran side by side come in any order, so no two of them are compared. What holds is a
//! sum: the highest promise through an epoch covers everything the node has signed for through it.

use crate::account::EpochNumber;
use crate::amount::{NanoUnits, NanoUsd, Price};
use crate::receipt::Receipt;
use crate::split::{BasisPoints, WHOLE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Epochs that are counted one by one. Two take receipts at a time; what is older counts as one.
pub const EPOCHS_MAX: usize = 4;

/// What a node has earned for one operator in one asset of one domain, by its own count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    epochs: BTreeMap<EpochNumber, Counted>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    /// The parts of what was served in the epoch.
    earned: u64,
    /// The most that a receipt of the epoch promised.
    promised: u64,
}

/// A receipt promises less than the node has earned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the receipt says that the node has earned {promised} through epoch {epoch}, by its own count it is {earned} nano-units: sign no such receipt, and contest what is not settled with the last good one"
)]
pub struct TooLittle {
    /// Through which epoch.
    pub epoch: EpochNumber,
    /// What the gateway promises.
    pub promised: NanoUnits,
    /// What the node has counted, this receipt's part included.
    pub earned: u64,
}

/// The part of a request's cost that a node's operator is sure of: its basis points, rounded down, in whole nano-units at
/// the epoch's price. A split may give one nano-dollar more.
#[must_use]
pub fn part_of(cost: NanoUsd, operator: BasisPoints, price: Price) -> NanoUnits {
    let part = u128::from(cost.get()) * u128::from(operator.0) / u128::from(WHOLE);
    // At most the cost, where a part is at most the whole.
    price.units_in(NanoUsd::try_from(part).unwrap_or(NanoUsd::MAX))
}

impl Tally {
    /// Counts a receipt whose part is `part`, once for each request: the caller knows which it has signed.
    ///
    /// # Errors
    /// When the gateway has promised less than what is counted. Then nothing has changed.
    pub fn take(&mut self, receipt: &Receipt, part: NanoUnits) -> Result<(), TooLittle> {
        let epoch = receipt.epoch;
        let through = self.epochs.range(..=epoch).map(|(_, counted)| counted);
        let (earned, promised) = through.fold((0_u64, 0_u64), |(earned, promised), counted| {
            let earned = earned.saturating_add(counted.earned);
            (earned, promised.max(counted.promised))
        });
        let earned = earned.saturating_add(part.get());
        if promised.max(receipt.node_cumulative.get()) < earned {
            return Err(TooLittle {
                epoch,
                promised: receipt.node_cumulative,
                earned,
            });
        }
        let counted = self.epochs.entry(epoch).or_default();
        counted.earned = counted.earned.saturating_add(part.get());
        counted.promised = counted.promised.max(receipt.node_cumulative.get());
        self.fold();
        Ok(())
    }

    /// What was counted altogether, in nano-units.
    #[must_use]
    pub fn earned(&self) -> u64 {
        let epochs = self.epochs.values();
        epochs.fold(0, |sum, counted| sum.saturating_add(counted.earned))
    }

    /// The oldest epochs become one.
    fn fold(&mut self) {
        while self.epochs.len() > EPOCHS_MAX {
            let Some((_, oldest)) = self.epochs.pop_first() else {
                return;
            };
            if let Some(mut next) = self.epochs.first_entry() {
                let next = next.get_mut();
                next.earned = next.earned.saturating_add(oldest.earned);
                next.promised = next.promised.max(oldest.promised);
            }
        }
    }
}
