//! The same question as `prefixes`, with four real nodes: conversations that begin alike, at the gateway and at HAProxy,
//! which picks by chance or the node with the least connections.
//!
//! All contenders stand before the same nodes and take turns. Each turn has beginnings of its own, as long as the others'
//! and drawn in the same order, so that nobody finds what another has had read.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use e2e::node::Node as Home;
use gaia_bench::child::Held;
use gaia_bench::foreground;
use gaia_bench::report::{Bar, Section};
use gaia_bench::statistics::{Random, percentile};
use serde_json::json;

use super::Stage;
use crate::http::Question;
use crate::load;
use crate::members;
use crate::node::MODEL;
use crate::peers;

const NODES: usize = 4;

/// Beginnings: three times as many as nodes.
const BEGINNINGS: usize = 12;

/// Words of a beginning; of these, each is a token.
const WORDS: usize = 200;

/// What a node keeps of prompts that it does not work on, in MiB, at 23 kB a token: about four beginnings with what was
/// asked of them, a third of all.
const CACHE_MIB: u32 = 24;

/// Requests at a time, over all nodes: there are two cores for everything.
const RUNNING: usize = 2;

/// Requests of a turn, and of those before that count for nothing: each beginning once.
const ASKED: usize = 30;
const PIECES: u64 = 4;

/// A round takes a minute, and three times that while other work runs.
const ROUNDS_MAX: usize = 3;

/// The bar: time to the first token against chance, 90 of 100. Against least connections: better.
const BAR: Bar = Bar::AtMost(0.5);
const BETTER: Bar = Bar::AtMost(1.0);

const NAME: &str = "time to first token over 4 real nodes, shared beginnings";

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let rounds = stage.plan.rounds.min(ROUNDS_MAX);
    let mut options = stage.options("nodes", &[]);
    options.members = true;
    let gateway = stage.gateway(&options).await?;
    let nodes = (0..NODES).map(|_| Real::join(gateway.at));
    let nodes = nodes.collect::<anyhow::Result<Vec<_>>>()?;
    members::serving(gateway.at, NODES).await?;
    let http: Vec<_> = nodes.iter().map(|node| node.at).collect();
    let chance = peers::haproxy(&stage.plan.haproxy, &http, "random(1)").await?;
    let least = peers::haproxy(&stage.plan.haproxy, &http, "leastconn").await?;
    let mut contenders = [
        Contender::new("gateway", gateway.at, &gateway.token),
        Contender::new("chance (HAProxy)", chance.at, ""),
        Contender::new("least connections (HAProxy)", least.at, ""),
    ];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            // Whoever goes first finds the machine rested.
            let which = (round + turn) % contenders.len();
            contenders[which].take_turn(round, which).await?;
        }
    }
    Ok(section(rounds, &contenders))
}

fn section(rounds: usize, [ours, chance, least]: &[Contender; 3]) -> Section {
    let mut section = Section {
        rounds,
        ..Section::default()
    };
    let name = format!("{NAME}, p90, gateway : ");
    section.compare(&format!("{name}chance"), &ours.p90, &chance.p90, BAR);
    let against = format!("{name}least connections");
    section.compare(&against, &ours.p90, &least.p90, BETTER);
    for who in [ours, chance, least] {
        section.note(&format!("{NAME}, p50"), who.name, "ms", &who.p50);
        section.note(&format!("{NAME}, p90"), who.name, "ms", &who.p90);
    }
    section
}

/// A real node that has joined. Stopped when dropped.
struct Real {
    at: SocketAddr,
    home: Home,
    _running: Held,
}

impl Real {
    fn join(gateway: SocketAddr) -> anyhow::Result<Self> {
        let home = Home::new();
        let settings = [
            ("embedding_model", ""),
            ("ctx_size", "1024"),
            ("requests_running_max", "2"),
            ("prompt_cache_mib", &CACHE_MIB.to_string()),
            // HAProxy passes the measuring client's on.
            ("hosts_allowed", "domain"),
        ];
        for (key, value) in settings {
            home.set(key, value);
        }
        let running = foreground::start(&home)?;
        home.gaia_ok(&["join", &format!("http://{gateway}")]);
        let url = home.url();
        let at = url.trim_start_matches("http://").parse();
        Ok(Self {
            at: at.with_context(|| format!("the node's address {url}"))?,
            home,
            _running: running,
        })
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.home.gaia(&["stop", "--now"]);
    }
}

/// Who picks the node, and what was found of it, round by round, in milliseconds.
struct Contender {
    name: &'static str,
    at: SocketAddr,
    token: String,
    p50: Vec<f64>,
    p90: Vec<f64>,
}

impl Contender {
    fn new(name: &'static str, at: SocketAddr, token: &str) -> Self {
        Self {
            name,
            at,
            token: token.to_owned(),
            p50: Vec::new(),
            p90: Vec::new(),
        }
    }

    async fn take_turn(&mut self, round: usize, which: usize) -> anyhow::Result<()> {
        let mut random = Random::new(round as u64 + 1);
        let beginnings = beginnings(round, which);
        let mut ask = |number: usize| question(&self.token, &beginnings[number], random.draw());
        let warm: Vec<_> = (0..BEGINNINGS).map(&mut ask).collect();
        let mut drawn = Random::new(round as u64 + 100);
        let asked = (0..ASKED).map(|_| ask(drawn.draw() as usize % BEGINNINGS));
        let asked: Vec<_> = asked.collect();
        for (questions, counts) in [(warm, false), (asked, true)] {
            let found = load::shared(self.at, &questions, RUNNING).await?;
            ensure!(
                found.failed == 0 && found.word_ms.len() == questions.len(),
                "{}: {:?}",
                self.name,
                found.failure
            );
            if counts {
                self.p50.push(percentile(&found.word_ms, 0.5));
                self.p90.push(percentile(&found.word_ms, 0.9));
            }
        }
        eprintln!(
            "bench: nodes: {}, p50 {:.0} ms, p90 {:.0} ms",
            self.name,
            self.p50.last().unwrap_or(&f64::NAN),
            self.p90.last().unwrap_or(&f64::NAN)
        );
        Ok(())
    }
}

/// Beginnings of a turn: of the same words in another order for each.
fn beginnings(round: usize, which: usize) -> Vec<String> {
    let vocabulary = [
        "time", "house", "water", "light", "paper", "money", "music", "world", "river", "stone",
        "table", "night", "green", "small", "large", "early", "north", "south", "bread", "glass",
    ];
    let mut random = Random::new((round * 1_000 + which) as u64);
    let mut word = || vocabulary[random.draw() as usize % vocabulary.len()];
    let mut beginning = || {
        let words: Vec<_> = (0..WORDS).map(|_| word()).collect();
        format!("You know these words: {}.", words.join(" "))
    };
    (0..BEGINNINGS).map(|_| beginning()).collect()
}

/// What a stranger asks whose conversation has this beginning.
fn question(token: &str, beginning: &str, number: u64) -> Question {
    let body = json!({
        "model": MODEL,
        "stream": true,
        "temperature": 0,
        "max_tokens": PIECES,
        "messages": [
            {"role": "system", "content": beginning},
            {"role": "user", "content": format!("Which word comes after number {}?", number % 1_000)},
        ],
    });
    Question::new("POST", "/v1/chat/completions", token, body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_turn_finds_what_another_has_had_read() {
        let mut all: Vec<_> = (0..2)
            .flat_map(|round| (0..3).flat_map(move |which| beginnings(round, which)))
            .map(|text| text[..60].to_owned())
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6 * BEGINNINGS);
    }
}
