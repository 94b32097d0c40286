//! Nodes: who is there, who is well, who has room.

use std::collections::BTreeSet;
use std::time::Duration;

use super::timers::{START_PIECES, Timer};
use super::{Balancer, NodeView, PoolId};
use crate::bag::Bag;
use crate::breaker::{Breaker, Health};
use crate::event::SERVICES_PER_NODE_MAX;
use crate::line::Line;
use crate::load::Load;
use crate::{Config, Effect, Moment, NodeId, Offer, Report, RequestId, Service};

/// Seconds of predictions that have to be measured before a node is called slow.
const MEASURED_MIN: f64 = 1.0;

/// If the balancer itself is woken so late, it is no wonder that it has heard nothing: it listens once more.
const LATE_MAX: Duration = Duration::from_millis(200);

/// How much of what is usual one measurement changes.
const USUAL_NEWEST: f64 = 0.02;

/// The nodes of one service, and those who wait for them.
#[derive(Debug)]
pub(super) struct Pool {
    pub service: Service,
    members: usize,
    /// Those that get requests.
    pub healthy: Bag,
    /// Of them, those that have room for one.
    pub room: Bag,
    pub line: Line,
    /// Seconds that a request takes.
    pub taken: f64,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub load: Load,
    breaker: Breaker,
    is_connected: bool,
    is_draining: bool,
    /// When the probe was asked for that is not answered.
    probed: Option<Moment>,
    is_listened_to: bool,
    heard: Moment,
    pools: Vec<PoolId>,
    /// What it has of this gateway.
    pub(super) requests: BTreeSet<RequestId>,
}

impl Node {
    fn new(now: Moment, offer: &Offer, config: &Config) -> Self {
        Self {
            load: Load::new(now, offer, config),
            breaker: Breaker::new(now),
            is_connected: true,
            is_draining: false,
            probed: None,
            is_listened_to: false,
            heard: now,
            pools: Vec::new(),
            requests: BTreeSet::new(),
        }
    }

    fn is_healthy(&self) -> bool {
        self.is_connected && !self.is_draining && self.breaker.health() != Health::Open
    }

    fn has_room(&self, now: Moment, config: &Config) -> bool {
        let places = self.breaker.places(now, self.load.sequences, config);
        let ahead = match places >= self.load.sequences {
            true => (f64::from(places) * config.ahead) as u32,
            false => 0,
        };
        self.is_healthy() && self.load.requests() < places + ahead
    }

    pub(super) fn view(&self, node: NodeId, now: Moment) -> NodeView {
        let (unread, foreign) = self.load.unread_at(now);
        NodeView {
            node,
            health: self.breaker.health(),
            connected: self.is_connected,
            draining: self.is_draining,
            requests: self.load.requests(),
            sequences: self.load.sequences,
            unread: (unread + foreign) as u64,
            reading: self.load.reading(),
            slowness: self.load.slowness(now),
        }
    }
}

impl Balancer {
    pub(super) fn join(&mut self, id: NodeId, offer: Offer) {
        match self.nodes.get_mut(&id) {
            Some(node) => {
                node.load.offer(&offer);
                node.is_draining = false;
                self.leave_pools(id);
            }
            None => {
                let node = Node::new(self.now, &offer, &self.config);
                self.nodes.insert(id, node);
                self.start_on(id);
            }
        }
        let services = offer.services.into_iter().take(SERVICES_PER_NODE_MAX);
        let pools: BTreeSet<PoolId> = services.map(|service| self.pool_of(service)).collect();
        for pool in &pools {
            if let Some(pool) = self.pools.get_mut(pool) {
                pool.members += 1;
            }
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.pools = pools.into_iter().collect();
        }
        self.connected(id);
    }

    fn pool_of(&mut self, service: Service) -> PoolId {
        if let Some(pool) = self.services.get(&service) {
            return *pool;
        }
        let id = PoolId(self.pools_made);
        self.pools_made += 1;
        let pool = Pool {
            service: service.clone(),
            members: 0,
            healthy: Bag::default(),
            room: Bag::default(),
            line: Line::new(self.config.waiting_max),
            taken: 1.0,
        };
        self.pools.insert(id, pool);
        self.services.insert(service, id);
        id
    }

    fn leave_pools(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        for pool_id in std::mem::take(&mut node.pools) {
            if let Some(pool) = self.pools.get_mut(&pool_id) {
                pool.members -= 1;
                pool.healthy.set(id, false);
                pool.room.set(id, false);
            }
            self.drop_if_unused(pool_id);
        }
    }

    /// A service that no node offers is forgotten, once nobody waits for it.
    pub(super) fn drop_if_unused(&mut self, id: PoolId) {
        let is_unused = |pool: &Pool| pool.members == 0 && pool.line.is_unused();
        if self.pools.get(&id).is_some_and(is_unused)
            && let Some(pool) = self.pools.remove(&id)
        {
            self.services.remove(&pool.service);
        }
    }

    /// Says to the pools of a node whether it is well and has room.
    pub(super) fn refresh(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let (is_healthy, has_room) = (node.is_healthy(), node.has_room(self.now, &self.config));
        for pool_id in &node.pools {
            if let Some(pool) = self.pools.get_mut(pool_id) {
                pool.healthy.set(id, is_healthy);
                pool.room.set(id, has_room);
                if has_room && pool.line.waiting() > 0 {
                    self.stirred.insert(*pool_id);
                }
            }
        }
    }

    /// To be asked when a node begins to drain, and whenever it has done something.
    pub(super) fn say_if_drained(&mut self, id: NodeId) {
        let node = self.nodes.get(&id);
        if node.is_some_and(|node| node.is_draining && node.requests.is_empty()) {
            self.effects.push(Effect::Drained(id));
        }
    }

