//! The nodes of the domain as they are now, and who of them gets a request.
//!
//! Members are told by others ([`Nodes::joined`], [`Nodes::connected`], …), requests ask for a place
//! ([`Nodes::arrive`]). Between them stands the balancer, which is pure: each event is one short step under a lock
//! that nothing is awaited in, and what comes of it goes to the requests' mailboxes in the same order.
//!
//! Invariant: a request's mailbox holds all that the balancer can say to one request.

mod driver;
mod served;
mod ticket;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use gaia_balancer::{Ask, Balancer, Counters, Event, Moment, NodeId, NodeView, Offer, Report};
use gaia_ledger::{NanoUsd, Split};
use gaia_statements::{Claimed, Counted, TokenCounts};
use gaia_tunnel::Channel;
use tokio::sync::Notify;

pub(crate) use served::Served;
pub(crate) use ticket::{Ticket, Word};

/// The most nodes that are known at a time; who joins then is not seen.
pub const NODES_MAX: usize = 10_000;

/// A node of the domain.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Its key's address.
    pub address: Address,
    /// Who earns for it.
    pub operator: Address,
    /// What it may be asked for.
    pub offer: Offer,
    /// Who earns what it serves; `None`: as the domain has it.
    pub split: Option<Split>,
}

/// Knows nodes from outside of their answers to users.
pub trait Prober: Send + Sync {
    /// Asks the node something real, within a time limit. Only a right answer is `true`; an error is none.
    fn probe(&self, node: NodeInfo, channel: Channel)
    -> Pin<Box<dyn Future<Output = bool> + Send>>;

    /// A node that was draining has nothing left to do.
    fn drained(&self, _node: Address) {}

    /// A node has said what a request took, and that is further from what the gateway has counted than an honest
    /// claim can be.
    fn counted(&self, _node: Address, _counted: Counted, _claimed: Claimed) {}
}

/// The nodes of the domain. Clones are the same.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    started: Instant,
    prober: Arc<dyn Prober>,
    table: Mutex<Table>,
    /// Rung when the balancer wants to be woken earlier than before.
    sooner: Notify,
}

struct Table {
    balancer: Balancer,
    dice: u64,
    nodes: BTreeMap<NodeId, Node>,
    ids: BTreeMap<Address, NodeId>,
    ids_given: u64,
    requests_given: u64,
    mailboxes: BTreeMap<gaia_balancer::RequestId, ticket::Mailbox>,
}

#[derive(Clone)]
struct Node {
    info: NodeInfo,
    channel: Option<Channel>,
    /// Whether the balancer has heard of it.
    is_told: bool,
    /// When it gave its last sign of life.
    heard: Option<Instant>,
    served: Arc<Served>,
}

/// A node as the status shows it.
pub(crate) struct Seen {
    pub view: NodeView,
    pub info: NodeInfo,
    /// Since its last sign of life.
    pub silent: Option<Duration>,
    pub served: Arc<Served>,
}

impl std::fmt::Debug for Nodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nodes")
    }
}

