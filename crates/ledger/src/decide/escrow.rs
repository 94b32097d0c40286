//! What the chain has done: deposits, refunds, claims.

use super::{Decision, Postings, Refusal, add_units};
use crate::account::{AccountId, Currency, LedgerAccount};
use crate::amount::NanoUnits;
use crate::entry::Outcome;
use crate::rows::{AccountRow, Row, ShareRow, View};
use alloy_primitives::Address;

pub(super) fn deposit(
    view: &View,
    account: AccountId,
    units: NanoUnits,
) -> Result<Decision, Refusal> {
    if units.is_zero() {
        return Err(Refusal::Nothing);
    }
    let row = AccountRow {
        held: add_units(view.account.held, units)?,
        ..view.account
    };
    let postings = Postings::default().transfer(
        Currency::Units(account.asset),
        LedgerAccount::World,
        LedgerAccount::Held(account.payer),
        units.signed(),
    );
    Ok(Decision {
        postings: postings.0,
        rows: vec![Row::Account(account, row)],
        outcome: Outcome::Deposited { held: row.held },
    })
}

pub(super) fn request_refund(view: &View, account: AccountId, units: NanoUnits) -> Decision {
    let row = AccountRow {
        refunding: units,
        ..view.account
    };
    Decision {
        postings: Vec::new(),
        rows: vec![Row::Account(account, row)],
        outcome: Outcome::RefundRequested { units },
    }
}

/// What the chain has paid is paid, even where it is needed for what was charged: then the close
/// of the account comes out short, by name.
pub(super) fn pay_refund(
    view: &View,
    account: AccountId,
    units: NanoUnits,
) -> Result<Decision, Refusal> {
    if units.is_zero() {
        return Err(Refusal::Nothing);
    }
    let held = view.account.held.checked_sub(units);
    let row = AccountRow {
        held: held.ok_or(Refusal::ExceedsHeld {
            held: view.account.held,
            paid: units,
        })?,
        refunding: NanoUnits::ZERO,
        ..view.account
    };
    let postings = Postings::default().transfer(
        Currency::Units(account.asset),
        LedgerAccount::Held(account.payer),
        LedgerAccount::World,
        units.signed(),
    );
    Ok(Decision {
        postings: postings.0,
        rows: vec![Row::Account(account, row)],
        outcome: Outcome::RefundPaid { held: row.held },
    })
}

pub(super) fn claim(
    view: &View,
    party: Address,
    asset: Address,
    units: NanoUnits,
) -> Result<Decision, Refusal> {
    if units.is_zero() {
        return Err(Refusal::Nothing);
    }
    let share = view.shares.iter().find(|(address, _)| *address == party);
    let share = share.map(|(_, row)| *row).unwrap_or_default();
    let left = share.cumulative.left_after(share.claimed);
    let still = left.checked_sub(units).ok_or(Refusal::ExceedsShare {
        left,
        claimed: units,
    })?;
    let row = ShareRow {
        claimed: add_units(share.claimed, units)?,
        ..share
    };
    let postings = Postings::default().transfer(
        Currency::Units(asset),
        LedgerAccount::Share(party),
        LedgerAccount::World,
        units.signed(),
    );
    Ok(Decision {
        postings: postings.0,
        rows: vec![Row::Share(party, asset, row)],
        outcome: Outcome::Claimed { left: still },
    })
}
