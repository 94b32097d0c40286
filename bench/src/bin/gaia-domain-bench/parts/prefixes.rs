//! Conversations that begin alike, over four nodes that each keep two beginnings: the gateway's pick against chance.
//!
//! Nodes here do not compute; they wait as long as a node computes that reads [`READING`] tokens a second, one prompt
//! at a time, and not for a beginning that they keep. The pick by chance is HAProxy's.

use std::time::Duration;

use anyhow::ensure;
use gaia_bench::report::{Bar, Section};
use gaia_bench::statistics::{Random, percentile};

use super::{Behind, Stage};
use crate::http::Question;
use crate::load::{self, Found};
use crate::peers::{self, chat_with};

const NODES: usize = 4;

/// Beginnings, and how many of them a node keeps.
const BEGINNINGS: usize = 8;
const KEPT: usize = 2;

/// Tokens of a beginning.
const TOKENS: usize = 1000;

/// Tokens a second that a node reads. With SmolLM2-135M alone on two cores a real one reads 400 (docs/performance.md).
const READING: u64 = 1000;

/// Requests a second: chance keeps its nodes busy half of the time.
const RATE: f64 = 2.5;

const WARM: Duration = Duration::from_secs(8);
const TIME: Duration = Duration::from_secs(24);
const PIECES: u64 = 4;

/// The bar: time to the first token against chance, 90 of 100.
const BAR: Bar = Bar::AtMost(0.5);

pub async fn measure(stage: &Stage) -> anyhow::Result<Section> {
    let rounds = stage.plan.rounds.min(3);
    let mut section = Section {
        rounds,
        ..Section::default()
    };
    let (mut ours, mut chance) = (Vec::new(), Vec::new());
    let more = [format!("--reading={READING}"), format!("--kept={KEPT}")];
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    for round in 0..rounds {
        let behind = Behind::start(NODES, &more)?;
        let mut options = stage.options(&format!("prefixes-{round}"), &behind.tunnels);
        options.sequences = 4;
        options.reading = READING as f64;
        let gateway = stage.gateway(&options).await?;
        ours.push(p90(gateway.at, &questions(&gateway.token, round)).await?);
        let behind = Behind::start(NODES, &more)?;
        let haproxy = peers::haproxy(&stage.plan.haproxy, &behind.http, "random(1)").await?;
        chance.push(p90(haproxy.at, &questions("", round)).await?);
    }
    section.compare(
        "time to first token over 4 nodes, shared beginnings, p90, gateway : chance",
        &ours,
        &chance,
        BAR,
    );
    section.note(
        "time to first token, shared beginnings, p90",
        "gateway",
        "ms",
        &ours,
    );
    section.note(
        "time to first token, shared beginnings, p90",
        "chance (HAProxy)",
        "ms",
        &chance,
    );
    Ok(section)
}

async fn p90(at: std::net::SocketAddr, questions: &[Question]) -> anyhow::Result<f64> {
    let warm = load::open(at, questions, RATE, WARM).await?;
    let found = load::open(at, questions, RATE, TIME).await?;
    let failed = |found: &Found| found.failed > 0;
    ensure!(
        !failed(&warm) && !failed(&found),
        "{:?} {:?}",
        warm.failure,
        found.failure
    );
    Ok(percentile(&found.first_ms, 0.9))
}

/// Strangers that ask with one of the beginnings each, the same for both.
fn questions(token: &str, round: usize) -> Vec<Question> {
    let mut random = Random::new(round as u64 + 1);
    let all = (RATE * TIME.as_secs_f64()) as usize;
    let beginning = |number: usize| format!("You are number {number}. ").repeat(TOKENS * 4 / 18);
    (0..all)
        .map(|_| {
            chat_with(
                token,
                &beginning(random.draw() as usize % BEGINNINGS),
                PIECES,
                Some(0),
            )
        })
        .collect()
}
