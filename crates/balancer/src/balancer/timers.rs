//! What happens because time went by.

use crate::{Balancer, Effect, Failure, Moment, NodeId, RequestId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A request has waited long enough for a node.
    Deadline(RequestId),
    /// A node has had long enough for a first byte.
    FirstByte(RequestId, NodeId),
    /// A node takes so long that a second one is asked.
    Hedge(RequestId, NodeId),
    /// It is time to ask whether a node was heard of.
    Silence(NodeId),
    /// A node that is out may be probed, or has not answered its probe.
    Probe(NodeId),
    /// A node that begins may have more at a time.
    Start(NodeId),
}

/// In how many pieces a slow start goes up.
pub(super) const START_PIECES: u32 = 8;

impl Balancer {
    pub(super) fn arm(&mut self, at: Moment, timer: Timer) {
        self.timers.insert((at, timer));
    }

    pub(super) fn disarm(&mut self, at: Moment, timer: Timer) {
        self.timers.remove(&(at, timer));
    }

    pub(super) fn fire_due(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            self.fire(at, timer);
        }
    }

    fn fire(&mut self, at: Moment, timer: Timer) {
        match timer {
            Timer::Deadline(request) => self.waited_too_long(request),
            Timer::FirstByte(request, node) => self.took_too_long(request, node),
            Timer::Hedge(request, node) => self.hedge(request, node),
            Timer::Silence(node) => self.listen(node, at),
            Timer::Probe(node) => self.probe(node),
            Timer::Start(node) => self.start_on(node),
        }
    }

    fn took_too_long(&mut self, request: RequestId, node: NodeId) {
        if self.has_pending(request, node) {
            self.effects.push(Effect::Cancel(request, node));
            self.failed(request, node, Failure::Error);
        }
    }
}
