//! What the balancer promises, event by event.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use gaia_balancer::{
    Ask, Balancer, Beginning, Config, Effect, Event, Failure, Health, KeyId, Moment, NodeId,
    NodeView, Offer, Refusal, Report, RequestId, SERVICES_PER_NODE_MAX, Service,
};

const SEQUENCES: u32 = 4;

struct Domain {
    balancer: Balancer,
    millis: u64,
    asked: u64,
}

fn service(model: &str) -> Service {
    Service {
        model: model.to_owned(),
        knowledge: None,
    }
}

fn offer(models: &[&str]) -> Offer {
    Offer {
        services: models.iter().map(|model| service(model)).collect(),
        sequences: SEQUENCES,
        reading: Some(500.0),
    }
}

fn no_slow_start() -> Config {
    Config {
        slow_start: Duration::ZERO,
        ahead: 0.0,
        ..Config::default()
    }
}

impl Domain {
    /// With so many nodes for the model "m".
    fn new(config: Config, nodes: u64) -> Self {
        let mut domain = Self {
            balancer: Balancer::new(config),
            millis: 0,
            asked: 0,
        };
        for node in 0..nodes {
            domain.tell(Event::Joined(NodeId(node), offer(&["m"])));
        }
        domain
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        let now = Moment::from_micros(self.millis * 1_000);
        self.balancer.step(now, self.millis ^ self.asked, event)
    }

    /// Lets time go by; all nodes but these are heard of meanwhile.
    fn wait(&mut self, millis: u64, silent: &[u64]) -> Vec<Effect> {
        let mut effects = Vec::new();
        let end = self.millis + millis;
        while self.millis < end {
            self.millis = end.min(self.millis + 100);
            let nodes: Vec<u64> = self.balancer.nodes().map(|view| view.node.0).collect();
            for node in nodes.into_iter().filter(|node| !silent.contains(node)) {
                effects.extend(self.tell(Event::Heartbeat(NodeId(node), None)));
            }
            effects.extend(self.tell(Event::Tick));
        }
        effects
    }

    fn ask_as(&mut self, key: u64, model: &str) -> (RequestId, Vec<Effect>) {
        let id = RequestId(self.asked);
        self.asked += 1;
        let ask = Ask {
            service: service(model),
            key: KeyId(key),
            weight: 1,
            tokens: 100,
            beginning: Beginning::of(1, model, &[id.0 as u8; 400]),
        };
        (id, self.tell(Event::Arrived(id, ask)))
    }

    fn ask(&mut self) -> (RequestId, Vec<Effect>) {
        self.ask_as(1, "m")
    }

    /// Asks, and says who got it.
    fn sent(&mut self) -> (RequestId, NodeId) {
        let (id, effects) = self.ask();
        match effects[..] {
            [Effect::Send(request, node)] if request == id => (id, node),
            _ => panic!("{effects:?}"),
        }
    }

    /// Asks as much as one node takes.
    fn fill(&mut self) -> Vec<(RequestId, NodeId)> {
        (0..SEQUENCES).map(|_| self.sent()).collect()
    }

    fn view(&self, node: NodeId) -> NodeView {
        self.balancer
            .nodes()
            .find(|view| view.node == node)
            .unwrap()
    }
}

fn refusal(effects: &[Effect]) -> &Refusal {
    match effects {
        [Effect::Refuse(_, refusal)] => refusal,
        _ => panic!("{effects:?}"),
    }
}

#[test]
fn only_nodes_that_serve_the_model_get_its_requests() {
    let mut domain = Domain::new(no_slow_start(), 3);
    let mut offer = offer(&["other"]);
    offer.services.push(Service {
        model: "other".to_owned(),
        knowledge: Some("wine".to_owned()),
    });
    domain.tell(Event::Joined(NodeId(7), offer));
    for _ in 0..SEQUENCES {
        let (id, effects) = domain.ask_as(1, "other");
        assert_eq!(effects, [Effect::Send(id, NodeId(7))]);
    }
    assert_eq!(domain.balancer.services().count(), 3);
    let (_, effects) = domain.ask_as(1, "unheard of");
    assert_eq!(refusal(&effects), &Refusal::NotServed);
    domain.tell(Event::Left(NodeId(7)));
    assert_eq!(domain.balancer.services().count(), 1);
}

