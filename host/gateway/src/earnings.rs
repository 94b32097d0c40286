//! `GET /gaia/v1/earnings/ADDRESS`: what an operator's nodes have served and earned.
//!
//! Public, as what it follows from is: shares are published for claims, and every receipt says what its node has
//! earned. What can be drawn now is asked of the chain, at `/gaia/v1/shares/ADDRESS`.

use alloy_primitives::Address;
use gaia_ledger_store::{Earnings, Income, NodeEarnings};
use gaia_openai::ApiError;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Reply};
use crate::shared::{Shared, now};

/// What an address has earned, with a page of its nodes: those behind `?after=ADDRESS`.
///
/// # Errors
/// 400 for what is no address, 503 where the ledger cannot say.
pub(crate) async fn show(
    shared: &Shared,
    account: &str,
    query: Option<&str>,
) -> Result<Response<Reply>, ApiError> {
    let account: Address = account.parse().map_err(|_| {
        ApiError::invalid_value("address", "An address is 0x and 40 digits in hex.")
    })?;
    let after = reply::after(query)?.unwrap_or_default();
    let found = shared.config.ledger.earnings(account, after).await;
    let earnings = found.map_err(|error| {
        tracing::error!(%error, "earnings cannot be read");
        ApiError::unavailable("The domain's books cannot be read just now.", 1)
    })?;
    Ok(reply::json(
        StatusCode::OK,
        &shown(shared, account, &earnings),
    ))
}

fn shown(shared: &Shared, account: Address, earnings: &Earnings) -> Value {
    let shares = earnings.shares.iter().map(|(asset, row)| {
        json!({
            "asset": asset,
            "earnedNanoUnits": row.cumulative.get(),
            "drawnNanoUnits": row.claimed.get(),
        })
    });
    let nodes = earnings.nodes.iter().map(|row| node(shared, row));
    json!({
        "account": account,
        "time": now().0,
        "open": earnings.open.iter().map(income).collect::<Value>(),
        "shares": shares.collect::<Value>(),
        "nodes": nodes.collect::<Value>(),
        "hasMore": earnings.has_more,
    })
}

fn income(row: &Income) -> Value {
    json!({
        "asset": row.asset,
        "epoch": row.epoch.0,
        "role": row.role,
        "nanoUsd": row.earned.get(),
    })
}

fn node(shared: &Shared, row: &NodeEarnings) -> Value {
    let served = shared.nodes.served_by(row.node);
    let since = served.map(|served| served.now());
    json!({
        "node": row.node,
        "asset": row.asset,
        "epoch": row.row.epoch.0,
        "earnedNanoUnits": row.row.total.get(),
        "earnedBeforeEpochNanoUnits": row.row.before.get(),
        "isConnected": shared.nodes.channel(row.node).is_some(),
        // Since this gateway knows the node; null where it does not.
        "served": since.map(|served| json!({
            "answered": served.answered,
            "failed": served.failed,
            "tokens": served.tokens,
        })),
    })
}
