//! A gateway, its nodes and what is between them: a queue of what happens next, and the time it happens at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gaia_balancer::{
    Ask, Effect, Event, KeyId, Moment, NodeId, Offer, Refusal, Report, RequestId, Service,
};

use crate::chance::Chance;
use crate::engine::{Engine, Output, READING, SEQUENCES, Segment};
use crate::policies::Policy;
use crate::workload::{Conversation, Workload};

/// Seconds between gateway and node.
const WAY: f64 = 0.002;
const BEAT: f64 = 0.3;
/// A node that says nothing, or errors only, is found out by others than us after this.
const FOUND_OUT: f64 = 0.9;
const PROBE: f64 = 0.1;
/// Seconds after the last arrival in which everything has to come to an end.
const REST: f64 = 600.0;

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Join,
    Drain,
    /// Its process ends, and its connection with it.
    Crash,
    /// It says nothing any more, and its connection stays.
    Freeze,
    Unlink,
    /// A crashed or unlinked node is back; what it had read is gone only after a crash.
    Return,
    /// Everything takes so many times longer.
    Slow(f64),
    /// The process answers every request with an error.
    Err(bool),
}

enum Happening {
    Ask(Box<Conversation>),
    AtNode(usize, u64, u64),
    Cancelled(usize, u64, u64),
    StepEnd(usize, u64),
    FromNode(usize, u64, Event, u32),
    Beat(usize),
    Fault(usize, Fault),
    Tell(Event),
    Wake,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Open,
    Done,
    Refused(Refusal),
    Broken,
}

pub struct Record {
    pub arrived: f64,
    pub sent: Option<f64>,
    pub first: Option<f64>,
    pub ended: f64,
    pub outcome: Outcome,
    pub tokens: u32,
    pub read: u32,
    pub sends: u32,
    conversation: Conversation,
    segments: Arc<[Segment]>,
    to_write: u32,
}

pub struct Node {
    engine: Engine,
    /// Counts its connections: what comes from an older one is lost.
    link: u64,
    is_linked: bool,
    is_frozen: bool,
    errs: bool,
    pub sent: u64,
    pub last_sent: f64,
}

pub struct World<'a> {
    policy: &'a mut dyn Policy,
    chance: Chance,
    pub now: f64,
    queue: BTreeMap<(u64, u64), Happening>,
    order: u64,
    wake: Option<u64>,
    pub nodes: Vec<Node>,
    pub records: Vec<Record>,
    open: usize,
    think: f64,
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

pub fn service() -> Service {
    Service {
        model: "m".to_owned(),
        knowledge: None,
    }
}

impl<'a> World<'a> {
    pub fn new(policy: &'a mut dyn Policy, seed: u64, nodes: usize, workload: &Workload) -> Self {
        let mut world = Self {
            policy,
            chance: Chance::new(seed),
            now: 0.0,
            queue: BTreeMap::new(),
            order: 0,
            wake: None,
            nodes: Vec::new(),
            records: Vec::new(),
            open: 0,
            think: 10.0,
        };
        for node in 0..nodes {
            world.fault(0.0, node, Fault::Join);
        }
        for (at, conversation) in workload.conversations(&mut Chance::new(seed ^ 1)) {
            // Nodes are through with their slow start.
            world.put(at + 10.0, Happening::Ask(Box::new(conversation)));
            world.open += 1;
        }
        world
    }

    pub fn fault(&mut self, at: f64, node: usize, fault: Fault) {
        while self.nodes.len() <= node {
            self.nodes.push(Node {
                engine: Engine::new(),
                link: 0,
                is_linked: false,
                is_frozen: false,
                errs: false,
                sent: 0,
                last_sent: 0.0,
            });
        }
        self.put(at, Happening::Fault(node, fault));
    }

    fn put(&mut self, at: f64, happening: Happening) {
        self.order += 1;
        self.queue.insert((micros(at), self.order), happening);
    }

    pub fn run(&mut self) {
        let mut last = 0.0;
        while self.open > 0 {
            let ((at, _), happening) = self.queue.pop_first().unwrap();
            self.now = at as f64 / 1e6;
            if matches!(happening, Happening::Ask(_)) {
                last = self.now;
            }
            assert!(
                self.now < last + REST,
                "{} requests come to no end",
                self.open
            );
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Ask(conversation) => self.ask(*conversation),
            Happening::AtNode(node, link, request) => self.at_node(node, link, request),
            Happening::Cancelled(node, link, request) => {
                if self.nodes[node].link == link {
                    self.nodes[node].engine.cancel(request);
                }
            }
            Happening::StepEnd(node, link) => self.step_end(node, link),
            Happening::FromNode(node, link, event, read) => self.hear(node, link, event, read),
            Happening::Beat(node) => self.beat(node),
            Happening::Fault(node, fault) => self.strike(node, fault),
            Happening::Tell(event) => self.tell(event),
            Happening::Wake => {
                self.wake = None;
                self.tell(Event::Tick);
            }
        }
    }

