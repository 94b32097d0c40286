//! Attempts: a request at a node, from its sending to an answer, to another node, or to an error.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Balancer;
use super::requests::Request;
use super::timers::Timer;
use crate::pick::{Pick, Sight, Wanted};
use crate::{Effect, Failure, Moment, NodeId, Refusal, RequestId};

/// How much of the measured time of requests each new one leaves.
const TAKEN_KEPT: f64 = 0.95;

/// The shortest that a request is let go before a second node is asked.
const HEDGE_MIN: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub node: NodeId,
    sent: Moment,
    hedge_at: Option<Moment>,
    has_begun: bool,
}

impl Balancer {
    /// To the best node that has room: the caller has seen that there is one.
    pub(super) fn place(&mut self, id: RequestId) {
        let Some(pick) = self.pick(id) else {
            return;
        };
        if let Some(request) = self.requests.get(&id)
            && let Some(pool) = self.pools.get_mut(&request.pool)
        {
            pool.line.starts(request.key, request.weight);
            self.send(id, &pick);
        }
    }

    pub(super) fn pick(&mut self, id: RequestId) -> Option<Pick> {
        let request = self.requests.get(&id)?;
        let sight = Sight {
            now: self.now,
            room: &self.pools.get(&request.pool)?.room,
            nodes: &self.nodes,
            affinity: &self.affinity,
        };
        let wanted = Wanted {
            tokens: request.tokens,
            beginning: &request.beginning,
            tried: &request.tried,
        };
        let (pick, looked_at) = sight.pick(&mut self.dice, &wanted);
        self.counters.picks += 1;
        self.counters.looked_at += looked_at as u64;
        pick
    }

    fn send(&mut self, id: RequestId, pick: &Pick) {
        let (Some(request), Some(node)) =
            (self.requests.get_mut(&id), self.nodes.get_mut(&pick.node))
        else {
            return;
        };
        let hedge_at = self.config.hedge.map(|factor| {
            let after =
                Duration::from_secs_f64((pick.prediction.seconds * factor).clamp(0.0, 3_600.0));
            self.now + after.max(HEDGE_MIN)
        });
        request.tried.push(pick.node);
        request.attempts.push(Attempt {
            node: pick.node,
            sent: self.now,
            hedge_at,
            has_begun: false,
        });
        let beginning = request.beginning.clone();
        self.affinity.note(pick.node, &beginning);
        node.load
            .sent(self.now, id, beginning, pick.work, pick.prediction.expected);
        node.requests.insert(id);
        self.arm(
            self.now + self.config.first_byte_max,
            Timer::FirstByte(id, pick.node),
        );
        if let Some(at) = hedge_at {
            self.arm(at, Timer::Hedge(id, pick.node));
        }
        self.effects.push(Effect::Send(id, pick.node));
        self.refresh(pick.node);
    }

