//! What happens to a domain, and how each policy comes through it.

use std::time::Duration;

use gaia_balancer::{Balancer, Config, Counters, LOOKED_AT_MAX};

use crate::policies::{Others, Rule};
use crate::workload::Workload;
use crate::world::{Fault, Summary, World};

const SEED: u64 = 20;

/// Seconds that nothing is counted of: nodes start, caches fill.
const WARM_UP: f64 = 60.0;

struct Scenario {
    name: &'static str,
    seed: u64,
    nodes: usize,
    workload: Workload,
    faults: Vec<(f64, usize, Fault)>,
}

/// How often a node was sent something, and when last.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sent {
    times: u64,
    last: f64,
}

struct Run {
    summary: Summary,
    counters: Counters,
    sent: Vec<Sent>,
}

impl Scenario {
    fn in_world(&self, mut world: World) -> (Summary, Vec<Sent>) {
        for (at, node, fault) in &self.faults {
            world.fault(*at, *node, *fault);
        }
        world.run();
        let sent = world.nodes.iter().map(|node| Sent {
            times: node.sent,
            last: node.last_sent,
        });
        (world.summary(WARM_UP), sent.collect())
    }

    fn ours(&self) -> Run {
        let mut balancer = Balancer::new(Config::default());
        let world = World::new(&mut balancer, self.seed, self.nodes, &self.workload);
        let (summary, sent) = self.in_world(world);
        let counters = balancer.counters();
        Run {
            summary,
            counters,
            sent,
        }
    }

    fn others(&self, rule: Rule) -> Summary {
        let mut others = Others::new(rule);
        let world = World::new(&mut others, self.seed, self.nodes, &self.workload);
        self.in_world(world).0
    }

    /// Prints all beside each other. Ours must not be later than random and least connections at the median, nor
    /// more than a tenth later at the tail.
    fn compare(&self) -> Run {
        println!("\n{}\n", self.name);
        println!("| | p50 s | p90 s | p99 s | from the cache | failed | broken | sent again |");
        println!("|---|--:|--:|--:|--:|--:|--:|--:|");
        let rules = RULES.map(|(name, rule)| (rule, print(name, self.others(rule))));
        let run = self.ours();
        let ours = print("**ours**", run.summary.clone());
        for (rule, other) in rules {
            if matches!(rule, Rule::Random | Rule::LeastConnections) {
                assert!(ours.p50 <= other.p50, "p50 against {rule:?}");
                assert!(ours.p90 <= 1.1 * other.p90, "p90 against {rule:?}");
                assert!(ours.p99 <= 1.1 * other.p99, "p99 against {rule:?}");
            }
        }
        run
    }
}

fn print(name: &str, run: Summary) -> Summary {
    println!(
        "| {name} | {:.2} | {:.2} | {:.2} | {:.0} % | {} | {} | {} |",
        run.p50,
        run.p90,
        run.p99,
        run.hits * 100.0,
        run.refused + run.failed,
        run.broken,
        run.again,
    );
    run
}

const RULES: [(&str, Rule); 5] = [
    ("random", Rule::Random),
    ("round robin", Rule::RoundRobin),
    ("least connections", Rule::LeastConnections),
    ("two choices by tokens", Rule::TwoChoices),
    ("consistent hash, bounded load", Rule::ConsistentHash),
];

fn four() -> Scenario {
    Scenario {
        name: "4 nodes, 40 shared beginnings of 1,000 tokens, 1.6 requests/s",
        seed: SEED,
        nodes: 4,
        workload: Workload {
            seconds: 600.0,
            rate: 1.6,
            prefixes: 40,
            prefix_tokens: 1_000,
            turns: 1,
            herd: None,
        },
        faults: Vec::new(),
    }
}

fn sixteen(name: &'static str, faults: Vec<(f64, usize, Fault)>) -> Scenario {
    Scenario {
        name,
        seed: SEED,
        nodes: 16,
        workload: Workload {
            seconds: 300.0,
            rate: 7.0,
            prefixes: 150,
            prefix_tokens: 800,
            turns: 1,
            herd: None,
        },
        faults,
    }
}

