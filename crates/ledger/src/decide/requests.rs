//! What a request does: reserve, then capture or release.

use super::{Decision, Postings, Refusal, add_usd};
use crate::account::{AccountId, Currency, LedgerAccount, Party, ReservationId, Role, Timestamp};
use crate::amount::{AmountError, NanoUnits, NanoUsd};
use crate::command::{LIFETIME_SECONDS_MAX, Reserve};
use crate::entry::Outcome;
use crate::rows::{
    AccountRow, NodeKey, NodeRow, Owed, ReservationRow, ReservationState, Row, TokenRow, View,
};
use crate::split::Split;
use alloy_primitives::Address;

pub(super) fn reserve(view: &View, ask: &Reserve, now: Timestamp) -> Result<Decision, Refusal> {
    if ask.lifetime_seconds > LIFETIME_SECONDS_MAX {
        return Err(Refusal::LifetimeTooLong(ask.lifetime_seconds));
    }
    if view.reservation.is_some() {
        return Err(Refusal::ReservationTaken(ask.reservation));
    }
    let epoch = view
        .epochs
        .current
        .ok_or(Refusal::NoEpoch(ask.account.asset))?;
    let token = reserved_of_token(view, ask)?;
    let available = view.available()?;
    let left = available
        .checked_sub(ask.amount)
        .ok_or(Refusal::InsufficientFunds {
            available,
            needed: ask.amount,
        })?;
    let owed = Owed {
        reserved: add_usd(view.current.reserved, ask.amount)?,
        ..view.current
    };
    let expires_at = Timestamp(now.0.saturating_add(u64::from(ask.lifetime_seconds)));
    let reservation = ReservationRow {
        account: ask.account,
        key: ask.key,
        epoch: epoch.number,
        amount: ask.amount,
        expires_at,
        state: ReservationState::Held,
    };
    let payer = ask.account.payer;
    let postings = Postings::default().transfer(
        Currency::Usd(ask.account.asset, epoch.number),
        LedgerAccount::Drawn(payer),
        LedgerAccount::Reserved(payer),
        ask.amount.signed(),
    );
    Ok(Decision {
        postings: postings.0,
        rows: vec![
            Row::Owed(ask.account, epoch.number, owed),
            Row::Token(ask.account, ask.key, token),
            Row::Reservation(ask.reservation, reservation),
        ],
        outcome: Outcome::Reserved {
            epoch: epoch.number,
            available: left,
            expires_at,
        },
    })
}

fn reserved_of_token(view: &View, ask: &Reserve) -> Result<TokenRow, Refusal> {
    let used = add_usd(view.token.reserved, view.token.charged)?;
    if let Some(limit) = ask.key_limit {
        let left = limit.left_after(used);
        if left < ask.amount {
            return Err(Refusal::KeyLimit {
                left,
                needed: ask.amount,
            });
        }
    }
    Ok(TokenRow {
        reserved: add_usd(view.token.reserved, ask.amount)?,
        ..view.token
    })
}

pub(super) fn capture(
    view: &View,
    id: ReservationId,
    node: Address,
    cost: NanoUsd,
    split: &Split,
) -> Result<Decision, Refusal> {
    let reservation = held(view, id)?;
    let released = reservation
        .amount
        .checked_sub(cost)
        .ok_or(Refusal::ExceedsReserved {
            reserved: reservation.amount,
            cost,
        })?;
    let mut after = After::giving_back(view, &reservation, ReservationState::Captured)?;
    after.owed.charged = add_usd(after.owed.charged, cost)?;
    after.token.charged = add_usd(after.token.charged, cost)?;
    let account = AccountRow {
        charged: add_usd(view.account.charged, cost)?,
        ..view.account
    };
    let AccountId { payer, asset } = reservation.account;
    let currency = Currency::Usd(asset, reservation.epoch);
    let reserved = LedgerAccount::Reserved(payer);
    let mut postings = Postings::default().transfer(
        currency,
        reserved,
        LedgerAccount::Drawn(payer),
        released.signed(),
    );
    let parts = split.of(cost);
    let earned = earned_by_node(view, &reservation, node, split.operator(), &parts)?;
    for (party, part) in parts {
        postings = postings.transfer(
            currency,
            reserved,
            LedgerAccount::Earned(party),
            part.signed(),
        );
    }
    let mut rows = after.rows(id);
    rows.push(Row::Account(reservation.account, account));
    rows.extend(earned.map(|(key, row, _)| Row::Node(key, row)));
    Ok(Decision {
        postings: postings.0,
        rows,
        outcome: Outcome::Captured {
            epoch: reservation.epoch,
            released,
            key_cumulative: after.token.charged,
            account_cumulative: account.charged,
            operator: split.operator().unwrap_or_default(),
            node_cumulative: earned.map_or(NanoUnits::ZERO, |(.., through)| through),
        },
    })
}

