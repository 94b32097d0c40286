//! Requests: from their arrival to a node, or through the line, or away.

use std::time::Duration;

use super::attempts::Attempt;
use super::nodes::Pool;
use super::timers::Timer;
use super::{Balancer, PoolId};
use crate::line::Arrival;
use crate::{Ask, Beginning, Effect, KeyId, Moment, NodeId, Refusal, RequestId};

/// Less of a prompt is not worth passing others for.
const KNOWN_LEAST: f64 = 0.25;

#[derive(Debug)]
pub(super) struct Request {
    pub pool: PoolId,
    pub key: KeyId,
    pub weight: u16,
    pub tokens: f64,
    pub beginning: Beginning,
    /// It waits for a node, until then.
    waits_until: Option<Moment>,
    /// How long it may wait from now on, if it has to.
    wait_left: Duration,
    /// With a node now: one, or two when hedged.
    pub attempts: Vec<Attempt>,
    /// All nodes that it was sent to.
    pub tried: Vec<NodeId>,
}

impl Request {
    pub fn attempt(&mut self, node: NodeId) -> Option<&mut Attempt> {
        let mut attempts = self.attempts.iter_mut();
        attempts.find(|attempt| attempt.node == node)
    }
}

impl Balancer {
    pub(super) fn arrive(&mut self, id: RequestId, ask: Ask) {
        self.budget.earn();
        let found = self.services.get(&ask.service).copied();
        let Some((pool_id, pool)) = found.and_then(|id| Some((id, self.pools.get_mut(&id)?)))
        else {
            return self.refuse(id, Refusal::NotServed);
        };
        if self.requests.contains_key(&id) {
            return;
        }
        if pool.healthy.is_empty() {
            let retry_after = self.config.eject_min;
            return self.refuse(id, Refusal::NoneHealthy { retry_after });
        }
        let has_room = !pool.room.is_empty();
        let request = Request {
            pool: pool_id,
            key: ask.key,
            weight: ask.weight,
            tokens: f64::from(ask.tokens.max(1)),
            beginning: ask.beginning,
            waits_until: None,
            wait_left: self.config.wait_max,
            attempts: Vec::new(),
            tried: Vec::new(),
        };
        self.requests.insert(id, request);
        match has_room {
            true => self.place(id),
            false => self.line_up(id),
        }
    }

