//! Sightings of the last minutes, and what follows from them: rates and times.
//!
//! Pure. Invariant: numbers of two lives of a worker are never subtracted from each other; when a count falls, the
//! history begins anew, and only the drawn curves stay.

use std::collections::VecDeque;
use std::time::Duration;

use super::exposition::Exposition;
use super::facts::{Cache, Facts, Latencies, Latency, Named, Requests, Speed, Speeds, Tool};
use super::quantile::Quantiles;
use super::sighting::{Node, Sighting};

/// Over how long times and shares are taken.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Over how long the written speed is taken, so that it can be read.
const SPEED_WINDOW: Duration = Duration::from_secs(5);
/// How many points a curve keeps; more than a terminal is wide.
const POINTS_MAX: usize = 600;
/// How many sightings are kept at most, however fast they come.
const SIGHTINGS_MAX: usize = 128;

const FIRST_TOKEN: &str = "gaia_time_to_first_token_seconds";
const GAP: &str = "gaia_inter_token_latency_seconds";
const QUEUE: &str = "gaia_request_queue_time_seconds";
const WHOLE: &str = "gaia_e2e_request_latency_seconds";
const PROMPT_TOKENS: &str = "gaia_prompt_tokens_total";
const CACHED_TOKENS: &str = "gaia_prompt_tokens_cached_total";

type Counted = (Duration, Exposition);

/// What was seen, and what is drawn of it.
#[derive(Debug, Default)]
pub struct History {
    last: Sighting,
    counted: VecDeque<Counted>,
    writing: VecDeque<f64>,
    reading: VecDeque<f64>,
}

impl History {
    /// Adds what was seen now.
    pub fn push(&mut self, sighting: Sighting) {
        match &sighting.counts {
            None => self.counted.clear(),
            Some(counts) => self.count(sighting.at, counts.clone()),
        }
        let points = [
            (&mut self.writing, written as fn(&Exposition) -> f64),
            (&mut self.reading, read),
        ];
        for (curve, value) in points {
            let newest = self.counted.len().saturating_sub(2);
            let point = rate(self.counted.range(newest..), value).unwrap_or(0.0);
            curve.push_back(point);
            if curve.len() > POINTS_MAX {
                curve.pop_front();
            }
        }
        self.last = sighting;
    }

    fn count(&mut self, at: Duration, counts: Exposition) {
        let before = self.counted.back();
        if before.is_some_and(|(_, before)| is_another_life(before, &counts)) {
            self.counted.clear();
        }
        self.counted.push_back((at, counts));
        let is_old = |first: &Counted| at.saturating_sub(first.0) > WINDOW;
        while self.counted.front().is_some_and(is_old) || self.counted.len() > SIGHTINGS_MAX {
            self.counted.pop_front();
        }
    }

    /// Nothing was seen yet.
    pub fn is_empty(&self) -> bool {
        self.writing.is_empty()
    }

    /// What there is to show.
    pub fn facts(&self) -> Facts {
        let counts = self.counted.back().map(|(_, counts)| counts);
        let sum = |name: &str| counts.and_then(|counts| counts.sum(name));
        let whole = |name: &str| sum(name).map(|value| value as u64);
        Facts {
            node: match &self.last.node {
                Node::Running(running) => Some((**running).clone()),
                Node::Absent | Node::Beginning => None,
            },
            is_beginning: self.last.node == Node::Beginning,
            is_counted: counts.is_some(),
            requests: Requests {
                running: whole("gaia_requests_running"),
                waiting: whole("gaia_requests_waiting"),
                answered: whole(&format!("{WHOLE}_count")),
                aborted: whole("gaia_aborted_total"),
                refused: counts.and_then(refused),
                refused_for: counts.map(reasons).unwrap_or_default(),
            },
            speed: self.speeds(),
            latency: self.latencies(),
            cache: Cache {
                kv_cells_used: whole("gaia_kv_cells_used"),
                kv_cells: whole("gaia_kv_cells"),
                hit_share: counts.and_then(|counts| hit_share(&Exposition::default(), counts)),
                hit_share_minute: self.over_the_window(hit_share),
            },
            tools: counts.map(tools).unwrap_or_default(),
            keys: self.last.keys.clone(),
            memory: counts.map(memory).unwrap_or_default(),
            log: self.last.log.clone(),
        }
    }

    fn over_the_window<T>(&self, of: fn(&Exposition, &Exposition) -> Option<T>) -> Option<T> {
        of(&self.counted.front()?.1, &self.counted.back()?.1)
    }