impl Nodes {
    /// Without nodes. `random` begins the dice of the balancer.
    #[must_use]
    pub fn new(config: gaia_balancer::Config, prober: Arc<dyn Prober>, random: u64) -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            prober,
            table: Mutex::new(Table {
                balancer: Balancer::new(config),
                dice: random,
                nodes: BTreeMap::new(),
                ids: BTreeMap::new(),
                ids_given: 0,
                requests_given: 0,
                mailboxes: BTreeMap::new(),
            }),
            sooner: Notify::new(),
        }))
    }

    /// A node was admitted, or brings something else than before. It gets requests once it is connected. Returns
    /// whether there was room for it.
    pub fn joined(&self, info: NodeInfo) -> bool {
        let mut table = self.lock();
        let offer = info.offer.clone();
        let Some(id) = table.id_for(info.address) else {
            return false;
        };
        let node = table.nodes.entry(id).or_insert_with(|| Node {
            info: info.clone(),
            channel: None,
            is_told: false,
            heard: None,
            served: Arc::default(),
        });
        node.info = info;
        if node.is_told && node.channel.is_some() {
            self.step(&mut table, Event::Joined(id, offer));
        }
        true
    }

    /// Its connection is there. A node that has not joined is not seen.
    pub fn connected(&self, node: Address, channel: Channel) {
        let mut table = self.lock();
        let Some((id, known)) = table.node_mut(node) else {
            return;
        };
        known.channel = Some(channel);
        known.heard = Some(Instant::now());
        let event = match std::mem::replace(&mut known.is_told, true) {
            true => Event::Connected(id),
            false => Event::Joined(id, known.info.offer.clone()),
        };
        self.step(&mut table, event);
    }

    /// Its connection is gone, with all that ran in it.
    pub fn connection_lost(&self, node: Address) {
        let mut table = self.lock();
        if let Some((id, known)) = table.node_mut(node) {
            known.channel = None;
            self.step(&mut table, Event::ConnectionLost(id));
        }
    }

    /// Something was heard of it, and perhaps how it is.
    pub fn heard(&self, node: Address, report: Option<Report>) {
        let mut table = self.lock();
        if let Some((id, known)) = table.node_mut(node) {
            known.heard = Some(Instant::now());
            self.step(&mut table, Event::Heartbeat(id, report));
        }
    }

    /// It gets no more requests; those that it has go on.
    pub fn draining(&self, node: Address) {
        self.tell(node, Event::Draining);
    }

    /// It is no member any more.
    pub fn left(&self, node: Address) {
        let mut table = self.lock();
        if let Some(id) = table.ids.remove(&node) {
            table.nodes.remove(&id);
            self.step(&mut table, Event::Left(id));
        }
    }

    /// A request of the gateway's own was answered, or not.
    pub fn probed(&self, node: Address, ok: bool) {
        self.tell(node, |node| Event::Probed { node, ok });
    }

    /// A node's connection, where it has one.
    #[must_use]
    pub fn channel(&self, node: Address) -> Option<Channel> {
        self.lock().node_mut(node)?.1.channel.clone()
    }

    /// A request asks for a node.
    pub(crate) fn arrive(&self, ask: Ask) -> Ticket {
        let mut table = self.lock();
        let id = gaia_balancer::RequestId(table.requests_given);
        table.requests_given += 1;
        let (mailbox, words) = ticket::mailbox();
        table.mailboxes.insert(id, mailbox);
        self.step(&mut table, Event::Arrived(id, ask));
        drop(table);
        Ticket::new(self.clone(), id, words)
    }

    /// A node that a request was sent to.
    pub(crate) fn of(&self, id: NodeId) -> Option<(NodeInfo, Channel)> {
        let table = self.lock();
        let node = table.nodes.get(&id)?;
        Some((node.info.clone(), node.channel.clone()?))
    }

    /// All nodes, what happened, and how many wait.
    pub(crate) fn seen(&self) -> (Vec<Seen>, Counters, usize) {
        let table = self.lock();
        let views = table.balancer.nodes();
        let seen = views.filter_map(|view| {
            let node = table.nodes.get(&view.node)?;
            Some(Seen {
                view,
                info: node.info.clone(),
                silent: node.heard.map(|heard| heard.elapsed()),
                served: Arc::clone(&node.served),
            })
        });
        (
            seen.collect(),
            table.balancer.counters(),
            table.balancer.waiting(),
        )
    }

    /// An answer of a node's was paid for.
    pub(crate) fn served(&self, node: Address, cost: NanoUsd, tokens: TokenCounts) {
        if let Some(served) = self.served_by(node) {
            served.answered(cost, tokens);
        }
    }

    /// What a node has served, where it is known.
    pub(crate) fn served_by(&self, node: Address) -> Option<Arc<Served>> {
        let mut table = self.lock();
        let (_, known) = table.node_mut(node)?;
        Some(Arc::clone(&known.served))
    }

    /// What can be asked for now.
    pub(crate) fn services(&self) -> Vec<gaia_balancer::Service> {
        self.lock().balancer.services().cloned().collect()
    }

    pub(crate) fn prober(&self) -> &Arc<dyn Prober> {
        &self.0.prober
    }

    fn tell(&self, node: Address, event: impl FnOnce(NodeId) -> Event) {
        let mut table = self.lock();
        if let Some(id) = table.ids.get(&node).copied() {
            self.step(&mut table, event(id));
        }
    }

    fn now(&self) -> Moment {
        let micros = self.0.started.elapsed().as_micros();
        Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The number of a node, a new one where it is not known.
    fn id_for(&mut self, node: Address) -> Option<NodeId> {
        if let Some(id) = self.ids.get(&node) {
            return Some(*id);
        }
        if self.ids.len() >= NODES_MAX {
            return None;
        }
        let id = NodeId(self.ids_given);
        self.ids_given += 1;
        self.ids.insert(node, id);
        Some(id)
    }

    /// A node has begun an answer that it was asked for at `sent`.
    fn began(&self, node: NodeId, sent: Option<Instant>) {
        if let (Some(sent), Some(known)) = (sent, self.nodes.get(&node)) {
            known.served.began(sent.elapsed());
        }
    }

    /// A node has failed a request.
    fn failed(&self, node: NodeId) {
        if let Some(known) = self.nodes.get(&node) {
            known.served.failed();
        }
    }

    fn node_mut(&mut self, node: Address) -> Option<(NodeId, &mut Node)> {
        let id = *self.ids.get(&node)?;
        Some((id, self.nodes.get_mut(&id)?))
    }
}
