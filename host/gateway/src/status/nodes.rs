//! The nodes, one page of them at a time, and what the domain earns by them.

use alloy_primitives::Address;
use gaia_balancer::Health;
use serde_json::{Value, json};

use crate::nodes::Seen;
use crate::shared::Shared;

/// Nodes of one answer.
pub const NODES_SHOWN_MAX: usize = 1_000;

/// Some of the nodes.
pub(super) struct Page {
    pub nodes: Vec<Value>,
    pub has_more: bool,
}

/// The nodes behind `after`, in the order of their addresses.
pub(super) fn page(seen: &[Seen], after: Option<Address>) -> Page {
    let mut behind: Vec<&Seen> = seen
        .iter()
        .filter(|node| Some(node.info.address) > after)
        .collect();
    behind.sort_unstable_by_key(|node| node.info.address);
    let has_more = behind.len() > NODES_SHOWN_MAX;
    behind.truncate(NODES_SHOWN_MAX);
    Page {
        nodes: behind.into_iter().map(shown).collect(),
        has_more,
    }
}

pub(super) fn is_serving(node: &Seen) -> bool {
    node.view.connected && !node.view.draining && node.view.health != Health::Open
}

fn shown(node: &Seen) -> Value {
    let services = node.info.offer.services.iter();
    let services = services.map(|service| match &service.knowledge {
        Some(knowledge) => format!("{}@{knowledge}", service.model),
        None => service.model.clone(),
    });
    let served = node.served.now();
    json!({
        "node": node.info.address,
        "operator": node.info.operator,
        "services": services.collect::<Vec<_>>(),
        "health": format!("{:?}", node.view.health).to_lowercase(),
        "connected": node.view.connected,
        "draining": node.view.draining,
        "silentSeconds": node.silent.map(|silent| silent.as_secs()),
        "requests": node.view.requests,
        "sequences": node.view.sequences,
        "unreadTokens": node.view.unread,
        "readingTokensPerSecond": node.view.reading,
        "slowness": node.view.slowness,
        // Since this gateway knows the node.
        "answered": served.answered,
        "failed": served.failed,
        "paidNanoUsd": served.paid,
        "tokens": served.tokens,
        "firstByteMs": super::quantiles(&node.served.first_bytes),
    })
}

/// What was earned in the epochs that are not closed, at all gateways; `null` where the ledger cannot say.
pub(super) async fn income(shared: &Shared) -> Value {
    match shared.config.ledger.income().await {
        Ok(rows) => rows
            .iter()
            .map(|row| {
                json!({
                    "asset": row.asset,
                    "epoch": row.epoch.0,
                    "role": row.role,
                    "parties": row.parties,
                    "nanoUsd": row.earned.get(),
                })
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the income cannot be read");
            Value::Null
        }
    }
}
