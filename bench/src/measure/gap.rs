//! What one client's long prompt does to another's stream, and to `/health`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Plan;
use crate::chat::{Chat, Served};
use crate::contender::Servers;
use crate::contender::llama_server::Cache;
use crate::load::{milliseconds, settle};
use crate::report::{Bar, Section};
use crate::statistics::percentile;
use crate::workload;

/// Long enough to be written until the long prompt has been read.
const STREAM_TOKENS: u32 = 700;
/// The stream has begun by then.
const HEAD_START: Duration = Duration::from_millis(500);
const HEALTH_EVERY: Duration = Duration::from_millis(10);
/// The micro-batch of llama.cpp's defaults, in tokens.
const MICRO_BATCH: u32 = 512;
const HEALTH: &str = "/health while 4k tokens are read, p99";

/// The 99th percentiles.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let servers = Servers::start(&setting, plan.llama.as_deref(), &[Cache::Unified])?;
    let mut found = vec![Found::default(); servers.chats.len()];
    let mut micro_batch_ms = Vec::new();
    for round in 0..plan.rounds {
        for (chat, found) in servers.chats.iter().zip(&mut found) {
            found.add(&interfere(chat, round));
        }
        if let Some(tools) = plan.tools() {
            micro_batch_ms.push(
                1000.0 * f64::from(MICRO_BATCH) / tools.reading(&setting, MICRO_BATCH, false)?,
            );
        }
    }
    Ok(told(&servers.chats, &found, &micro_batch_ms))
}

fn told(chats: &[Served], found: &[Found], micro_batch_ms: &[f64]) -> Section {
    let mut section = Section::default();
    for (chat, found) in chats.iter().zip(found) {
        for (what, values) in [
            (
                "gap between tokens while 4k tokens are read, p99",
                &found.gap_ms,
            ),
            (HEALTH, &found.health_ms),
            ("time to first token of the 4k prompt", &found.first_ms),
        ] {
            section.note(what, chat.name(), "ms", values);
        }
    }
    if !micro_batch_ms.is_empty() {
        section.note(
            "a micro-batch of 512 tokens",
            "llama-bench",
            "ms",
            micro_batch_ms,
        );
        let name = "another stream's gap while 4k tokens are read, p99, in micro-batches";
        section.compare(name, &found[0].gap_ms, micro_batch_ms, Bar::AtMost(2.0));
    }
    section.hold(HEALTH, "ms", &found[0].health_ms, Bar::AtMost(10.0));
    section
}

#[derive(Clone, Default)]
struct Found {
    gap_ms: Vec<f64>,
    health_ms: Vec<f64>,
    first_ms: Vec<f64>,
}

impl Found {
    fn add(&mut self, one: &Interference) {
        self.gap_ms.push(percentile(&one.gaps_ms, 0.99));
        self.health_ms.push(percentile(&one.health_ms, 0.99));
        self.first_ms.push(one.first_ms);
    }
}

/// One long prompt beside one stream.
struct Interference {
    gaps_ms: Vec<f64>,
    health_ms: Vec<f64>,
    first_ms: f64,
}

fn interfere(chat: &Served, round: usize) -> Interference {
    let over = AtomicBool::new(false);
    settle();
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| chat.answer(&workload::plain(round, 9, 9, STREAM_TOKENS)));
        let health = scope.spawn(|| health(chat, &over));
        std::thread::sleep(HEAD_START);
        let long = chat.answer(&workload::long(round, 4));
        over.store(true, Ordering::Release);
        let (begun, read) = (long.asked, long.asked + long.first());
        let gaps = stream.join().map(|answer| {
            let pairs = answer
                .arrivals
                .windows(2)
                .filter(|pair| pair[1] >= begun && pair[0] <= read);
            pairs.map(|pair| milliseconds(pair[1] - pair[0])).collect()
        });
        Interference {
            gaps_ms: gaps.unwrap_or_default(),
            health_ms: health.join().unwrap_or_default(),
            first_ms: milliseconds(long.first()),
        }
    })
}

/// Asks for `/health` again and again until it is `over`. A failure counts as an eternity.
fn health(chat: &Served, over: &AtomicBool) -> Vec<f64> {
    let mut times = Vec::new();
    while !over.load(Ordering::Acquire) {
        let asked = Instant::now();
        let response = chat.client().send("GET", "/health", "");
        let good = response.and_then(|response| Ok((response.status == 200, response.text()?)));
        times.push(match good {
            Ok((true, _)) => milliseconds(asked.elapsed()),
            _ => f64::INFINITY,
        });
        std::thread::sleep(HEALTH_EVERY);
    }
    times
}
