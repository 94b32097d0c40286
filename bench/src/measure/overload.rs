//! Ten times as many requests as can be served: what is accepted must not suffer, what is not must hear so at once.

use std::time::Duration;

use super::Plan;
use crate::chat::{Chat, Outcome};
use crate::contender::node::Node;
use crate::load::{Load, closed, milliseconds, open, steady};
use crate::report::{Bar, Section};
use crate::statistics::percentile;
use crate::workload;

const TOKENS: u32 = 32;
const PEAK_STREAMS: usize = 8;
const PEAK_TURNS: usize = 4;
const OVERLOAD: f64 = 10.0;
const DURATION: Duration = Duration::from_secs(6);
/// What the engine keeps in main memory of what was moved out of its cache, at most, and a little for everything
/// else.
const GROWTH_MIB_MAX: f64 = 512.0 + 64.0;

/// A node under ten times its peak. The peak is measured before and after each overload, and their mean is what
/// the overload is held against.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let node = Node::start(&plan.setting(8))?;
    let chat = node.chat()?;
    let mut found = Found::default();
    let mut before = peak(&chat, 0);
    let memory_mib = node.memory_mib();
    for round in 1..=plan.rounds {
        let load = overload(&chat, before, round);
        // Since before the first round: what grows by a little each time is not bounded.
        found.growth_mib.push(node.memory_mib() - memory_mib);
        let after = peak(&chat, round);
        found.add((before + after) / 2.0, &load);
        before = after;
    }
    Ok(found.told())
}

/// Of each round.
#[derive(Default)]
struct Found {
    peak: Vec<f64>,
    accepted: Vec<f64>,
    refusal_ms: Vec<f64>,
    refused: Vec<f64>,
    growth_mib: Vec<f64>,
    broken: Vec<f64>,
}

impl Found {
    fn add(&mut self, peak: f64, load: &Load) {
        let refusals = refusals_ms(load);
        self.peak.push(peak);
        self.accepted.push(load.accepted_tokens_per_second());
        self.refusal_ms.push(percentile(&refusals, 0.99));
        self.refused.push(refusals.len() as f64);
        self.broken.push(load.broken() as f64);
    }

    fn told(&self) -> Section {
        let mut section = Section::default();
        for (what, unit, values) in [
            ("tokens/s at peak", "tokens/s", &self.peak),
            (
                "tokens/s of accepted work at ten times the peak",
                "tokens/s",
                &self.accepted,
            ),
            ("requests refused", "", &self.refused),
        ] {
            section.note(what, "node", unit, values);
        }
        section.compare(
            "overload ×10, tokens/s of accepted work : peak",
            &self.accepted,
            &self.peak,
            Bar::AtLeast(0.95),
        );
        let most = self.growth_mib.iter().copied().fold(f64::NAN, f64::max);
        let most = vec![most];
        for (what, unit, values, most) in [
            ("refusals, p99", "ms", &self.refusal_ms, 20.0),
            ("growth of memory", "MiB", &most, GROWTH_MIB_MAX),
            ("connections reset", "", &self.broken, 0.0),
        ] {
            section.hold(
                &format!("overload ×10, {what}"),
                unit,
                values,
                Bar::AtMost(most),
            );
        }
        section
    }
}

fn peak(chat: &dyn Chat, round: usize) -> f64 {
    let load = closed(chat, PEAK_STREAMS, PEAK_TURNS, &|stream, turn| {
        workload::plain(round, stream, turn, TOKENS)
    });
    load.tokens_per_second()
}

fn overload(chat: &dyn Chat, peak: f64, round: usize) -> Load {
    let a_second = OVERLOAD * peak / f64::from(TOKENS);
    open(chat, &steady(a_second.max(1.0), DURATION), &|number| {
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
