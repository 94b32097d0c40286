//! Puts the parts together: events in, effects out.

mod attempts;
mod nodes;
mod requests;
mod timers;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::nodes::Node;
use self::nodes::Pool;
use self::requests::Request;
use self::timers::Timer;
use crate::affinity::Affinity;
use crate::breaker::Health;
use crate::dice::Dice;
use crate::retry::RetryBudget;
use crate::{Config, Effect, Event, Moment, NodeId, RequestId, Service};

/// Names a [`Pool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct PoolId(u64);

/// What happened since the start, as totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Choices of a node.
    pub picks: u64,
    /// Nodes looked at for them.
    pub looked_at: u64,
    /// Requests sent again after an attempt failed.
    pub retries: u64,
    /// Requests sent to a second node because the first was slow.
    pub hedges: u64,
    /// Requests refused.
    pub refused: u64,
    /// Ejections of nodes.
    pub ejections: u64,
}

/// A node as a page for the operator shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Which.
    pub node: NodeId,
    /// Whether it gets requests.
    pub health: Health,
    /// Whether its connection is there.
    pub connected: bool,
    /// Whether it gets no more because it wants to go.
    pub draining: bool,
    /// Requests that it has, of all gateways.
    pub requests: u32,
    /// Requests that it can work on at a time.
    pub sequences: u32,
    /// Tokens of prompts that it has yet to read.
    pub unread: u64,
    /// Tokens of prompts that it reads a second, as it says.
    pub reading: f64,
    /// How many times slower than that it was found to be.
    pub slowness: f64,
}

/// The balancer of a domain.
#[derive(Debug)]
pub struct Balancer {
    config: Config,
    nodes: BTreeMap<NodeId, Node>,
    pools: BTreeMap<PoolId, Pool>,
    services: BTreeMap<Service, PoolId>,
    pools_made: u64,
    requests: BTreeMap<RequestId, Request>,
    affinity: Affinity,
    budget: RetryBudget,
    /// Nodes that are out for errors or slowness.
    ejected: BTreeSet<NodeId>,
    /// How many times longer than predicted first tokens usually take.
    usual: f64,
    timers: BTreeSet<(Moment, Timer)>,
    counters: Counters,
    // Of the step that is going on:
    now: Moment,
    dice: Dice,
    effects: Vec<Effect>,
    /// Pools of nodes that may have got room.
    stirred: BTreeSet<PoolId>,
}

impl Balancer {
    /// Without nodes.
    pub fn new(config: Config) -> Self {
        Self {
            nodes: BTreeMap::new(),
            pools: BTreeMap::new(),
            services: BTreeMap::new(),
            pools_made: 0,
            requests: BTreeMap::new(),
            affinity: Affinity::new(config.blocks_max),
            budget: RetryBudget::new(config.retry_fraction),
            ejected: BTreeSet::new(),
            usual: 1.0,
            timers: BTreeSet::new(),
            counters: Counters::default(),
            now: Moment::default(),
            dice: Dice::new(0),
            effects: Vec::new(),
            stirred: BTreeSet::new(),
            config,
        }
    }

    /// Something happened: what is to be done, in this order. Events about what is not known (any more) are late and
    /// change nothing. `random` is a new random number each time.
    pub fn step(&mut self, now: Moment, random: u64, event: Event) -> Vec<Effect> {
        self.now = self.now.max(now);
        self.dice = Dice::new(random);
        // Before what is due: what is done never contradicts what was just told.
        self.take(event);
        self.fire_due();
        self.call_waiting();
        std::mem::take(&mut self.effects)
    }

    /// When to come with an [`Event::Tick`] at the latest.
    pub fn wake_at(&self) -> Option<Moment> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Requests that wait for a node.
    pub fn waiting(&self) -> usize {
        self.pools.values().map(|pool| pool.line.waiting()).sum()
    }

    /// What may be asked for: a service that a healthy node offers.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        let healthy = |pool: &PoolId| {
            self.pools
                .get(pool)
                .is_some_and(|pool| !pool.healthy.is_empty())
        };
        let served = self.services.iter().filter(move |(_, pool)| healthy(pool));
        served.map(|(service, _)| service)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView> {
        self.nodes.iter().map(|(id, node)| node.view(*id, self.now))
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Joined(node, offer) => self.join(node, offer),
            Event::Draining(node) => self.drain(node),
            Event::Left(node) => self.leave(node),
            Event::Connected(node) => self.connected(node),
            Event::ConnectionLost(node) => self.connection_lost(node),
            Event::Heartbeat(node, report) => self.heartbeat(node, report),
            Event::Probed { node, ok } => self.probed(node, ok),
            Event::Arrived(request, ask) => self.arrive(request, ask),
            Event::FirstByte(request, node) => self.first_byte(request, node),
            Event::Finished(request, node) => self.finished(request, node),
            Event::Failed(request, node, failure) => self.failed(request, node, failure),
            Event::Gone(request) => self.gone(request),
            Event::Tick => {}
        }
    }
}
