//! Ten times as many requests as can be served: what is accepted must not suffer, what is not must hear so at once.
//!
//! Peak and overload are measured in windows of the same length in the same node, in turn, each in the middle of a
//! load that was there before and stays until after. Over whole loads they could not be compared: an overload of six
//! seconds was followed by twenty in which its queue was worked off, without anything being refused, and its last
//! answers ran beside fewer and fewer others, while a closed loop's end together.
//! Answers have different lengths, the same ones in both, so that streams do not end in step: in step, all prompts
//! are read at once, and how many such pauses fall into a window is chance.
//!
//! Clients hang up when a window is over, with the queue full: so the node is cut off from eighty requests at once in
//! each turn, and the next window starts at rest.

use std::time::{Duration, Instant};

use super::Plan;
use crate::chat::{Answer, Ask, Outcome, Served};
use crate::contender::node::Node;
use crate::load::window::Window;
use crate::load::{Load, closed_until, milliseconds, open, steady};
use crate::memory::Spent;
use crate::report::{Bar, Section};
use crate::statistics::percentile;
use crate::workload;

/// Tokens of an answer: from the first number to less than the second.
const TOKENS: std::ops::Range<usize> = 16..48;
const PEAK_STREAMS: usize = 8;
const OVERLOAD: f64 = 10.0;
/// Until eight streams run, each at another place of its answer, and under overload the queue is full.
const RAMP: Duration = Duration::from_secs(2);
/// Short, and often in turn: in windows of twelve seconds, ratios of the same programs scattered from 0.79 to 1.27 with
/// what else the machine did.
const WINDOW: Duration = Duration::from_secs(5);
/// Overloads in a round, each between two peaks.
const TURNS: usize = 3;
/// Time for reading the node's memory while it is overloaded, after the window.
const TAIL: Duration = Duration::from_millis(500);
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
    for turn in 1..=TURNS * plan.rounds {
        // Since before the first: what grows by a little each time is not bounded.
        let mut grown_mib = || node.memory_mib() - memory_mib;
        let over = overload(&chat, before, turn, &mut grown_mib);
        let after = peak(&chat, turn);
        found.add((before + after) / 2.0, &over);
        before = after;
    }
    Ok(found.told())
}

/// What came of one overload.
struct Over {
    speed: f64,
    refusals_ms: Vec<f64>,
    broken: usize,
    growth_mib: f64,
    harness_share: f64,
}

/// Of each overload.
#[derive(Default)]
struct Found {
    peak: Vec<f64>,
    accepted: Vec<f64>,
    refusal_ms: Vec<f64>,
    refused: Vec<f64>,
    growth_mib: Vec<f64>,
    broken: Vec<f64>,
    harness_share: Vec<f64>,
}

impl Found {
    fn add(&mut self, peak: f64, over: &Over) {
        self.peak.push(peak);
        self.accepted.push(over.speed);
        self.refusal_ms.push(percentile(&over.refusals_ms, 0.99));
        self.refused.push(over.refusals_ms.len() as f64);
        self.broken.push(over.broken as f64);
        self.growth_mib.push(over.growth_mib);
        self.harness_share.push(over.harness_share);
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
        section.note(
            "processor time of the measuring program itself under overload, of one core",
            "bench",
            "%",
            &self.harness_share,
        );
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

/// Eight clients, each with its next question at once.
fn peak(chat: &Served, turn: usize) -> f64 {
    let window = Window::new(Instant::now() + RAMP, WINDOW);
    let load = closed_until(
        &chat.until(window.end()),
        PEAK_STREAMS,
        &|stream, answered| question(turn, stream + PEAK_STREAMS * answered),
    );
    window.tokens_per_second(&load.answers)
}

fn overload(chat: &Served, peak: f64, turn: usize, grown_mib: &mut dyn FnMut() -> f64) -> Over {
    let usual = (TOKENS.start + TOKENS.end - 1) as f64 / 2.0;
    let due = steady((OVERLOAD * peak / usual).max(1.0), RAMP + WINDOW + TAIL);
    let window = Window::new(Instant::now() + RAMP, WINDOW);
    let hang_up = window.end() + TAIL;
    let spent = Spent::begin();
    let (load, growth_mib) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            // Other questions than those of the peaks.
            open(&chat.until(hang_up), &due, &|number| {
                question(turn, 1000 + number)
            })
        });
        std::thread::sleep(window.end().saturating_duration_since(Instant::now()));
        let growth_mib = grown_mib();
        (
            load.join().unwrap_or(Load {
                answers: Vec::new(),
            }),
            growth_mib,
        )
    });
    Over {
        speed: window.tokens_per_second(&load.answers),
        refusals_ms: load.answers.iter().filter_map(refused_after_ms).collect(),
        broken: load.broken_before(hang_up),
        growth_mib,
        harness_share: spent.share(),
    }
}

fn question(turn: usize, number: usize) -> Ask {
    workload::plain(turn, number, 0, tokens_of(number))
}

/// All lengths equally often, neighbours far apart.
fn tokens_of(number: usize) -> u32 {
    const STEP: usize = 13;
    (TOKENS.start + number * STEP % TOKENS.len()) as u32
}

fn refused_after_ms(answer: &Answer) -> Option<f64> {
    let refused = matches!(answer.outcome, Outcome::Refused(429 | 503));
    refused.then(|| milliseconds(answer.ended - answer.asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_equally_often() {
        let mut lengths: Vec<usize> = (0..TOKENS.len())
            .map(|number| tokens_of(number) as usize)
            .collect();
        assert!(lengths[0].abs_diff(lengths[1]) > 8);
        lengths.sort_unstable();
        assert!(lengths.into_iter().eq(TOKENS));
    }
}
