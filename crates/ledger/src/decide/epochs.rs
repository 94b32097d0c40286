//! Epochs: a price at the beginning, units and shares at the end.

use super::{Decision, Postings, Refusal, add_units, add_usd};
use crate::account::{AccountId, Currency, EpochNumber, LedgerAccount, Party};
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
    closing(view, epoch)?;
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
    let parts = shares_of(&view.earned, view.pool.units);
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

/// `units` in proportion to what each party has earned, exactly, then by address. Of equal
/// remainders the first in the order of parties comes first.
fn shares_of(earned: &[(Party, NanoUsd)], units: NanoUnits) -> BTreeMap<Address, NanoUnits> {
    let mut earned = earned.to_vec();
    earned.sort_unstable();
    let weights: Vec<u64> = earned.iter().map(|(_, part)| part.get()).collect();
    let mut shares: BTreeMap<Address, NanoUnits> = BTreeMap::new();
    for ((party, _), part) in earned.iter().zip(apportion(units.get(), &weights)) {
        let share = shares.entry(party.address).or_default();
        // The parts add up to `units`, so no sum of some of them is more.
        *share = NanoUnits::new(share.get() + part).unwrap_or(NanoUnits::MAX);
    }
    shares
}
