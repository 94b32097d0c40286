//! Epochs: a price at the beginning, units and shares at the end.

use super::{Decision, Postings, Refusal, add_units, add_usd};
use crate::account::{AccountId, Currency, EpochNumber, LedgerAccount, Party, Role};
use crate::amount::{NanoUnits, NanoUsd, Price};
use crate::entry::Outcome;
use crate::rows::{AccountRow, Epochs, OpenEpoch, Owed, PoolRow, Row, ShareRow, View};
use crate::split::apportion;
use alloy_primitives::Address;
use std::collections::BTreeMap;

pub(super) fn open(
    view: &View,
    asset: Address,
    epoch: EpochNumber,
    price: Price,
) -> Result<Decision, Refusal> {
    if let Some(closing) = view.epochs.closing {
        return Err(Refusal::EpochClosing(closing.number));
    }
    match view.epochs.current {
        Some(current) if epoch <= current.number => {
            return Err(Refusal::EpochNotNext {
                current: current.number,
                asked: epoch,
            });
        }
        _ => {}
    }
    let epochs = Epochs {
        current: Some(OpenEpoch {
            number: epoch,
            price,
        }),
        closing: view.epochs.current,
    };
    Ok(Decision {
        postings: Vec::new(),
        rows: vec![Row::Epochs(asset, epochs)],
        outcome: Outcome::EpochOpened {
            closing: epochs.closing.map(|epoch| epoch.number),
        },
    })
}

fn closing(view: &View, epoch: EpochNumber) -> Result<OpenEpoch, Refusal> {
    let closing = view
        .epochs
        .closing
        .filter(|closing| closing.number == epoch);
    closing.ok_or(Refusal::NotClosing(epoch))
}

pub(super) fn close_account(
    view: &View,
    account: AccountId,
    epoch: EpochNumber,
) -> Result<Decision, Refusal> {
    let price = closing(view, epoch)?.price;
    let owed = view.closing;
    if !owed.reserved.is_zero() {
        return Err(Refusal::StillReserved(owed.reserved));
    }
    if owed.charged.is_zero() {
        return Err(Refusal::NothingOwed(epoch));
    }
    // The whole of it, unless the chain has paid back what was already charged.
    let cost = owed.charged.min(price.worth(view.account.held));
    let units = price.units_for(cost)?;
    let held = view.account.held.checked_sub(units);
    let row = AccountRow {
        held: held.ok_or(Refusal::Damaged("a charge beyond what the account holds"))?,
        ..view.account
    };
    let pool = PoolRow {
        units: add_units(view.pool.units, units)?,
        usd: add_usd(view.pool.usd, owed.charged)?,
    };
    let AccountId { payer, asset } = account;
    let postings = Postings::default()
        .transfer(
            Currency::Usd(asset, epoch),
            LedgerAccount::Pool(epoch),
            LedgerAccount::Drawn(payer),
            owed.charged.signed(),
        )
        .transfer(
            Currency::Units(asset),
            LedgerAccount::Held(payer),
            LedgerAccount::Pool(epoch),
            units.signed(),
        );
    Ok(Decision {
        postings: postings.0,
        rows: vec![
            Row::Account(account, row),
            Row::Owed(account, epoch, Owed::default()),
            Row::Pool(asset, epoch, pool),
        ],
        outcome: Outcome::AccountClosed {
            cost,
            units,
            short: owed.charged.left_after(cost),
        },
    })
}

