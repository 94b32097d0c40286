//! What is compared: the balancer, and what others do.
//!
//! The others are not made worse than they are: they, too, leave out nodes whose connection is lost, and send again
//! elsewhere what had no first byte.

use std::collections::{BTreeMap, BTreeSet};

use gaia_balancer::{Ask, Balancer, Effect, Event, Moment, NodeId, RequestId};

use crate::chance::{Chance, mixed};

pub trait Policy {
    fn step(&mut self, now: Moment, random: u64, event: Event) -> Vec<Effect>;
    fn wake_at(&self) -> Option<Moment>;
    /// Whether a node that says nothing is found out; else somebody has to tell.
    fn listens(&self) -> bool;
}

impl Policy for Balancer {
    fn step(&mut self, now: Moment, random: u64, event: Event) -> Vec<Effect> {
        Balancer::step(self, now, random, event)
    }

    fn wake_at(&self) -> Option<Moment> {
        Balancer::wake_at(self)
    }

    fn listens(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Random,
    RoundRobin,
    /// The fewest requests.
    LeastConnections,
    /// Of two drawn, the one with fewer tokens to read and streams to write.
    TwoChoices,
    /// A ring of hashes; past a quarter more than the mean the next node on the ring.
    ConsistentHash,
}

#[derive(Debug, Default)]
struct Given {
    requests: BTreeMap<RequestId, bool>,
    unread: u64,
}

pub struct Others {
    rule: Rule,
    turn: usize,
    up: Vec<NodeId>,
    given: BTreeMap<NodeId, Given>,
    asks: BTreeMap<RequestId, Ask>,
    ring: BTreeMap<u64, NodeId>,
    held: BTreeSet<RequestId>,
}

/// Places of a node on the ring.
const RING: u64 = 100;

/// Tokens to read that a stream which writes counts for.
const STREAM: u64 = 20;

impl Others {
    pub fn new(rule: Rule) -> Self {
        Self {
            rule,
            turn: 0,
            up: Vec::new(),
            given: BTreeMap::new(),
            asks: BTreeMap::new(),
            ring: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    fn set_up(&mut self, node: NodeId, is_up: bool) {
        self.up.retain(|other| *other != node);
        for place in 0..RING {
            let at = mixed(node.0 * RING + place + 1);
            self.ring.remove(&at);
            if is_up {
                self.ring.insert(at, node);
            }
        }
        if is_up {
            self.up.push(node);
            self.given.entry(node).or_default();
        }
    }

    fn requests(&self, node: NodeId) -> usize {
        self.given[&node].requests.len()
    }

    fn load(&self, node: NodeId) -> u64 {
        let given = &self.given[&node];
        given.unread + STREAM * given.requests.len() as u64
    }

    fn choose(&mut self, chance: &mut Chance, request: RequestId) -> Option<NodeId> {
        let mut draw = || {
            self.up
                .get(chance.below(self.up.len().max(1) as u64) as usize)
                .copied()
        };
        match self.rule {
            Rule::Random => draw(),
            Rule::RoundRobin => {
                self.turn += 1;
                self.up.get(self.turn % self.up.len().max(1)).copied()
            }
            Rule::LeastConnections => {
                let start = chance.below(self.up.len().max(1) as u64) as usize;
                let nodes = self.up[start..].iter().chain(&self.up[..start]);
                nodes.min_by_key(|node| self.requests(**node)).copied()
            }
            Rule::TwoChoices => {
                let (one, other) = (draw()?, draw()?);
                Some(if self.load(one) <= self.load(other) {
                    one
                } else {
                    other
                })
            }
            Rule::ConsistentHash => self.on_ring(request),
        }
    }

    fn on_ring(&self, request: RequestId) -> Option<NodeId> {
        // What belongs together is the key here: the prefix or the conversation, which a gateway would have to know.
        let at = mixed(self.asks.get(&request)?.key.0);
        let all: usize = self.up.iter().map(|node| self.requests(*node)).sum();
        let most = ((all + 1) as f64 * 1.25 / self.up.len() as f64).ceil() as usize;
        let mut nodes = self.ring.range(at..).chain(self.ring.range(..at));
        nodes
            .find(|(_, node)| self.requests(**node) < most)
            .map(|(_, node)| *node)
    }

    fn send(&mut self, chance: &mut Chance, request: RequestId) -> Vec<Effect> {
        let Some(node) = self.choose(chance, request) else {
            self.held.insert(request);
            return Vec::new();
        };
        let tokens = u64::from(self.asks[&request].tokens);
        let given = self.given.get_mut(&node).unwrap();
        given.requests.insert(request, false);
        given.unread += tokens;
        vec![Effect::Send(request, node)]
    }

    fn first_byte(&mut self, request: RequestId, node: NodeId) {
        let tokens = u64::from(self.asks[&request].tokens);
        let given = self.given.get_mut(&node).unwrap();
        if let Some(begun @ false) = given.requests.get_mut(&request) {
            *begun = true;
            given.unread -= tokens;
        }
    }

    fn lose(&mut self, chance: &mut Chance, node: NodeId) -> Vec<Effect> {
        self.set_up(node, false);
        let given = self
            .given
            .insert(node, Given::default())
            .unwrap_or_default();
        let lost = given.requests.into_iter();
        lost.flat_map(|(request, begun)| match begun {
            true => vec![Effect::Break(request, node)],
            false => self.send(chance, request),
        })
        .collect()
    }
}

impl Policy for Others {
    fn step(&mut self, _: Moment, random: u64, event: Event) -> Vec<Effect> {
        let chance = &mut Chance::new(random);
        match event {
            Event::Joined(node, _) | Event::Connected(node) => {
                self.set_up(node, true);
                let held = std::mem::take(&mut self.held).into_iter();
                held.flat_map(|request| self.send(chance, request))
                    .collect()
            }
            Event::Draining(node) => {
                self.up.retain(|other| *other != node);
                self.ring.retain(|_, other| *other != node);
                vec![]
            }
            Event::Left(node) | Event::ConnectionLost(node) => self.lose(chance, node),
            Event::Arrived(request, ask) => {
                self.asks.insert(request, ask);
                self.send(chance, request)
            }
            Event::FirstByte(request, node) => {
                self.first_byte(request, node);
                vec![]
            }
            Event::Finished(request, node) => {
                self.first_byte(request, node);
                self.given.get_mut(&node).unwrap().requests.remove(&request);
                vec![]
            }
            Event::Failed(request, node, _) => {
                self.first_byte(request, node);
                let given = self.given.get_mut(&node).unwrap();
                given.requests.remove(&request);
                self.send(chance, request)
            }
            Event::Heartbeat(..) | Event::Probed { .. } | Event::Gone(_) | Event::Tick => vec![],
        }
    }

    fn wake_at(&self) -> Option<Moment> {
        None
    }

    fn listens(&self) -> bool {
        false
    }
}
