//! The nodes that are connected, and what the balancer is told of them.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use gaia_balancer as balancer;
use gaia_registry::membership::Change;
use gaia_registry::{Member, Status};
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
    /// The digest of what it has signed that it answers from; zero: nothing.
    pub knowledge: B256,
    pub status: Status,
    /// It said that it wants to go.
    pub is_draining: bool,
}

impl Live {
    /// Whether it may get users' requests.
    pub(crate) fn is_serving(&self) -> bool {
        self.status == Status::Serving && !self.is_draining && !self.offer.services.is_empty()
    }

    fn info(&self, address: Address, names: &BTreeMap<String, B256>) -> NodeInfo {
        NodeInfo {
            address,
            operator: self.operator,
            offer: offer(&self.offer, self.knowledge, names),
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
    pub(crate) async fn apply(&self, change: Option<Change>) {
        let Some(Change { node, status }) = change else {
            return;
        };
        // A node that has joined anew may have signed for something else.
        let knowledge = self.0.store.look(node, signed_knowledge).await;
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
                live.knowledge = knowledge.unwrap_or_default();
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
        match nodes.joined(live.info(node, &self.0.config.knowledge)) {
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

/// The digest of what a member has signed that it answers from; zero: nothing.
pub(crate) fn signed_knowledge(member: &Member) -> B256 {
    let config = member.config.as_ref();
    config.map(|config| config.knowledge).unwrap_or_default()
}

/// What the balancer is told: a knowledge base only where the node has signed for it, under its digest and under the
/// names that the domain has for that.
fn offer(offer: &Offer, signed: B256, names: &BTreeMap<String, B256>) -> balancer::Offer {
    let service = |model: &str, knowledge: Option<String>| balancer::Service {
        model: model.to_owned(),
        knowledge,
    };
    let digest = (!signed.is_zero()).then(|| signed.to_string());
    let mut services = Vec::new();
    for offered in offer.services.iter().take(balancer::SERVICES_PER_NODE_MAX) {
        let model = &offered.model;
        match &offered.knowledge {
            None => services.push(service(model, None)),
            Some(_) if offered.knowledge != digest => {}
            Some(digest) => {
                let names = names.iter().filter(|(_, named)| **named == signed);
                let names = names.map(|(name, _)| service(model, Some(name.clone())));
                services.push(service(model, Some(digest.clone())));
                services.extend(names);
            }
        }
    }
    services.truncate(balancer::SERVICES_PER_NODE_MAX);
    balancer::Offer {
        services,
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

#[cfg(test)]
mod tests {
    use gaia_tunnel::messages::Service;

    use super::*;

    #[test]
    fn a_knowledge_base_is_offered_where_it_is_signed_for() {
        let (mine, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let names = [("mine", mine), ("also", mine), ("other", other)];
        let names = names.map(|(name, digest)| (name.to_owned(), digest)).into();
        let service = |knowledge: Option<String>| Service {
            model: "m".to_owned(),
            knowledge,
        };
        let offered = Offer {
            services: vec![service(None), service(Some(mine.to_string()))],
            sequences: 1,
            reading: None,
        };
        let check = |signed: B256, expected: &[&str]| {
            let services = offer(&offered, signed, &names).services;
            let shown = services.iter().map(|service| {
                let knowledge = service.knowledge.as_deref();
                knowledge.unwrap_or("-").to_owned()
            });
            assert_eq!(shown.collect::<Vec<_>>(), expected, "{signed}");
        };
        check(B256::ZERO, &["-"]);
        check(other, &["-"]);
        check(mine, &["-", &mine.to_string(), "also", "mine"]);
    }

    #[test]
    fn a_node_has_only_so_many_services() {
        let service = Service {
            model: "m".to_owned(),
            knowledge: None,
        };
        let offered = Offer {
            services: vec![service; balancer::SERVICES_PER_NODE_MAX + 1],
            sequences: 1,
            reading: None,
        };
        let told = offer(&offered, B256::ZERO, &BTreeMap::new());
        assert_eq!(told.services.len(), balancer::SERVICES_PER_NODE_MAX);
    }
}
