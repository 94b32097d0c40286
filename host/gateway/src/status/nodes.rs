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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gaia_balancer::{NodeId, NodeView, Offer};

    use super::*;
    use crate::nodes::NodeInfo;

    fn address(number: usize) -> Address {
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&(number as u64).to_be_bytes());
        Address::from(bytes)
    }

    fn seen(number: usize) -> Seen {
        Seen {
            view: NodeView {
                node: NodeId(0),
                health: Health::Closed,
                connected: true,
                draining: false,
                requests: 0,
                sequences: 1,
                unread: 0,
                reading: 1.0,
                slowness: 1.0,
            },
            info: NodeInfo {
                address: address(number),
                operator: Address::ZERO,
                offer: Offer {
                    services: Vec::new(),
                    sequences: 1,
                    reading: None,
                },
                split: None,
            },
            silent: None,
            served: Arc::default(),
        }
    }

    #[test]
    fn nodes_come_in_pages_by_their_addresses() {
        // In no order: the last first.
        let all: Vec<Seen> = (1..=NODES_SHOWN_MAX + 1).rev().map(seen).collect();
        let first = page(&all, None);
        assert_eq!((first.nodes.len(), first.has_more), (NODES_SHOWN_MAX, true));
        assert_eq!(first.nodes[0]["node"], format!("{:#x}", address(1)));
        let rest = page(&all, Some(address(NODES_SHOWN_MAX)));
        assert_eq!((rest.nodes.len(), rest.has_more), (1, false));
    }
}