    /// No node has room: it waits, if that will not be too long.
    fn line_up(&mut self, id: RequestId) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let (pool_id, key, weight) = (request.pool, request.key, request.weight);
        let retry_after = self.wait_of(pool_id, key);
        let Some(pool) = self.pools.get_mut(&pool_id) else {
            return;
        };
        let arrival = match retry_after > self.config.wait_max {
            true => Arrival::Full,
            false => pool.line.arrive(key, weight, id),
        };
        match arrival {
            Arrival::Full => return self.dismiss(id, Refusal::Busy { retry_after }),
            Arrival::Displaces(other) => self.dismiss(other, Refusal::Busy { retry_after }),
            Arrival::Waits => {}
        }
        self.wait(id);
    }

    fn wait(&mut self, id: RequestId) {
        if let Some(request) = self.requests.get_mut(&id) {
            let until = self.now + request.wait_left;
            request.waits_until = Some(until);
            self.arm(until, Timer::Deadline(id));
        }
    }

    fn wait_no_more(&mut self, id: RequestId) {
        if let Some(request) = self.requests.get_mut(&id)
            && let Some(until) = request.waits_until.take()
        {
            request.wait_left = until.since(self.now);
            self.disarm(until, Timer::Deadline(id));
        }
    }

    /// How long one of this key would wait now, about.
    fn wait_of(&self, pool: PoolId, key: KeyId) -> Duration {
        let seconds = self.pools.get(&pool).map_or(0.0, |pool| {
            let before = pool.line.before(key) + 1;
            // Other services may have the places: each node has one at least.
            let places = pool.line.running().max(pool.healthy.len()).max(1);
            before as f64 * pool.taken / places as f64
        });
        Duration::from_secs_f64(seconds.clamp(0.0, 3_600.0))
    }

    /// Those whose turn has come go to the nodes that got room.
    pub(super) fn call_waiting(&mut self) {
        while let Some(pool) = self.next_pool() {
            if let Some(id) = self.next_of(pool) {
                self.wait_no_more(id);
                self.place(id);
            }
        }
    }

    /// Services share nodes: the one whose next request has waited longest.
    fn next_pool(&mut self) -> Option<PoolId> {
        let pools = &self.pools;
        let can_call = |pool: &Pool| !pool.room.is_empty() && pool.line.waiting() > 0;
        self.stirred
            .retain(|id| pools.get(id).is_some_and(can_call));
        let next = self.stirred.iter().min_by_key(|id| self.next_until(**id));
        next.copied()
    }

    fn next_until(&self, pool: PoolId) -> Option<Moment> {
        let (_, id) = *self.pools.get(&pool)?.line.next().first()?;
        self.requests.get(&id)?.waits_until
    }

    /// Who is near his turn and has most of his prompt read where there is room. When all nodes are busy, room is at
    /// one node at a time: whoever came first would be read anew there.
    fn next_of(&mut self, pool_id: PoolId) -> Option<RequestId> {
        let next = self.pools.get(&pool_id)?.line.next();
        let (mut best, mut most) = (*next.first()?, KNOWN_LEAST);
        if next.len() > 1 {
            for (key, id) in next {
                let known = self.known(id);
                if known > most {
                    (best, most) = ((key, id), known);
                }
            }
        }
        let (key, id) = best;
        self.pools.get_mut(&pool_id)?.line.call(key, id);
        Some(id)
    }

    /// Which part of the prompt the node would have read that it would be sent to now.
    fn known(&mut self, id: RequestId) -> f64 {
        let tokens = self.requests.get(&id).map_or(1.0, |request| request.tokens);
        self.pick(id).map_or(0.0, |pick| 1.0 - pick.work / tokens)
    }

    pub(super) fn come_back(&mut self, id: RequestId) {
        if let Some(request) = self.requests.get(&id)
            && let Some(pool) = self.pools.get_mut(&request.pool)
        {
            pool.line.come_back(request.key, id);
            pool.line.ends(request.key);
            self.stirred.insert(request.pool);
            self.wait(id);
        }
    }

    pub(super) fn gone(&mut self, id: RequestId) {
        match self.waits(id) {
            true => self.leave_line(id),
            false => {
                self.cancel_all_but(id, None);
                self.end(id);
            }
        }
    }

    fn waits(&self, id: RequestId) -> bool {
        let request = self.requests.get(&id);
        request.is_some_and(|request| request.waits_until.is_some())
    }

    pub(super) fn waited_too_long(&mut self, id: RequestId) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let retry_after = self.wait_of(request.pool, request.key);
        let refusal = match request.tried.len() {
            0 => Refusal::Busy { retry_after },
            attempts => Refusal::Failed { attempts },
        };
        self.refuse(id, refusal);
        self.leave_line(id);
    }

    /// It is not in the line, or not any more.
    fn dismiss(&mut self, id: RequestId, refusal: Refusal) {
        self.wait_no_more(id);
        self.requests.remove(&id);
        self.refuse(id, refusal);
    }

    pub(super) fn refuse(&mut self, id: RequestId, refusal: Refusal) {
        self.counters.refused += 1;
        self.effects.push(Effect::Refuse(id, refusal));
    }

    fn leave_line(&mut self, id: RequestId) {
        self.wait_no_more(id);
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        if let Some(pool) = self.pools.get_mut(&request.pool) {
            pool.line.leave(request.key, id);
        }
        self.drop_if_unused(request.pool);
    }

    /// A request that had a place gives it back.
    pub(super) fn end(&mut self, id: RequestId) {
        let Some(request) = self.requests.remove(&id) else {
            return;
        };
        if let Some(pool) = self.pools.get_mut(&request.pool) {
            pool.line.ends(request.key);
        }
        self.drop_if_unused(request.pool);
    }
}