#[test]
fn a_lost_connection_moves_what_has_not_begun_and_breaks_what_has() {
    let mut domain = Domain::new(no_slow_start(), 2);
    let (begun, node) = domain.sent();
    domain.tell(Event::FirstByte(begun, node));
    let (pending, other) = loop {
        let (id, to) = domain.sent();
        if to == node {
            break (id, NodeId(1 - node.0));
        }
    };
    let effects = domain.tell(Event::ConnectionLost(node));
    assert_eq!(
        effects,
        [Effect::Break(begun, node), Effect::Send(pending, other)]
    );
    // What is late changes nothing.
    assert_eq!(domain.tell(Event::Failed(begun, node, Failure::Broken)), []);
    assert_eq!(domain.tell(Event::Finished(begun, node)), []);
    assert_eq!(domain.view(node).health, Health::Open);
}

#[test]
fn a_silent_node_is_out_within_a_second_and_back_by_a_probe_and_a_trial() {
    let mut domain = Domain::new(no_slow_start(), 2);
    let silent = NodeId(0);
    let id = loop {
        let (id, node) = domain.sent();
        if node == silent {
            break id;
        }
    };
    let effects = domain.wait(1_000, &[0]);
    assert_eq!(
        effects,
        [Effect::Cancel(id, silent), Effect::Send(id, NodeId(1))]
    );
    assert_eq!(domain.view(silent).health, Health::Open);
    assert_eq!(domain.wait(600, &[]), [Effect::Probe(silent)]);
    domain.tell(Event::Probed {
        node: silent,
        ok: true,
    });
    assert_eq!(domain.view(silent).health, Health::Trial);
    for _ in 0..2 {
        let (id, node) = domain.sent();
        assert_eq!(node, silent, "the other is busy");
        domain.tell(Event::FirstByte(id, node));
        domain.tell(Event::Finished(id, node));
    }
    assert_eq!(domain.view(silent).health, Health::Closed);
}

#[test]
fn a_probe_that_is_not_answered_has_failed() {
    let mut domain = Domain::new(Config::default(), 2);
    assert_eq!(domain.wait(1_700, &[0]), [Effect::Probe(NodeId(0))]);
    assert_eq!(domain.wait(62_000, &[]), [Effect::Probe(NodeId(0))]);
    domain.tell(Event::ConnectionLost(NodeId(0)));
    domain.tell(Event::Probed {
        node: NodeId(0),
        ok: true,
    });
    assert_eq!(domain.view(NodeId(0)).health, Health::Open);
}

#[test]
fn errors_eject_but_never_more_than_half_of_the_nodes() {
    let mut domain = Domain::new(no_slow_start(), 4);
    for _ in 0..200 {
        let (id, effects) = domain.ask();
        let mut effects = effects;
        while let [Effect::Send(_, node)] = effects[..] {
            effects = domain.tell(Event::Failed(id, node, Failure::Error));
        }
    }
    let open = domain
        .balancer
        .nodes()
        .filter(|view| view.health == Health::Open)
        .count();
    assert_eq!(open, 2);
}

#[test]
fn retries_are_bounded_per_request_and_over_all() {
    let mut domain = Domain::new(no_slow_start(), 10);
    let mut sends = 0;
    let mut most = 0;
    for _ in 0..1_000 {
        let (id, mut effects) = domain.ask();
        let mut own = 0;
        while let [Effect::Send(_, node)] = effects[..] {
            own += 1;
            effects = domain.tell(Event::Failed(id, node, Failure::Error));
        }
        assert_eq!(refusal(&effects), &Refusal::Failed { attempts: own });
        sends += own;
        most = most.max(own);
    }
    assert_eq!(most, 3);
    assert!(sends <= 1_000 + 200 + 20, "{sends}");
}

