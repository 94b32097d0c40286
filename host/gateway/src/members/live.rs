//! The nodes that are connected, and what the balancer is told of them.

use alloy_primitives::Address;
use gaia_balancer as balancer;
use gaia_registry::Status;
use gaia_registry::membership::Change;
use gaia_tunnel::Channel;
use gaia_tunnel::messages::{Offer, Report};

use super::Members;
use crate::nodes::NodeInfo;

/// A node with a proven tunnel.
#[derive(Clone)]
pub(crate) struct Live {
    /// Which of its tunnels: a later one replaces an earlier.
    pub generation: u64,
    pub channel: Channel,
    pub operator: Address,
    pub offer: Offer,
    pub status: Status,
    /// It said that it wants to go.
    pub is_draining: bool,
}

impl Live {
    /// Whether it may get users' requests.
    pub(crate) fn is_serving(&self) -> bool {
        self.status == Status::Serving && !self.is_draining && !self.offer.services.is_empty()
    }

    fn info(&self, address: Address) -> NodeInfo {
        NodeInfo {
            address,
            operator: self.operator,
            offer: offer(&self.offer),
            split: None,
        }
    }
}

impl Members {
    /// A tunnel is proven. An earlier one of the same node ends.
    pub(crate) fn connected(&self, node: Address, live: Live) {
        let before = self.live().insert(node, live.clone());
        if let Some(before) = before {
            if let Some(nodes) = self.nodes() {
                nodes.connection_lost(node);
            }
            before.channel.close();
        }
        self.tell(node, &live);
    }

    /// A tunnel ended; if no later one has replaced it, its node is not connected any more.
    pub(crate) fn disconnected(&self, node: Address, generation: u64) {
        let mut all = self.live();
        if all
            .get(&node)
            .is_some_and(|live| live.generation == generation)
        {
            all.remove(&node);
            drop(all);
            if let Some(nodes) = self.nodes() {
                nodes.connection_lost(node);
            }
        }
    }

    /// A member stands elsewhere than before.
    pub(crate) fn apply(&self, change: Option<Change>) {
        let Some(Change { node, status }) = change else {
            return;
        };
        match status {
            Some(status) => tracing::info!("the node {node} is {} now", word(status)),
            None => tracing::info!("the node {node} is forgotten"),
        }
        let Some(status) = status else {
            self.left(node);
            return;
        };
        let changed = {
            let mut all = self.live();
            let live = all.get_mut(&node);
            live.map(|live| {
                live.status = status;
                live.clone()
            })
        };
        match (changed, status) {
            (_, Status::Left { .. }) | (None, Status::Suspended { .. }) => self.left(node),
            (Some(live), _) => self.tell(node, &live),
            (None, _) => {}
        }
    }

    /// What it brings, or whether it wants to go, has changed.
    pub(crate) fn brings(&self, node: Address, generation: u64, change: impl FnOnce(&mut Live)) {
        let changed = {
            let mut all = self.live();
            let live = all.get_mut(&node);
            live.filter(|live| live.generation == generation)
                .map(|live| {
                    change(live);
                    live.clone()
                })
        };
        if let Some(live) = changed {
            self.tell(node, &live);
        }
    }

    pub(crate) fn heard(&self, node: Address, now: Report) {
        if let Some(nodes) = self.nodes() {
            nodes.heard(node, Some(report(now)));
        }
    }

    fn tell(&self, node: Address, live: &Live) {
        let Some(nodes) = self.nodes() else { return };
        if !live.is_serving() {
            nodes.draining(node);
            return;
        }
        match nodes.joined(live.info(node)) {
            true => nodes.connected(node, live.channel.clone()),
            false => tracing::warn!("there is no room for the node {node}"),
        }
    }

    /// What runs may end, nothing new begins. Once nothing runs, [`Prober::drained`](crate::Prober::drained) comes.
    fn left(&self, node: Address) {
        if let Some(nodes) = self.nodes() {
            nodes.draining(node);
        }
    }
}

pub(crate) fn word(status: Status) -> String {
    match status {
        Status::Probation => "on probation".to_owned(),
        Status::Serving => "serving".to_owned(),
        Status::Suspended { reason, .. } => format!("suspended ({reason})"),
        Status::Left { .. } => "gone".to_owned(),
    }
}

fn offer(offer: &Offer) -> balancer::Offer {
    let services = offer.services.iter().take(balancer::SERVICES_PER_NODE_MAX);
    balancer::Offer {
        services: services
            .map(|service| balancer::Service {
                model: service.model.clone(),
                knowledge: service.knowledge.clone(),
            })
            .collect(),
        sequences: offer.sequences,
        reading: offer.reading,
    }
}

fn report(report: Report) -> balancer::Report {
    balancer::Report {
        requests: report.requests,
        unread: report.unread,
        reading: report.reading,
    }
}
