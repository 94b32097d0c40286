//! What an escrow writes into the chain, as commands of the ledger.

use super::WatchError;
use crate::contracts::Escrow::{self, EscrowEvents};
use crate::rpc::Log;
use alloy_primitives::Address;
use alloy_sol_types::SolEventInterface as _;
use gaia_ledger::amount::AmountError;
use gaia_ledger::{AccountId, Command, NanoUnits};

/// What an event of the escrow's asks of the ledger; `None` where it asks nothing.
pub(super) fn command(log: &Log) -> Result<Option<(&'static str, Command)>, WatchError> {
    let Some(topic) = log.topics.first() else {
        return Ok(None);
    };
    if !EscrowEvents::SELECTORS.contains(&topic.0) {
        return Ok(None);
    }
    let event = EscrowEvents::decode_raw_log(&log.topics, &log.data);
    let event = event.map_err(|error| bad(log, &error))?;
    let units =
        |amount: u64| NanoUnits::try_from(amount).map_err(|error: AmountError| bad(log, &error));
    let account = |payer: Address, asset: Address| AccountId { payer, asset };
    Ok(Some(match event {
        EscrowEvents::Deposited(Escrow::Deposited {
            payer,
            asset,
            amount,
            ..
        }) => {
            let (account, units) = (account(payer, asset), units(amount)?);
            ("deposit", Command::Deposit { account, units })
        }
        EscrowEvents::RefundRequested(Escrow::RefundRequested {
            payer,
            asset,
            amount,
            ..
        }) => {
            let (account, units) = (account(payer, asset), units(amount)?);
            ("refund-asked", Command::RequestRefund { account, units })
        }
        EscrowEvents::RefundCancelled(Escrow::RefundCancelled { payer, asset }) => {
            let (account, units) = (account(payer, asset), NanoUnits::ZERO);
            (
                "refund-cancelled",
                Command::RequestRefund { account, units },
            )
        }
        EscrowEvents::Refunded(Escrow::Refunded {
            payer,
            asset,
            amount,
            ..
        }) => {
            let (account, units) = (account(payer, asset), units(amount)?);
            ("refund", Command::PayRefund { account, units })
        }
        EscrowEvents::Claimed(Escrow::Claimed {
            account: party,
            asset,
            amount,
            ..
        }) => {
            let units = units(amount)?;
            (
                "claim",
                Command::Claim {
                    party,
                    asset,
                    units,
                },
            )
        }
        EscrowEvents::ChargesProposed(_) => return Ok(None),
    }))
}

pub(super) fn bad(log: &Log, why: &dyn std::fmt::Display) -> WatchError {
    WatchError::Log {
        transaction: log.transaction,
        index: log.index,
        why: why.to_string(),
    }
}