    fn ask(&mut self, mut conversation: Conversation) {
        let question = 20 + self.chance.below(60) as u32;
        conversation.say(self.chance.next(), question);
        conversation.turns -= 1;
        let id = RequestId(self.records.len() as u64);
        let ask = Ask {
            service: service(),
            key: KeyId(conversation.group),
            weight: 1,
            tokens: conversation.tokens(),
            beginning: conversation.beginning(),
        };
        self.records.push(Record {
            arrived: self.now,
            sent: None,
            first: None,
            ended: 0.0,
            outcome: Outcome::Open,
            tokens: conversation.tokens(),
            read: 0,
            sends: 0,
            segments: conversation.segments(),
            to_write: 40 + self.chance.below(120) as u32,
            conversation,
        });
        self.tell(Event::Arrived(id, ask));
    }

    fn tell(&mut self, event: Event) {
        let random = self.chance.next();
        let effects = self
            .policy
            .step(Moment::from_micros(micros(self.now)), random, event);
        for effect in effects {
            self.perform(effect);
        }
        let Some(at) = self.policy.wake_at().map(Moment::micros) else {
            return;
        };
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            self.put((at as f64 / 1e6).max(self.now), Happening::Wake);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send(request, node) => {
                let record = &mut self.records[request.0 as usize];
                assert_eq!(record.outcome, Outcome::Open);
                assert!(record.first.is_none(), "sent again after its first byte");
                record.sends += 1;
                record.sent.get_or_insert(self.now);
                let (request, node) = (request.0, node.0 as usize);
                self.nodes[node].sent += 1;
                self.nodes[node].last_sent = self.now;
                let link = self.nodes[node].link;
                self.put(self.now + WAY, Happening::AtNode(node, link, request));
            }
            Effect::Cancel(request, node) => {
                let node = node.0 as usize;
                let link = self.nodes[node].link;
                self.put(self.now + WAY, Happening::Cancelled(node, link, request.0));
            }
            Effect::Refuse(request, refusal) => self.end(request.0, Outcome::Refused(refusal)),
            Effect::Break(request, _) => self.end(request.0, Outcome::Broken),
            Effect::Probe(node) => self.probe(node),
            Effect::Drained(node) => self.put(self.now, Happening::Tell(Event::Left(node))),
        }
    }

    fn probe(&mut self, node: NodeId) {
        let at = &self.nodes[node.0 as usize];
        let ok = at.is_linked && !at.is_frozen && !at.errs;
        self.put(
            self.now + PROBE,
            Happening::Tell(Event::Probed { node, ok }),
        );
    }

    fn at_node(&mut self, node: usize, link: u64, request: u64) {
        let record = &self.records[request as usize];
        let at = &mut self.nodes[node];
        if at.link != link || !at.is_linked {
            return;
        }
        if at.errs {
            let event = Event::Failed(
                RequestId(request),
                NodeId(node as u64),
                gaia_balancer::Failure::Error,
            );
            return self.put(self.now + WAY, Happening::FromNode(node, link, event, 0));
        }
        at.engine
            .take(request, record.segments.clone(), record.to_write);
        self.step_on(node);
    }

    fn step_on(&mut self, node: usize) {
        let at = &mut self.nodes[node];
        if at.engine.is_stepping || at.is_frozen {
            return;
        }
        if let Some(seconds) = at.engine.begin_step() {
            at.engine.is_stepping = true;
            let link = at.link;
            self.put(self.now + seconds, Happening::StepEnd(node, link));
        }
    }

    fn step_end(&mut self, node: usize, link: u64) {
        let at = &mut self.nodes[node];
        if at.link != link || at.is_frozen {
            return;
        }
        at.engine.is_stepping = false;
        let id = NodeId(node as u64);
        for output in at.engine.end_step() {
            let (event, read) = match output {
                Output::FirstByte { request, read } => {
                    (Event::FirstByte(RequestId(request), id), read)
                }
                Output::Finished { request } => {
                    self.keep_answer(node, request);
                    (Event::Finished(RequestId(request), id), 0)
                }
            };
            self.put(self.now + WAY, Happening::FromNode(node, link, event, read));
        }
        self.step_on(node);
    }

    fn keep_answer(&mut self, node: usize, request: u64) {
        let record = &self.records[request as usize];
        let mut whole = record.conversation.clone();
        whole.say(request, record.to_write);
        let answer = *whole.segments().last().unwrap();
        self.nodes[node].engine.keep(answer);
    }

    fn hear(&mut self, node: usize, link: u64, event: Event, read: u32) {
        if self.nodes[node].link != link {
            return;
        }
        if let Event::FirstByte(request, _) | Event::Finished(request, _) = &event {
            let record = &mut self.records[request.0 as usize];
            // Others end streams of nodes that they take for lost.
            if record.outcome != Outcome::Open {
                return;
            }
            match event {
                Event::Finished(..) => self.end(request.0, Outcome::Done),
                _ if record.first.is_none() => (record.first, record.read) = (Some(self.now), read),
                _ => {}
            }
        }
        self.tell(event);
    }

    fn end(&mut self, request: u64, outcome: Outcome) {
        let record = &mut self.records[request as usize];
        assert_eq!(
            record.outcome,
            Outcome::Open,
            "request {request} ends twice"
        );
        record.ended = self.now;
        self.open -= 1;
        if outcome == Outcome::Done && record.conversation.turns > 0 {
            let mut next = record.conversation.clone();
            next.say(request, record.to_write);
            self.open += 1;
            let at = self.now + self.chance.wait(self.think);
            self.put(at, Happening::Ask(Box::new(next)));
        }
        self.records[request as usize].outcome = outcome;
    }

    fn beat(&mut self, node: usize) {
        let at = &self.nodes[node];
        if !at.is_linked || at.is_frozen {
            return;
        }
        let report = Report {
            requests: at.engine.requests(),
            unread: at.engine.unread(),
            reading: Some(READING),
        };
        let event = Event::Heartbeat(NodeId(node as u64), Some(report));
        let link = at.link;
        self.put(self.now + WAY, Happening::FromNode(node, link, event, 0));
        self.put(self.now + BEAT, Happening::Beat(node));
    }

    fn strike(&mut self, node: usize, fault: Fault) {
        let id = NodeId(node as u64);
        match fault {
            Fault::Join => {
                let offer = Offer {
                    services: vec![service()],
                    sequences: SEQUENCES,
                    reading: Some(READING),
                };
                self.link(node);
                self.tell(Event::Joined(id, offer));
            }
            Fault::Drain => self.tell(Event::Draining(id)),
            Fault::Crash => {
                self.nodes[node].engine = Engine::new();
                self.unlink(node, WAY);
            }
            Fault::Unlink => {
                let open: Vec<u64> = (0..self.records.len() as u64).collect();
                let engine = &mut self.nodes[node].engine;
                open.into_iter().for_each(|request| engine.cancel(request));
                engine.is_stepping = false;
                self.unlink(node, WAY);
            }
            Fault::Freeze => {
                self.nodes[node].is_frozen = true;
                if !self.policy.listens() {
                    self.put(
                        self.now + FOUND_OUT,
                        Happening::Tell(Event::ConnectionLost(id)),
                    );
                }
            }
            Fault::Return => {
                self.link(node);
                self.tell(Event::Connected(id));
            }
            Fault::Slow(factor) => self.nodes[node].engine.slow = factor,
            Fault::Err(errs) => {
                self.nodes[node].errs = errs;
                if !self.policy.listens() {
                    let event = if errs {
                        Event::ConnectionLost(id)
                    } else {
                        Event::Connected(id)
                    };
                    self.put(self.now + FOUND_OUT, Happening::Tell(event));
                }
            }
        }
    }

    fn unlink(&mut self, node: usize, noticed: f64) {
        let at = &mut self.nodes[node];
        at.link += 1;
        at.is_linked = false;
        let event = Event::ConnectionLost(NodeId(node as u64));
        self.put(self.now + noticed, Happening::Tell(event));
    }

    fn link(&mut self, node: usize) {
        let at = &mut self.nodes[node];
        at.link += 1;
        at.is_linked = true;
        at.is_frozen = false;
        // Spread over the beat, by the node's number.
        let phase = BEAT * (node as f64 * 0.618).fract();
        self.put(self.now + phase, Happening::Beat(node));
    }
}