    pub(super) fn drain(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_draining = true;
            self.refresh(id);
            self.say_if_drained(id);
        }
    }

    pub(super) fn leave(&mut self, id: NodeId) {
        self.leave_pools(id);
        self.lose_requests(id);
        self.nodes.remove(&id);
        self.ejected.remove(&id);
    }

    pub(super) fn connected(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.is_connected = true;
        node.probed = None;
        self.hear(id);
        self.arm_probe(id);
        self.refresh(id);
    }

    pub(super) fn connection_lost(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut node.is_connected, false) {
            return;
        }
        node.breaker.eject(self.now, &self.config);
        self.counters.ejections += 1;
        self.refresh(id);
        self.lose_requests(id);
    }

    /// The node has nothing of what it had.
    fn lose_requests(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.load.clear();
        for request in std::mem::take(&mut node.requests) {
            self.lost(request, id);
        }
    }

    pub(super) fn heartbeat(&mut self, id: NodeId, report: Option<Report>) {
        if let (Some(node), Some(report)) = (self.nodes.get_mut(&id), report) {
            node.load.report(self.now, &report);
        }
        self.hear(id);
        self.refresh(id);
    }

    pub(super) fn hear(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.heard = self.now;
        if !std::mem::replace(&mut node.is_listened_to, true) {
            self.arm(self.now + self.config.silence_max, Timer::Silence(id));
        }
    }

    /// A node that is silent is out. Who has its first byte may go on reading; the others go elsewhere.
    pub(super) fn listen(&mut self, id: NodeId, due: Moment) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let silent_at = match self.now.since(due) {
            late if late > LATE_MAX => self.now + self.config.silence_max,
            _ => node.heard + self.config.silence_max,
        };
        if silent_at > self.now {
            return self.arm(silent_at, Timer::Silence(id));
        }
        node.is_listened_to = false;
        if node.is_connected && node.breaker.health() != Health::Open {
            self.eject(id);
        }
        self.move_pending(id);
    }

    /// What failed at a node counts against it; too much of it ejects it.
    pub(super) fn count_failure(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.breaker.failed(self.now, &self.config) {
            self.eject_for_cause(id);
        }
        self.refresh(id);
    }

    pub(super) fn count_success(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let was = node.breaker.health();
        node.breaker.succeeded(self.now);
        if was == Health::Trial && node.breaker.health() == Health::Closed {
            self.start_on(id);
        }
        self.hear(id);
        self.refresh(id);
    }

    /// A first token came so many times later than predicted.
    pub(super) fn count_slowness(&mut self, id: NodeId, factor: f64) {
        let limit = self.usual * self.config.slowness_max;
        self.usual += (factor.min(limit) - self.usual) * USUAL_NEWEST;
        let is_slow = self.nodes.get(&id).is_some_and(|node| {
            node.breaker.health() == Health::Closed
                && node.load.measured() >= MEASURED_MIN
                && node.load.slowness(self.now) > limit
        });
        if is_slow {
            self.eject_for_cause(id);
        }
    }

    /// Out, unless too many are; then it is better to go on trying. A node on trial goes back in any case.
    fn eject_for_cause(&mut self, id: NodeId) {
        let others = self
            .ejected
            .iter()
            .filter(|ejected| **ejected != id)
            .count();
        let most = self.nodes.len() as f64 * self.config.ejected_fraction_max;
        if (others + 1) as f64 <= most {
            self.ejected.insert(id);
            self.eject(id);
        }
    }

    fn eject(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.breaker.eject(self.now, &self.config);
            self.counters.ejections += 1;
            self.arm_probe(id);
            self.refresh(id);
        }
    }

    fn arm_probe(&mut self, id: NodeId) {
        let probe_at = self.nodes.get(&id).and_then(|node| node.breaker.probe_at());
        if let Some(at) = probe_at {
            self.arm(at.max(self.now), Timer::Probe(id));
        }
    }

    /// It is time to probe; or the last probe was never answered.
    pub(super) fn probe(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_connected) else {
            return;
        };
        let is_due = node.breaker.probe_at().is_some_and(|at| at <= self.now);
        let patience = self.config.first_byte_max;
        match node.probed {
            Some(asked) if self.now.since(asked) >= patience => self.probed(id, false),
            None if is_due => {
                node.probed = Some(self.now);
                self.effects.push(Effect::Probe(id));
                self.arm(self.now + patience, Timer::Probe(id));
            }
            _ => {}
        }
    }

    pub(super) fn probed(&mut self, id: NodeId, ok: bool) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_connected) else {
            return;
        };
        node.probed = None;
        match (node.breaker.probe_at(), ok) {
            // Out for as long as it was said, whatever an earlier probe found.
            (Some(at), _) if at > self.now => return,
            (Some(_), _) => {
                node.breaker.probed(self.now, ok, &self.config);
                self.arm_probe(id);
            }
            (None, true) => self.count_success(id),
            (None, false) => self.count_failure(id),
        }
        if ok {
            self.ejected.remove(&id);
            self.hear(id);
        }
        self.refresh(id);
    }

    /// A node that begins may have more at a time with each piece of its slow start.
    pub(super) fn start_on(&mut self, id: NodeId) {
        let node = self.nodes.get(&id);
        if node.is_some_and(|node| node.breaker.is_starting(self.now, &self.config)) {
            let piece = self.config.slow_start / START_PIECES;
            self.arm(self.now + piece, Timer::Start(id));
        }
        self.refresh(id);
    }
}