#[test]
fn nothing_is_sent_again_after_its_first_byte() {
    let mut domain = Domain::new(no_slow_start(), 2);
    let (id, node) = domain.sent();
    domain.tell(Event::FirstByte(id, node));
    assert_eq!(domain.tell(Event::Failed(id, node, Failure::Broken)), []);
    assert_eq!(domain.balancer.counters().retries, 0);
    assert_eq!(domain.view(node).requests, 0);
}

#[test]
fn a_node_that_says_it_is_full_is_no_worse_for_it_and_gets_nothing_until_it_reports() {
    let mut domain = Domain::new(no_slow_start(), 2);
    let (id, node) = domain.sent();
    let other = NodeId(1 - node.0);
    assert_eq!(
        domain.tell(Event::Failed(id, node, Failure::Busy)),
        [Effect::Send(id, other)]
    );
    assert_eq!(domain.sent().1, other);
    let report = Report {
        requests: 0,
        unread: 0,
        reading: None,
    };
    domain.tell(Event::Heartbeat(node, Some(report)));
    assert_eq!(domain.sent().1, node);
    assert_eq!(domain.view(node).health, Health::Closed);
}

#[test]
fn a_node_that_never_begins_is_left_for_another() {
    let mut domain = Domain::new(no_slow_start(), 2);
    domain.balancer = Balancer::new(Config {
        first_byte_max: Duration::from_secs(3),
        ..no_slow_start()
    });
    domain.tell(Event::Joined(NodeId(0), offer(&["m"])));
    domain.tell(Event::Joined(NodeId(1), offer(&["m"])));
    let (id, node) = domain.sent();
    let other = NodeId(1 - node.0);
    assert_eq!(
        domain.wait(3_000, &[]),
        [Effect::Cancel(id, node), Effect::Send(id, other)]
    );
}

#[test]
fn a_draining_node_gets_nothing_and_says_when_it_is_done() {
    let mut domain = Domain::new(no_slow_start(), 2);
    let (id, node) = domain.sent();
    let other = NodeId(1 - node.0);
    assert_eq!(domain.tell(Event::Draining(node)), []);
    for _ in 0..SEQUENCES {
        assert_eq!(domain.sent().1, other);
    }
    domain.tell(Event::FirstByte(id, node));
    assert_eq!(
        domain.tell(Event::Finished(id, node)),
        [Effect::Drained(node)]
    );
    assert_eq!(domain.tell(Event::Left(node)), []);
}

#[test]
fn who_waits_goes_when_there_is_room_or_hears_no_in_time() {
    let mut domain = Domain::new(no_slow_start(), 1);
    let running = domain.fill();
    let (first, effects) = domain.ask();
    assert_eq!(effects, []);
    let (second, _) = domain.ask();
    let (gone, _) = domain.ask();
    domain.tell(Event::Gone(gone));
    assert_eq!(domain.balancer.waiting(), 2);
    let (id, node) = running[0];
    assert_eq!(
        domain.tell(Event::Finished(id, node)),
        [Effect::Send(first, node)]
    );
    assert_eq!(domain.wait(9_900, &[]), []);
    let effects = domain.wait(200, &[]);
    assert!(
        matches!(refusal(&effects), Refusal::Busy { .. }),
        "{effects:?}"
    );
    assert_eq!(effects, [Effect::Refuse(second, refusal(&effects).clone())]);
    assert_eq!(domain.balancer.waiting(), 0);
}