    /// A second node, if there is one with room.
    pub(super) fn hedge(&mut self, id: RequestId, node: NodeId) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let is_alone =
            request.attempts.len() == 1 && request.tried.len() < self.config.attempts_max;
        let has_room = self
            .pools
            .get(&request.pool)
            .is_some_and(|pool| !pool.room.is_empty());
        if !is_alone || !has_room || !self.has_pending(id, node) {
            return;
        }
        let pick = self.pick(id).filter(|pick| pick.node != node);
        if let Some(pick) = pick
            && self.budget.take()
        {
            self.counters.hedges += 1;
            self.send(id, &pick);
        }
    }

    pub(super) fn has_pending(&self, id: RequestId, node: NodeId) -> bool {
        self.requests.get(&id).is_some_and(|request| {
            let mut attempts = request.attempts.iter();
            attempts.any(|attempt| attempt.node == node && !attempt.has_begun)
        })
    }

    pub(super) fn first_byte(&mut self, id: RequestId, node: NodeId) {
        let Some(attempt) = self
            .requests
            .get_mut(&id)
            .and_then(|request| request.attempt(node))
        else {
            return;
        };
        if std::mem::replace(&mut attempt.has_begun, true) {
            return;
        }
        let attempt = *attempt;
        self.disarm_attempt(id, attempt);
        let load = self.nodes.get_mut(&node).map(|node| &mut node.load);
        let factor = load.and_then(|load| load.first_byte(self.now, id));
        self.hear(node);
        if let Some(factor) = factor {
            self.count_slowness(node, factor);
        }
        self.cancel_all_but(id, Some(node));
    }

    pub(super) fn finished(&mut self, id: RequestId, node: NodeId) {
        let Some(attempt) = self.end_attempt(id, node, true) else {
            return;
        };
        if let Some(request) = self.requests.get(&id)
            && let Some(pool) = self.pools.get_mut(&request.pool)
        {
            let taken = self.now.since(attempt.sent).as_secs_f64();
            pool.taken = pool.taken * TAKEN_KEPT + taken * (1.0 - TAKEN_KEPT);
        }
        self.cancel_all_but(id, None);
        self.count_success(node);
        self.end(id);
    }

    pub(super) fn failed(&mut self, id: RequestId, node: NodeId, failure: Failure) {
        let Some(attempt) = self.end_attempt(id, node, false) else {
            return;
        };
        match failure {
            Failure::Busy => self.say_full(node),
            Failure::Error | Failure::Broken => self.count_failure(node),
        }
        self.go_on(id, attempt, true);
    }

    fn say_full(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.load.full();
        }
        self.refresh(id);
    }

    /// The connection to the node is gone.
    pub(super) fn lost(&mut self, id: RequestId, node: NodeId) {
        if let Some(attempt) = self.end_attempt(id, node, false) {
            if attempt.has_begun {
                self.effects.push(Effect::Break(id, node));
            }
            self.go_on(id, attempt, false);
        }
    }

    /// What has no first byte goes away from a node that is silent.
    pub(super) fn move_pending(&mut self, node: NodeId) {
        let Some(requests) = self.nodes.get(&node).map(|node| node.requests.clone()) else {
            return;
        };
        for id in requests {
            if self.has_pending(id, node)
                && let Some(attempt) = self.end_attempt(id, node, false)
            {
                self.effects.push(Effect::Cancel(id, node));
                self.go_on(id, attempt, false);
            }
        }
    }

    /// An attempt failed: another, or no.
    fn go_on(&mut self, id: RequestId, failed: Attempt, is_from_budget: bool) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        if failed.has_begun {
            return self.end(id);
        }
        if !request.attempts.is_empty() {
            return;
        }
        if self.may_go_on(request) && (!is_from_budget || self.budget.take()) {
            self.counters.retries += 1;
            return self.come_back(id);
        }
        let attempts = request.tried.len();
        self.refuse(id, Refusal::Failed { attempts });
        self.end(id);
    }

    fn may_go_on(&self, request: &Request) -> bool {
        let Some(pool) = self.pools.get(&request.pool) else {
            return false;
        };
        let tried: BTreeSet<_> = request.tried.iter().copied().collect();
        let failed = tried
            .into_iter()
            .filter(|node| pool.healthy.contains(*node));
        // Who was lost with the last node may wait for one to come back; an error of the last node is final.
        let is_other_there = pool.healthy.len() > failed.count() || pool.healthy.is_empty();
        request.tried.len() < self.config.attempts_max && is_other_there
    }

    pub(super) fn cancel_all_but(&mut self, id: RequestId, kept: Option<NodeId>) {
        let attempts = self
            .requests
            .get(&id)
            .map(|request| request.attempts.clone());
        let others = attempts.unwrap_or_default().into_iter();
        for attempt in others.filter(|attempt| Some(attempt.node) != kept) {
            self.effects.push(Effect::Cancel(id, attempt.node));
            self.end_attempt(id, attempt.node, false);
        }
    }

    /// The node has this no more.
    fn end_attempt(
        &mut self,
        id: RequestId,
        node_id: NodeId,
        is_answered: bool,
    ) -> Option<Attempt> {
        let request = self.requests.get_mut(&id)?;
        let attempt = *request.attempt(node_id)?;
        request.attempts.retain(|attempt| attempt.node != node_id);
        self.disarm_attempt(id, attempt);
        if let Some(node) = self.nodes.get_mut(&node_id) {
            let taken = is_answered.then(|| self.now.since(attempt.sent).as_secs_f64());
            if node.requests.remove(&id) {
                node.load.ended(self.now, id, taken);
                self.say_if_drained(node_id);
            }
        }
        self.refresh(node_id);
        Some(attempt)
    }

    fn disarm_attempt(&mut self, id: RequestId, attempt: Attempt) {
        self.disarm(
            attempt.sent + self.config.first_byte_max,
            Timer::FirstByte(id, attempt.node),
        );
        if let Some(at) = attempt.hedge_at {
            self.disarm(at, Timer::Hedge(id, attempt.node));
        }
    }
}