#[test]
fn shared_beginnings_halve_the_time_to_the_first_token_at_least() {
    let run = four().compare();
    // 24 of 100 would be an equal part.
    let all: u64 = run.sent.iter().map(|sent| sent.times).sum();
    assert!(
        run.sent.iter().all(|sent| sent.times * 10 > all),
        "{:?}",
        run.sent
    );
    for seed in [1, 2, 3] {
        let scenario = Scenario { seed, ..four() };
        let (ours, random) = (scenario.ours().summary, scenario.others(Rule::Random));
        assert!(
            ours.p90 <= 0.5 * random.p90,
            "{} of {}",
            ours.p90,
            random.p90
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let (one, other) = (four().ours(), four().ours());
    assert_eq!((one.sent, one.counters), (other.sent, other.counters));
    assert_ne!(one.counters, Scenario { seed: 1, ..four() }.ours().counters);
}

#[test]
fn conversations_find_their_node_again() {
    let mut scenario = sixteen(
        "16 nodes, 1.6 conversations/s of eight turns over 20 beginnings",
        Vec::new(),
    );
    scenario.workload = Workload {
        rate: 1.6,
        prefixes: 20,
        prefix_tokens: 500,
        turns: 8,
        ..scenario.workload
    };
    let run = scenario.compare();
    assert!(run.summary.hits > 0.85);
    let all: u64 = run.sent.iter().map(|sent| sent.times).sum();
    let least = all / 16 / 4;
    assert!(
        run.sent.iter().all(|sent| sent.times > least),
        "{:?}",
        run.sent
    );
}

#[test]
fn a_herd_over_one_new_beginning() {
    let mut scenario = sixteen(
        "16 nodes, 100 requests in 0.1 s over one new beginning",
        Vec::new(),
    );
    scenario.workload.herd = Some((120.0, 100));
    scenario.workload.rate = 4.0;
    scenario.compare();
}

#[test]
fn slow_nodes() {
    let faults = (0..4).map(|node| (0.0, node, Fault::Slow(4.0)));
    let run = sixteen(
        "16 nodes, four of them four times slower than they say",
        faults.collect(),
    )
    .compare();
    let (slow, fast) = run.sent.split_at(4);
    let times =
        |nodes: &[Sent]| nodes.iter().map(|sent| sent.times).sum::<u64>() / nodes.len() as u64;
    assert!(times(slow) * 2 < times(fast), "{:?}", run.sent);
}

#[test]
fn flapping_nodes() {
    let mut faults = Vec::new();
    for round in 0..30 {
        for node in 0..2 {
            let at = 60.0 + 8.0 * f64::from(round) + 4.0 * node as f64;
            faults.push((at, node, Fault::Unlink));
            faults.push((at + 1.0, node, Fault::Return));
        }
    }
    let run = sixteen(
        "16 nodes, two of which lose their connection every 8 s",
        faults,
    )
    .compare();
    assert_eq!((run.summary.failed, run.summary.refused), (0, 0));
    assert!(run.summary.broken < 15);
}

#[test]
fn crashes_fail_nothing_that_had_not_begun_and_are_out_within_a_second() {
    let crash = |node: usize| (80.0 + 20.0 * node as f64, node, Fault::Crash);
    let freeze = |node: usize| (80.0 + 20.0 * node as f64, node, Fault::Freeze);
    let died = [crash(0), crash(1), freeze(2), freeze(3)];
    // What is frozen loses its connection at last, and with it who was reading.
    let ends = [(170.0, 2, Fault::Crash), (170.0, 3, Fault::Crash)];
    let faults = died.iter().chain(&ends).copied().collect();
    let run = sixteen("16 nodes, two crash and two fall silent", faults).compare();
    assert_eq!((run.summary.failed, run.summary.refused), (0, 0));
    assert!(run.summary.again > 0, "nobody was there when they died");
    for (at, node, _) in died {
        assert!(
            run.sent[node].last <= at + 1.0,
            "{node} was sent to at {}",
            run.sent[node].last
        );
    }
}

#[test]
fn erring_nodes() {
    let faults = vec![
        (100.0, 0, Fault::Err(true)),
        (200.0, 0, Fault::Err(false)),
        (120.0, 1, Fault::Err(true)),
    ];
    let run = sixteen(
        "16 nodes, one answers with errors for 100 s and one for good",
        faults,
    )
    .compare();
    assert_eq!((run.summary.failed, run.summary.refused), (0, 0));
    assert!(run.sent[0].last > 200.0, "it never came back");
    assert!(run.summary.again < 20);
}

#[test]
fn joining_and_leaving_nodes() {
    let joins = (10..16).map(|node| (100.0 + node as f64, node, Fault::Join));
    let drains = (0..6).map(|node| (180.0 + 5.0 * node as f64, node, Fault::Drain));
    let mut scenario = sixteen(
        "10 nodes, six join, then six leave",
        joins.chain(drains).collect(),
    );
    scenario.nodes = 10;
    scenario.workload.rate = 4.5;
    let run = scenario.compare();
    assert_eq!(
        (run.summary.failed, run.summary.broken, run.summary.again),
        (0, 0, 0)
    );
    assert!(run.sent.iter().all(|sent| sent.times > 0), "{:?}", run.sent);
}

#[test]
fn with_three_times_too_much_nobody_waits_beyond_the_bound() {
    let mut scenario = four();
    scenario.workload.rate = 20.0;
    scenario.workload.seconds = 120.0;
    let run = scenario.ours();
    let summary = run.summary;
    println!(
        "\n{} requests, {} refused, waited {:?} at most, {:.0} % from the cache",
        summary.requests,
        summary.refused,
        summary.wait_max,
        summary.hits * 100.0
    );
    assert!(summary.wait_max <= Config::default().wait_max);
    assert!(summary.wait_max > Duration::from_secs(5), "nobody waited");
    assert_eq!((summary.failed, summary.broken), (0, 0));
    // What the nodes can do all the same, at 90 % from the cache; in the strict order of arrival it was 250.
    assert!(summary.requests - summary.refused > 400);
}

#[test]
fn thousands_of_nodes_cost_no_more_than_a_few() {
    let scenario = Scenario {
        name: "2,000 nodes, 10,000 shared beginnings of 800 tokens, 500 requests/s",
        seed: SEED,
        nodes: 2_000,
        workload: Workload {
            seconds: 80.0,
            rate: 500.0,
            prefixes: 10_000,
            prefix_tokens: 800,
            turns: 1,
            herd: None,
        },
        faults: (0..200)
            .map(|node| (62.0 + 0.05 * node as f64, node, Fault::Crash))
            .collect(),
    };
    let run = scenario.compare();
    assert!(run.counters.looked_at <= run.counters.picks * LOOKED_AT_MAX as u64);
    assert_eq!((run.summary.failed, run.summary.refused), (0, 0));
}
