//! Any events in any order, also late and repeated ones: nobody is answered twice, forgotten or left over.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gaia_balancer::{
    Ask, Balancer, Beginning, Config, Counters, Effect, Event, Failure, KeyId, Moment, NodeId,
    Offer, Report, RequestId, Service,
};

const NODES: u64 = 6;
const STEPS: u64 = 20_000;

/// What the gateway knows of a request that is not over.
#[derive(Default)]
struct Open {
    at: BTreeSet<NodeId>,
    begun: Option<NodeId>,
}

struct Storm {
    balancer: Balancer,
    seed: u64,
    now: u64,
    open: BTreeMap<RequestId, Open>,
    asked: u64,
}

fn service(number: u64) -> Service {
    Service {
        model: format!("m{}", number % 2),
        knowledge: (number.is_multiple_of(3)).then(|| "k".to_owned()),
    }
}

impl Storm {
    fn below(&mut self, count: u64) -> u64 {
        self.seed = self
            .seed
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.seed >> 33) % count
    }

    fn event(&mut self) -> Event {
        let node = NodeId(self.below(NODES));
        // Mostly one of those that are there; sometimes one that was, or never.
        let lowest = self.asked.saturating_sub(40);
        let request = RequestId(lowest + self.below(45));
        let random = self.below(1_000);
        match self.below(24) {
            0..4 => self.arrival(),
            4..8 => Event::FirstByte(request, node),
            8..13 => Event::Finished(request, node),
            13 => Event::Failed(
                request,
                node,
                [Failure::Busy, Failure::Error, Failure::Broken][random as usize % 3],
            ),
            14 => Event::Gone(request),
            15 => Event::Probed {
                node,
                ok: random > 300,
            },
            16 if random < 300 => Event::ConnectionLost(node),
            16 if random < 350 => Event::Left(node),
            16 if random < 400 => Event::Draining(node),
            16 => Event::Connected(node),
            17 => {
                let services = (0..self.below(80)).map(service).collect();
                let sequences = random as u32 % 5;
                Event::Joined(
                    node,
                    Offer {
                        services,
                        sequences,
                        reading: Some(random as f64 - 10.0),
                    },
                )
            }
            18 => {
                let report = Report {
                    requests: random as u32 % 9,
                    unread: random * 10,
                    reading: None,
                };
                Event::Heartbeat(node, (random > 100).then_some(report))
            }
            _ => Event::Heartbeat(node, None),
        }
    }

    fn arrival(&mut self) -> Event {
        let id = RequestId(self.asked);
        self.asked += 1;
        self.open.insert(id, Open::default());
        let ask = Ask {
            service: service(self.below(6)),
            key: KeyId(self.below(4)),
            weight: self.below(3) as u16,
            tokens: self.below(5_000) as u32,
            beginning: Beginning::of(
                1,
                "m",
                &vec![self.below(3) as u8; self.below(6_000) as usize],
            ),
        };
        Event::Arrived(id, ask)
    }

    fn tell(&mut self, event: Event) {
        self.heed(&event);
        let random = self.below(u64::from(u32::MAX));
        for effect in self
            .balancer
            .step(Moment::from_micros(self.now), random, event)
        {
            self.perform(effect);
        }
    }

    /// What the gateway itself sees.
    fn heed(&mut self, event: &Event) {
        match event {
            Event::FirstByte(id, node) => {
                if let Some(open) = self.open.get_mut(id).filter(|open| open.at.contains(node)) {
                    open.begun.get_or_insert(*node);
                }
            }
            Event::Finished(id, node)
                if self.open.get(id).is_some_and(|open| open.at.contains(node)) =>
            {
                let open = self.open.get_mut(id).unwrap();
                open.at.remove(node);
                open.begun = Some(*node);
                if open.at.is_empty() {
                    self.open.remove(id);
                }
            }
            Event::Failed(id, node, _) => {
                if let Some(open) = self.open.get_mut(id)
                    && open.at.remove(node)
                    && open.begun == Some(*node)
                {
                    self.open.remove(id);
                }
            }
            Event::ConnectionLost(node) | Event::Left(node) => {
                let pending = self
                    .open
                    .values_mut()
                    .filter(|open| open.begun != Some(*node));
                pending.for_each(|open| {
                    open.at.remove(node);
                });
            }
            Event::Gone(id) => {
                if let Some(open) = self.open.get_mut(id) {
                    open.begun = Some(NodeId(u64::MAX));
                    if open.at.is_empty() {
                        self.open.remove(id);
                    }
                }
            }
            _ => {}
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Send(id, node) => {
                let open = self.open.get_mut(&id).expect("sent, and it is over");
                assert!(open.begun.is_none(), "sent again after its first byte");
                open.at.insert(node);
            }
            Effect::Cancel(id, node) => {
                let Some(open) = self.open.get_mut(&id) else {
                    return;
                };
                open.at.remove(&node);
                if open.at.is_empty() && open.begun.is_some() {
                    self.open.remove(&id);
                }
            }
            Effect::Refuse(id, _) => {
                let open = self.open.remove(&id).expect("refused, and it is over");
                assert!(open.begun.is_none(), "refused after its first byte");
            }
            Effect::Break(id, node) => {
                let open = self.open.remove(&id).expect("broken, and it is over");
                assert_eq!(open.begun, Some(node));
            }
            Effect::Probe(_) | Effect::Drained(_) => {}
        }
    }
}

fn weather(seed: u64) -> Counters {
    let config = Config {
        hedge: seed.is_multiple_of(2).then_some(0.1),
        waiting_max: 10,
        blocks_max: 200,
        first_byte_max: Duration::from_secs(5),
        ..Config::default()
    };
    let mut storm = Storm {
        balancer: Balancer::new(config),
        seed,
        now: 0,
        open: BTreeMap::new(),
        asked: 0,
    };
    for _ in 0..STEPS {
        storm.now += storm.below(20_000);
        let event = storm.event();
        storm.tell(event);
        let requests: u32 = storm.balancer.nodes().map(|view| view.sequences).sum();
        assert!(requests <= 5 * NODES as u32);
        assert!(
            storm.balancer.waiting() <= 6 * 10 + 30,
            "{}",
            storm.balancer.waiting()
        );
    }
    // All nodes go; who waits is told in time, and nothing is left.
    for node in 0..NODES {
        storm.tell(Event::Left(NodeId(node)));
    }
    while let Some(at) = storm.balancer.wake_at() {
        storm.now = storm.now.max(at.micros());
        storm.tell(Event::Tick);
    }
    assert_eq!(
        (storm.balancer.waiting(), storm.balancer.nodes().count()),
        (0, 0)
    );
    assert_eq!(storm.balancer.services().count(), 0);
    assert!(
        storm.open.is_empty(),
        "{:?} were forgotten",
        storm.open.keys()
    );
    assert!(storm.asked > 1_000);
    storm.balancer.counters()
}

#[test]
fn nobody_is_answered_twice_or_forgotten() {
    let mut all = Vec::new();
    for seed in 0..10 {
        println!("seed {seed}");
        all.push(weather(seed));
    }
    let happened = |what: fn(&Counters) -> u64| all.iter().map(what).sum::<u64>() > 0;
    assert!(happened(|counters| counters.retries) && happened(|counters| counters.hedges));
    assert!(happened(|counters| counters.ejections) && happened(|counters| counters.refused));
}
