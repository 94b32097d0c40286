//! Questions that come when they come, at rising rates: how long one waits for its first token, and how many are
//! answered in good time.

use std::time::Duration;

use super::Plan;
use crate::chat::{Chat, Served};
use crate::contender::Servers;
use crate::contender::llama_server::Cache;
use crate::load::{Load, closed, milliseconds, open, random};
use crate::report::{Line, Plot, Section};
use crate::statistics::{Summary, summary, summary_of};
use crate::workload;

const TOKENS: u32 = 32;
/// Rates, in shares of what the node answers at most.
const SHARES: [f64; 4] = [0.5, 0.8, 1.1, 1.6];
const PEAK_STREAMS: usize = 8;
const PEAK_TURNS: usize = 2;
/// At most: there are no bars, and each round takes more than a minute.
const ROUNDS_MAX: usize = 3;
const DURATION: Duration = Duration::from_secs(5);
/// An answer that has begun by then came in good time.
const GOOD: Duration = Duration::from_secs(2);

/// The node beside llama-server, both at the same moments. Without bars.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let servers = Servers::start(&setting, plan.llama.as_deref(), &[Cache::Unified])?;
    let rates = rates(&servers.chats[0]);
    let mut tracks: Vec<Track> = servers
        .chats
        .iter()
        .map(|chat| Track::new(chat.name()))
        .collect();
    for round in 0..plan.rounds.min(ROUNDS_MAX) {
        for (step, rate) in rates.iter().enumerate() {
            // A number of its own for each, so that no question is asked twice.
            let run = 10 + round * SHARES.len() + step;
            let due = random(*rate, DURATION, run as u64);
            for (chat, track) in servers.chats.iter().zip(&mut tracks) {
                let load = open(chat, &due, &|number| {
                    workload::plain(run, number, 0, TOKENS)
                });
                track.steps[step].add(&load);
            }
        }
    }
    Ok(told(&rates, &tracks))
}

/// Requests a second, rounded to a tenth.
fn rates(chat: &Served) -> [f64; SHARES.len()] {
    let load = closed(chat, PEAK_STREAMS, PEAK_TURNS, &|stream, turn| {
        workload::plain(0, stream, turn, TOKENS)
    });
    let peak = load.tokens_per_second() / f64::from(TOKENS);
    SHARES.map(|share| (10.0 * share * peak).round().max(1.0) / 10.0)
}

/// One contender, rate by rate.
struct Track {
    who: String,
    steps: [Step; SHARES.len()],
}

impl Track {
    fn new(who: &str) -> Self {
        Self {
            who: who.to_owned(),
            steps: Default::default(),
        }
    }

    fn line(&self, what: &str, rates: &[f64], found: impl Fn(&Step) -> Summary) -> Line {
        let points = rates.iter().zip(&self.steps);
        Line {
            who: format!("{}{what}", self.who),
            points: points.map(|(rate, step)| (*rate, found(step))).collect(),
        }
    }
}

#[derive(Default)]
struct Step {
    /// Of every answer of every round.
    first_ms: Vec<f64>,
    /// Answers in good time a second, of each round.
    good: Vec<f64>,
}

impl Step {
    fn add(&mut self, load: &Load) {
        self.first_ms.extend(load.first_ms());
        let good = load.done().filter(|answer| answer.first() <= GOOD).count();
        self.good.push(good as f64 / DURATION.as_secs_f64());
    }

    fn first(&self, part: f64) -> Summary {
        summary_of(&self.first_ms, part)
    }
}

fn told(rates: &[f64], tracks: &[Track]) -> Section {
    let mut section = Section::default();
    for (number, rate) in rates.iter().enumerate() {
        for track in tracks {
            let step = &track.steps[number];
            let mut note = |what: &str, unit: &str, found: Summary| {
                let what = format!("open loop, {rate:.1} requests/s: {what}");
                section.note_found(&what, &track.who, unit, found);
            };
            note("time to first token, median", "ms", step.first(0.5));
            note("time to first token, p99", "ms", step.first(0.99));
            note("answers in good time", "1/s", summary(&step.good));
        }
    }
    let lines = |what: &str, found: &dyn Fn(&Step) -> Summary| {
        let line = |track: &Track| track.line(what, rates, found);
        tracks.iter().map(line).collect::<Vec<_>>()
    };
    let mut waits = lines(", median", &|step| step.first(0.5));
    waits.extend(lines(", p99", &|step| step.first(0.99)));
    section.plots.push(plot(
        "open-first",
        "Open loop: time to first token",
        "ms",
        waits,
    ));
    section.plots.push(plot(
        "open-good",
        &format!(
            "Open loop: answers begun within {} s",
            milliseconds(GOOD) / 1000.0
        ),
        "answers a second",
        lines("", &|step| summary(&step.good)),
    ));
    section
}

fn plot(file: &str, title: &str, y: &str, lines: Vec<Line>) -> Plot {
    Plot {
        file: file.to_owned(),
        title: title.to_owned(),
        x: "requests a second (Poisson)".to_owned(),
        y: y.to_owned(),
        lines,
    }
}