/// What became of a run.
#[derive(Clone)]
pub struct Summary {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    /// Of the prompts' tokens, those that were not read again.
    pub hits: f64,
    pub requests: usize,
    pub refused: usize,
    pub failed: usize,
    pub broken: usize,
    pub again: u32,
    pub wait_max: Duration,
}

impl World<'_> {
    /// Of those that arrived after so many seconds.
    pub fn summary(&self, from: f64) -> Summary {
        let counted: Vec<&Record> = self
            .records
            .iter()
            .filter(|record| record.arrived >= from)
            .collect();
        let mut times: Vec<f64> = counted
            .iter()
            .map(|record| match record.first {
                Some(first) => first - record.arrived,
                None => f64::INFINITY,
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        let began = || counted.iter().filter(|record| record.first.is_some());
        let tokens: u32 = began().map(|record| record.tokens).sum();
        let read: u32 = began().map(|record| record.read).sum();
        let is_failed = |record: &&&Record| match &record.outcome {
            Outcome::Refused(refusal) => !matches!(refusal, Refusal::Busy { .. }),
            Outcome::Open => true,
            Outcome::Done | Outcome::Broken => false,
        };
        let refused =
            |record: &&&Record| matches!(record.outcome, Outcome::Refused(Refusal::Busy { .. }));
        let waits = counted
            .iter()
            .map(|record| record.sent.unwrap_or(record.ended) - record.arrived);
        Summary {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            hits: 1.0 - f64::from(read) / f64::from(tokens.max(1)),
            requests: counted.len(),
            refused: counted.iter().filter(refused).count(),
            failed: counted.iter().filter(is_failed).count(),
            broken: counted
                .iter()
                .filter(|record| record.outcome == Outcome::Broken)
                .count(),
            again: counted
                .iter()
                .map(|record| record.sends.saturating_sub(1))
                .sum(),
            wait_max: Duration::from_secs_f64(waits.fold(0.0, f64::max)),
        }
    }
}