#[test]
fn the_line_is_bounded_and_who_would_wait_too_long_is_told_so_at_once() {
    let mut domain = Domain::new(
        Config {
            waiting_max: 5,
            ..no_slow_start()
        },
        1,
    );
    domain.fill();
    for _ in 0..5 {
        assert_eq!(domain.ask().1, []);
    }
    assert!(matches!(refusal(&domain.ask().1), Refusal::Busy { .. }));
    // Requests turn out to take 40 seconds.
    let mut domain = Domain::new(no_slow_start(), 1);
    for _ in 0..40 {
        let (id, node) = domain.sent();
        domain.wait(40_000, &[]);
        domain.tell(Event::Finished(id, node));
    }
    domain.fill();
    let answers: Vec<_> = (0..2).map(|_| domain.ask().1).collect();
    assert_eq!(answers[0], []);
    let Refusal::Busy { retry_after } = refusal(&answers[1]) else {
        panic!("{answers:?}");
    };
    assert!((10..20).contains(&retry_after.as_secs()), "{retry_after:?}");
}

#[test]
fn a_key_that_floods_the_domain_leaves_others_their_share() {
    let mut domain = Domain::new(no_slow_start(), 1);
    let mut running: Vec<RequestId> = Vec::new();
    let mut keys = BTreeMap::new();
    for index in 0..60 {
        let key = u64::from(index >= 40);
        let (id, effects) = domain.ask_as(key, "m");
        keys.insert(id, key);
        running.extend(effects.iter().map(|_| id));
    }
    let mut served = Vec::new();
    for _ in 0..20 {
        let effects = domain.tell(Event::Finished(running.remove(0), NodeId(0)));
        for effect in effects {
            let Effect::Send(id, _) = effect else {
                panic!("{effect:?}");
            };
            served.push(keys[&id]);
            running.push(id);
        }
    }
    let calm = served.iter().filter(|key| **key == 1).count();
    assert!((10..=12).contains(&calm), "{served:?}");
}

#[test]
fn with_no_healthy_node_newcomers_are_refused_and_who_was_accepted_may_still_be_served() {
    let mut domain = Domain::new(no_slow_start(), 1);
    let (id, node) = domain.sent();
    assert_eq!(domain.tell(Event::ConnectionLost(node)), []);
    assert!(matches!(
        refusal(&domain.ask().1),
        Refusal::NoneHealthy { .. }
    ));
    domain.tell(Event::Connected(node));
    assert_eq!(domain.wait(500, &[]), [Effect::Probe(node)]);
    let effects = domain.tell(Event::Probed { node, ok: true });
    assert_eq!(effects, [Effect::Send(id, node)]);
}

#[test]
fn hedging_is_off_unless_asked_for_and_the_first_to_answer_wins() {
    let mut domain = Domain::new(no_slow_start(), 2);
    domain.sent();
    assert_eq!(domain.wait(20_000, &[]), []);

    let config = Config {
        hedge: Some(3.0),
        ..no_slow_start()
    };
    let mut domain = Domain::new(config, 2);
    let (id, node) = domain.sent();
    let other = NodeId(1 - node.0);
    assert_eq!(domain.wait(1_000, &[]), [Effect::Send(id, other)]);
    assert_eq!(
        domain.tell(Event::FirstByte(id, other)),
        [Effect::Cancel(id, node)]
    );
    assert_eq!(domain.tell(Event::FirstByte(id, node)), []);
    assert_eq!(domain.tell(Event::Finished(id, other)), []);
    assert_eq!(domain.balancer.counters().hedges, 1);
    assert!(domain.balancer.nodes().all(|view| view.requests == 0));
}

#[test]
fn a_client_that_goes_frees_its_node() {
    let mut domain = Domain::new(no_slow_start(), 1);
    let (id, node) = domain.sent();
    assert_eq!(domain.tell(Event::Gone(id)), [Effect::Cancel(id, node)]);
    assert_eq!(domain.view(node).requests, 0);
    assert_eq!(domain.tell(Event::Gone(id)), []);
}