pub(super) fn close(view: &View, asset: Address, epoch: EpochNumber) -> Result<Decision, Refusal> {
    let price = closing(view, epoch)?.price;
    if view.reserved_open != 0 {
        return Err(Refusal::ReservationsOpen(view.reserved_open));
    }
    let earned = view
        .earned
        .iter()
        .try_fold(NanoUsd::ZERO, |sum, (_, part)| add_usd(sum, *part))?;
    if earned != view.pool.usd {
        return Err(Refusal::AccountsOpen {
            earned,
            collected: view.pool.usd,
        });
    }
    let parts = shares_of(&view.earned, view.pool.units, price);
    let mut postings = Postings::default();
    let usd = Currency::Usd(asset, epoch);
    for (party, part) in &view.earned {
        let from = LedgerAccount::Earned(*party);
        postings = postings.transfer(usd, from, LedgerAccount::Pool(epoch), part.signed());
    }
    let mut rows = vec![
        Row::Epochs(
            asset,
            Epochs {
                closing: None,
                ..view.epochs
            },
        ),
        Row::Pool(asset, epoch, PoolRow::default()),
    ];
    for (address, part) in parts {
        let to = LedgerAccount::Share(address);
        let from = LedgerAccount::Pool(epoch);
        postings = postings.transfer(Currency::Units(asset), from, to, part.signed());
        let before = view.shares.iter().find(|(known, _)| *known == address);
        let before = before.map(|(_, row)| *row).unwrap_or_default();
        let row = ShareRow {
            cumulative: add_units(before.cumulative, part)?,
            ..before
        };
        rows.push(Row::Share(address, asset, row));
    }
    Ok(Decision {
        postings: postings.0,
        rows,
        outcome: Outcome::EpochClosed {
            units: view.pool.units,
        },
    })
}

/// `units` for what each party has earned, exactly, then by address.
///
/// In proportion, where all of it was collected. Where refunds took some of it before, receipts still promise node
/// operators their part: the domain bears what is missing, then the others, operators last.
fn shares_of(
    earned: &[(Party, NanoUsd)],
    units: NanoUnits,
    price: Price,
) -> BTreeMap<Address, NanoUnits> {
    let mut earned = earned.to_vec();
    earned.sort_unstable();
    let total: u128 = earned.iter().map(|(_, part)| u128::from(part.get())).sum();
    let total = NanoUsd::try_from(total).unwrap_or(NanoUsd::MAX);
    let all = price.units_for(total);
    let parts = if all.is_ok_and(|all| units >= all) {
        in_proportion(&earned, units.get())
    } else {
        by_seniority(&earned, units.get(), price)
    };
    let mut shares: BTreeMap<Address, NanoUnits> = BTreeMap::new();
    for ((party, _), part) in earned.iter().zip(parts) {
        let share = shares.entry(party.address).or_default();
        // The parts add up to `units`, so no sum of some of them is more.
        *share = NanoUnits::new(share.get() + part).unwrap_or(NanoUnits::MAX);
    }
    shares
}

/// Of equal remainders the first in the order of parties comes first.
fn in_proportion(earned: &[(Party, NanoUsd)], units: u64) -> Vec<u64> {
    let weights: Vec<u64> = earned.iter().map(|(_, part)| part.get()).collect();
    apportion(units, &weights)
}

/// Whole units for what operators have earned, then of what is left for the others but the domain, then the domain; in
/// proportion among those for whom it is too little.
fn by_seniority(earned: &[(Party, NanoUsd)], mut left: u64, price: Price) -> Vec<u64> {
    let rank = |party: &Party| match party.role {
        Role::NodeOperator => 0,
        Role::Stakers | Role::ComponentAuthor => 1,
        Role::Domain => 2,
    };
    let mut parts = vec![0; earned.len()];
    for of in 0..=2 {
        let due = earned.iter().map(|(party, part)| match rank(party) == of {
            true => price.units_in(*part).get(),
            false => 0,
        });
        let due: Vec<u64> = due.collect();
        let sum = due
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(*part));
        let given = apportion(left.min(sum), &due);
        left -= given.iter().sum::<u64>();
        for (part, given) in parts.iter_mut().zip(given) {
            *part += given;
        }
    }
    // What rounding has left.
    for (part, given) in parts.iter_mut().zip(in_proportion(earned, left)) {
        *part += given;
    }
    parts
}
