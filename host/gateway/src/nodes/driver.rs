//! Steps of the balancer: with an event, or because the time has come.

use std::convert::Infallible;
use std::time::Duration;

use gaia_balancer::{Effect, Event, NodeId};

use super::{Nodes, Table, Word};

/// How long the balancer is left alone where nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(60);

impl Nodes {
    /// Wakes the balancer when it wants to be.
    pub(crate) async fn keep(self) -> Infallible {
        loop {
            let wake_at = self.lock().balancer.wake_at();
            let now = self.now();
            let wait = wake_at.map_or(SLEEP_MAX, |at| at.since(now).min(SLEEP_MAX));
            tokio::select! {
                () = tokio::time::sleep(wait) => self.step(&mut self.lock(), Event::Tick),
                () = self.0.sooner.notified() => {}
            }
        }
    }

    /// One event, and what comes of it.
    pub(super) fn step(&self, table: &mut Table, event: Event) {
        let before = table.balancer.wake_at();
        let random = table.random();
        let effects = table.balancer.step(self.now(), random, event);
        for effect in effects {
            self.carry_out(table, effect);
        }
        let after = table.balancer.wake_at();
        if after.is_some() && (before.is_none() || after < before) {
            self.0.sooner.notify_one();
        }
    }

    fn carry_out(&self, table: &mut Table, effect: Effect) {
        match effect {
            Effect::Send(request, node) => table.say(request, Word::Send(node)),
            Effect::Cancel(request, node) => table.say(request, Word::Cancel(node)),
            Effect::Break(request, node) => table.say(request, Word::Break(node)),
            Effect::Refuse(request, refusal) => table.say(request, Word::Refuse(refusal)),
            Effect::Probe(node) => self.probe(table, node),
            Effect::Drained(node) => {
                if let Some(node) = table.nodes.get(&node) {
                    self.0.prober.drained(node.info.address);
                }
            }
        }
    }

    fn probe(&self, table: &Table, id: NodeId) {
        let Some(node) = table.nodes.get(&id) else {
            return;
        };
        let (info, channel) = (node.info.clone(), node.channel.clone());
        let nodes = self.clone();
        // At most one of each node: the balancer waits for what comes of it.
        tokio::spawn(async move {
            let ok = match channel {
                Some(channel) => nodes.0.prober.probe(info, channel).await,
                None => false,
            };
            nodes.step(&mut nodes.lock(), Event::Probed { node: id, ok });
        });
    }
}

impl Table {
    fn say(&mut self, request: gaia_balancer::RequestId, word: Word) {
        if let Some(mailbox) = self.mailboxes.get(&request)
            && let Err(error) = mailbox.try_send(word)
        {
            // Its reader is gone, and will say so.
            tracing::debug!(%error, "a request did not hear what became of it");
        }
    }

    /// SplitMix64: good enough to choose by, and no system call.
    fn random(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