/// The node's row with what its operator gets of a request, and what that makes through the request's epoch. None
/// where nobody earns for the node.
fn earned_by_node(
    view: &View,
    reservation: &ReservationRow,
    node: Address,
    operator: Option<Address>,
    parts: &[(Party, NanoUsd)],
) -> Result<Option<(NodeKey, NodeRow, NanoUnits)>, Refusal> {
    let Some(operator) = operator else {
        return Ok(None);
    };
    let (epoch, _) = view
        .owed_of(reservation.epoch)
        .ok_or(Refusal::Damaged("a reservation outlived its epoch"))?;
    let is_operator = |(party, _): &&(Party, NanoUsd)| {
        party.role == Role::NodeOperator && party.address == operator
    };
    let part = parts.iter().find(is_operator);
    // Rounded down for every request, so that the sum never exceeds the share that the epoch's close makes of it.
    let units = part.map_or(NanoUnits::ZERO, |(_, part)| epoch.price.units_in(*part));
    let too_much = || AmountError::TooMuch(format!("{} and {units}", view.node.total));
    let (row, through) = view
        .node
        .earning(epoch.number, units)
        .ok_or_else(too_much)?;
    let key = NodeKey {
        node,
        operator,
        asset: reservation.account.asset,
    };
    Ok(Some((key, row, through)))
}

pub(super) fn release(view: &View, id: ReservationId) -> Result<Decision, Refusal> {
    give_back(view, id, &held(view, id)?, ReservationState::Released)
}

pub(super) fn expire(view: &View, id: ReservationId, now: Timestamp) -> Result<Decision, Refusal> {
    let reservation = held(view, id)?;
    if now < reservation.expires_at {
        return Err(Refusal::NotExpired {
            expires_at: reservation.expires_at,
        });
    }
    give_back(view, id, &reservation, ReservationState::Expired)
}

fn give_back(
    view: &View,
    id: ReservationId,
    reservation: &ReservationRow,
    state: ReservationState,
) -> Result<Decision, Refusal> {
    let after = After::giving_back(view, reservation, state)?;
    let AccountId { payer, asset } = reservation.account;
    let postings = Postings::default().transfer(
        Currency::Usd(asset, reservation.epoch),
        LedgerAccount::Reserved(payer),
        LedgerAccount::Drawn(payer),
        reservation.amount.signed(),
    );
    Ok(Decision {
        postings: postings.0,
        rows: after.rows(id),
        outcome: Outcome::Released {
            amount: reservation.amount,
        },
    })
}

fn held(view: &View, id: ReservationId) -> Result<ReservationRow, Refusal> {
    let row = view.reservation.ok_or(Refusal::NoReservation(id))?;
    match row.state {
        ReservationState::Held => Ok(row),
        state => Err(Refusal::ReservationOver { id, state }),
    }
}

/// The rows of a request when its reservation no longer stands.
struct After {
    owed: Owed,
    token: TokenRow,
    reservation: ReservationRow,
}

impl After {
    fn giving_back(
        view: &View,
        reservation: &ReservationRow,
        state: ReservationState,
    ) -> Result<Self, Refusal> {
        let epoch = view.owed_of(reservation.epoch);
        let (_, owed) = epoch.ok_or(Refusal::Damaged("a reservation outlived its epoch"))?;
        let less = |sum: NanoUsd| {
            sum.checked_sub(reservation.amount)
                .ok_or(Refusal::Damaged("less is reserved than was set aside"))
        };
        Ok(Self {
            owed: Owed {
                reserved: less(owed.reserved)?,
                ..owed
            },
            token: TokenRow {
                reserved: less(view.token.reserved)?,
                ..view.token
            },
            reservation: ReservationRow {
                state,
                ..*reservation
            },
        })
    }

    fn rows(&self, id: ReservationId) -> Vec<Row> {
        let ReservationRow {
            account,
            key,
            epoch,
            ..
        } = self.reservation;
        vec![
            Row::Owed(account, epoch, self.owed),
            Row::Token(account, key, self.token),
            Row::Reservation(id, self.reservation),
        ]
    }
}