    fn speeds(&self) -> Speeds {
        let now = self.counted.back().map_or(Duration::ZERO, |(at, _)| *at);
        let recent = self
            .counted
            .iter()
            .position(|(at, _)| now.saturating_sub(*at) <= SPEED_WINDOW)
            .unwrap_or_default();
        let speed = |curve: &VecDeque<f64>, value| Speed {
            now: rate(self.counted.range(recent..), value),
            curve: curve.iter().copied().collect(),
        };
        Speeds {
            writing: speed(&self.writing, written),
            reading: speed(&self.reading, read),
        }
    }

    fn latencies(&self) -> Latencies {
        let none = Exposition::default();
        let first = self.counted.front().map_or(&none, |(_, counts)| counts);
        let last = self.counted.back().map_or(&none, |(_, counts)| counts);
        let latency = |name: &str| Latency {
            minute: Quantiles::between(&first.buckets(name), &last.buckets(name)),
            all: Quantiles::between(&[], &last.buckets(name)),
        };
        Latencies {
            first_token: latency(FIRST_TOKEN),
            gap: latency(GAP),
            queue: latency(QUEUE),
            whole: latency(WHOLE),
        }
    }
}

/// Whether `now` was counted by a worker that began after `before`.
fn is_another_life(before: &Exposition, now: &Exposition) -> bool {
    [
        "gaia_uptime_seconds",
        PROMPT_TOKENS,
        "gaia_http_responses_total",
    ]
    .into_iter()
    .any(|name| now.sum(name) < before.sum(name))
}

/// Pieces of answers written so far. They are counted as they come; tokens only when their answer has ended.
fn written(counts: &Exposition) -> f64 {
    let pieces = |name: &str| counts.sum(&format!("{name}_count")).unwrap_or(0.0);
    pieces(FIRST_TOKEN) + pieces(GAP)
}

/// Prompt tokens that the model read, rather than finding them in its cache.
fn read(counts: &Exposition) -> f64 {
    let prompts = counts.sum(PROMPT_TOKENS).unwrap_or(0.0);
    prompts - counts.sum(CACHED_TOKENS).unwrap_or(0.0)
}

/// How much `value` grew a second from the first of `counted` to the last.
fn rate<'a>(
    mut counted: impl DoubleEndedIterator<Item = &'a Counted>,
    value: fn(&Exposition) -> f64,
) -> Option<f64> {
    let (end, now) = counted.next_back()?;
    let (start, before) = counted.next()?;
    let seconds = end.checked_sub(*start)?.as_secs_f64();
    (seconds > 0.0).then(|| ((value(now) - value(before)) / seconds).max(0.0))
}

fn hit_share(before: &Exposition, now: &Exposition) -> Option<f64> {
    let grown = |name: &str| Some(now.sum(name)? - before.sum(name).unwrap_or(0.0));
    let prompts = grown(PROMPT_TOKENS)?;
    let cached = grown(CACHED_TOKENS)?;
    (prompts > 0.0).then_some(cached / prompts)
}

/// All that were sent away: at the door, and for want of a place.
fn refused(counts: &Exposition) -> Option<u64> {
    let at_the_door = counts.sum("gaia_ingress_refused_total");
    let queue_full = counts.sum("gaia_refused_total");
    match (at_the_door, queue_full) {
        (None, None) => None,
        (door, queue) => Some((door.unwrap_or(0.0) + queue.unwrap_or(0.0)) as u64),
    }
}

fn reasons(counts: &Exposition) -> Vec<Named> {
    let mut reasons = named(counts.by("gaia_ingress_refused_total", "reason"));
    let queue_full = counts.sum("gaia_refused_total").unwrap_or(0.0) as u64;
    reasons.push(Named {
        name: "queue_full".to_owned(),
        count: queue_full,
    });
    reasons.retain(|reason| reason.count > 0);
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    reasons
}

fn memory(counts: &Exposition) -> Vec<Named> {
    named(counts.by("gaia_process_resident_bytes", "process"))
}

fn named(values: std::collections::BTreeMap<&str, f64>) -> Vec<Named> {
    values
        .into_iter()
        .map(|(name, value)| Named {
            name: name.to_owned(),
            count: value as u64,
        })
        .collect()
}

/// The node's tools, those called most often first.
fn tools(counts: &Exposition) -> Vec<Tool> {
    let failures = counts.by("gaia_tool_failures_total", "tool");
    let seconds = counts.by("gaia_tool_seconds_total", "tool");
    let of = |values: &std::collections::BTreeMap<&str, f64>, name| {
        values.get(name).copied().unwrap_or(0.0)
    };
    let mut tools: Vec<Tool> = counts
        .by("gaia_tool_calls_total", "tool")
        .into_iter()
        .map(|(name, calls)| Tool {
            name: name.to_owned(),
            calls: calls as u64,
            failures: of(&failures, name) as u64,
            seconds_each: of(&seconds, name) / calls.max(1.0),
        })
        .collect();
    tools.sort_by_key(|tool| std::cmp::Reverse(tool.calls));
    tools
}

#[cfg(test)]
mod tests;