#[test]
fn a_conversation_goes_back_to_its_node_and_a_flood_of_it_does_not_drown_that() {
    let mut domain = Domain::new(no_slow_start(), 4);
    let mut ask = |id| {
        let ask = Ask {
            service: service("m"),
            key: KeyId(1),
            weight: 1,
            tokens: 1_000,
            beginning: Beginning::of(1, "m", &[5; 4_000]),
        };
        let effects = domain.tell(Event::Arrived(RequestId(id), ask));
        let [Effect::Send(_, node)] = effects[..] else {
            panic!("{effects:?}");
        };
        if id == 0 {
            domain.millis += 500;
            domain.tell(Event::FirstByte(RequestId(id), node));
            domain.tell(Event::Finished(RequestId(id), node));
        }
        node
    };
    let first = ask(0);
    let places = u64::from(SEQUENCES);
    assert!((1..=places).all(|id| ask(id) == first));
    assert!((0..places).all(|id| ask(100 + id) != first));
}

#[test]
fn who_had_waited_long_for_a_first_token_when_his_node_died_is_sent_to_another() {
    let mut domain = Domain::new(no_slow_start(), 2);
    let (id, node) = domain.sent();
    let other = NodeId(1 - node.0);
    assert_eq!(domain.wait(30_000, &[]), []);
    assert_eq!(
        domain.tell(Event::ConnectionLost(node)),
        [Effect::Send(id, other)]
    );
}

#[test]
fn services_of_one_node_take_turns() {
    let mut domain = Domain::new(no_slow_start(), 0);
    domain.tell(Event::Joined(NodeId(0), offer(&["a", "b"])));
    let mut running: Vec<_> = (0..SEQUENCES).map(|_| domain.ask_as(1, "a").0).collect();
    for model in ["b", "a", "a", "b", "b", "a"] {
        domain.ask_as(1, model);
        domain.millis += 1;
    }
    let first = SEQUENCES.into();
    for waiting in first..first + 6 {
        let effects = domain.tell(Event::Finished(running.remove(0), NodeId(0)));
        assert_eq!(effects, [Effect::Send(RequestId(waiting), NodeId(0))]);
        running.push(RequestId(waiting));
    }
}

#[test]
fn what_a_node_offers_beyond_the_limit_is_not_seen() {
    let mut domain = Domain::new(Config::default(), 0);
    let models: Vec<String> = (0..100).map(|index| format!("m{index}")).collect();
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    domain.tell(Event::Joined(NodeId(0), offer(&models)));
    assert_eq!(domain.balancer.services().count(), SERVICES_PER_NODE_MAX);
    domain.tell(Event::Joined(NodeId(0), offer(&["m"])));
    assert_eq!(domain.balancer.services().count(), 1);
}

#[test]
fn a_node_that_got_slow_is_out() {
    let mut domain = Domain::new(no_slow_start(), 4);
    for _ in 0..3 {
        let sent: Vec<_> = (0..4 * SEQUENCES).map(|_| domain.sent()).collect();
        let (slow, fast): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(_, node)| node.0 == 0);
        assert_eq!(slow.len(), SEQUENCES as usize, "all are needed");
        // Four times a hundred tokens at 500 a second.
        for (millis, requests) in [(800, fast), (8_000, slow)] {
            domain.wait(millis, &[]);
            for (id, node) in requests {
                domain.tell(Event::FirstByte(id, node));
                domain.tell(Event::Finished(id, node));
            }
        }
        if domain.view(NodeId(0)).health == Health::Open {
            break;
        }
    }
    let health: Vec<Health> = domain.balancer.nodes().map(|view| view.health).collect();
    assert_eq!(
        health,
        [Health::Open, Health::Closed, Health::Closed, Health::Closed]
    );
}

#[test]
fn a_gateway_that_slept_does_not_take_its_nodes_for_silent() {
    let mut domain = Domain::new(no_slow_start(), 2);
    domain.millis += 5_000;
    domain.sent();
    assert!(
        domain
            .balancer
            .nodes()
            .all(|view| view.health == Health::Closed)
    );
    domain.wait(1_000, &[0, 1]);
    assert!(
        domain
            .balancer
            .nodes()
            .all(|view| view.health == Health::Open)
    );
}
