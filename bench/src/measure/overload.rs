//! Ten times as many requests as can be served: what is accepted must not suffer, what is not must hear so at once.

use std::time::Duration;

use super::Plan;
use crate::chat::{Chat, Outcome};
use crate::contender::node::Node;
use crate::load::{Load, closed, milliseconds, open};
use crate::report::{Bar, Section};
use crate::statistics::percentile;
use crate::workload;

const TOKENS: u32 = 32;
const PEAK_STREAMS: usize = 8;
const PEAK_TURNS: usize = 4;
const OVERLOAD: f64 = 10.0;
const DURATION: Duration = Duration::from_secs(10);

/// A node under ten times its peak.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let node = Node::start(&plan.setting(8))?;
    let chat = node.chat()?;
    let mut found = Found::default();
    for round in 0..plan.rounds {
        let peak = closed(&chat, PEAK_STREAMS, PEAK_TURNS, &|stream, turn| {
            workload::plain(round, stream, turn, TOKENS)
        });
        let before = node.memory_mib();
        let load = overload(&chat, peak.tokens_per_second(), round);
        found.peak.push(peak.tokens_per_second());
        found.accepted.push(load.accepted_tokens_per_second());
        found.growth_mib.push(node.memory_mib() - before);
        found.refusal_ms.push(percentile(&refusals_ms(&load), 0.99));
        found.refused.push(refusals_ms(&load).len() as f64);
        found.broken.push(load.broken() as f64);
    }
    let mut section = Section::default();
    section.note("tokens/s at peak", "node", "tokens/s", &found.peak);
    section.note(
        "tokens/s of accepted work at ten times the peak",
        "node",
        "tokens/s",
        &found.accepted,
    );
    section.note("requests refused", "node", "", &found.refused);
    section.compare(
        "overload ×10, tokens/s of accepted work : peak",
        &found.accepted,
        &found.peak,
        Bar::AtLeast(0.95),
    );
    section.hold(
        "overload ×10, refusals, p99",
        "ms",
        &found.refusal_ms,
        Bar::AtMost(20.0),
    );
    section.hold(
        "overload ×10, growth of memory",
        "MiB",
        &found.growth_mib,
        Bar::AtMost(64.0),
    );
    section.hold(
        "overload ×10, connections reset",
        "",
        &found.broken,
        Bar::AtMost(0.0),
    );
    Ok(section)
}

#[derive(Default)]
struct Found {
    peak: Vec<f64>,
    accepted: Vec<f64>,
    refusal_ms: Vec<f64>,
    refused: Vec<f64>,
    growth_mib: Vec<f64>,
    broken: Vec<f64>,
}

fn overload(chat: &dyn Chat, peak: f64, round: usize) -> Load {
    let a_second = OVERLOAD * peak / f64::from(TOKENS);
    let interval = Duration::from_secs_f64(1.0 / a_second.max(1.0));
    open(chat, interval, DURATION, &|number| {
        workload::plain(round, 1000 + number, 0, TOKENS)
    })
}

fn refusals_ms(load: &Load) -> Vec<f64> {
    let refused = load
        .answers
        .iter()
        .filter(|answer| matches!(answer.outcome, Outcome::Refused(429 | 503)));
    refused
        .map(|answer| milliseconds(answer.ended - answer.asked))
        .collect()
}
