//! Tokens a second: one stream against llama-bench, and one to sixteen against llama-server and llama-batched-bench.

use std::time::Instant;

use super::Plan;
use crate::chat::{Answer, Chat};
use crate::contender::Servers;
use crate::contender::engine::Engine;
use crate::load::closed;
use crate::memory;
use crate::report::{Bar, Line, Plot, Section};
use crate::statistics::{best, median, summary};
use crate::workload;

const ONE_STREAM_TOKENS: u32 = 128;
const ONE_STREAM_ANSWERS: usize = 3;

/// The engine writing for one request, against llama-bench.
pub fn one_stream(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let engine = Engine::load(&setting)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let answers: Vec<Answer> = (0..ONE_STREAM_ANSWERS)
            .map(|turn| engine.answer(&workload::plain(round, 0, turn, ONE_STREAM_TOKENS)))
            .collect();
        ours.push(median(
            &answers.iter().map(writing_speed).collect::<Vec<_>>(),
        ));
        let depth = answers.first().map_or(0, |answer| answer.prompt_tokens);
        if let Some(tools) = plan.tools() {
            theirs.push(tools.writing(&setting, depth, ONE_STREAM_TOKENS)?);
        }
    }
    let mut section = Section::default();
    section.note(
        "tokens/s, one stream, writing only",
        "engine bare",
        "tokens/s",
        &ours,
    );
    if !theirs.is_empty() {
        section.note(
            "tokens/s, one stream, writing only",
            "llama-bench",
            "tokens/s",
            &theirs,
        );
        section.compare(
            "tokens/s, one stream, engine : llama-bench",
            &ours,
            &theirs,
            Bar::AtLeast(0.98),
        );
    }
    Ok(section)
}

/// Tokens a second between the first and the last token: what llama-bench measures.
pub(super) fn writing_speed(answer: &Answer) -> f64 {
    match (answer.arrivals.first(), answer.arrivals.last()) {
        (Some(first), Some(last)) => {
            f64::from(answer.tokens.saturating_sub(1)) / (*last - *first).as_secs_f64()
        }
        _ => f64::NAN,
    }
}

const STREAMS: [usize; 5] = [1, 2, 4, 8, 16];
const TOKENS: u32 = 64;
const TURNS: usize = 2;
/// Where the bar is.
const BAR_STREAMS: usize = 8;

/// What one contender did: for each number of streams, tokens a second of each round.
struct Track {
    who: String,
    speeds: Vec<Vec<f64>>,
}

impl Track {
    fn new(who: &str) -> Self {
        Self {
            who: who.to_owned(),
            speeds: vec![Vec::new(); STREAMS.len()],
        }
    }

    fn at(&self, streams: usize) -> &[f64] {
        let index = STREAMS.iter().position(|count| *count == streams);
        index.map_or(&[], |index| &self.speeds[index])
    }

    fn line(&self) -> Line {
        let points = STREAMS
            .iter()
            .zip(&self.speeds)
            .map(|(streams, speeds)| (*streams as f64, summary(speeds)));
        Line {
            who: self.who.clone(),
            points: points.collect(),
        }
    }
}

/// Plain questions from one to sixteen clients at a time.
pub fn many_streams(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(16);
    let engine = Engine::load(&setting)?;
    let servers = Servers::start(&setting, plan.llama.as_deref())?;
    let mut chats: Vec<&dyn Chat> = vec![&engine];
    chats.extend(servers.chats.iter().map(|chat| chat as &dyn Chat));

    let mut tracks: Vec<Track> = chats.iter().map(|chat| Track::new(chat.name())).collect();
    let mut bench = Track::new("llama-batched-bench");
    let mut prompt_tokens = 0;
    let mut harness_share = Vec::new();
    for round in 0..plan.rounds {
        for (index, streams) in STREAMS.into_iter().enumerate() {
            for (chat, track) in chats.iter().zip(&mut tracks) {
                let ask = |stream, turn| workload::plain(round * 100 + index, stream, turn, TOKENS);
                let spent = Spent::begin();
                let load = closed(*chat, streams, TURNS, &ask);
                if chat.name() == "node" {
                    harness_share.push(spent.share());
                }
                prompt_tokens = load
                    .done()
                    .map(|answer| answer.prompt_tokens)
                    .max()
                    .unwrap_or(0);
                track.speeds[index].push(load.tokens_per_second());
            }
        }
        if let Some(tools) = plan.tools() {
            for (index, found) in tools
                .batched(&setting, prompt_tokens, TOKENS, &STREAMS)?
                .into_iter()
                .enumerate()
            {
                bench.speeds[index].push(found);
            }
        }
    }
    if plan.llama.is_some() {
        tracks.push(bench);
    }
    let mut section = compared(tracks);
    section.note(
        "processor time of the measuring program itself, of one core",
        "bench",
        "%",
        &harness_share,
    );
    Ok(section)
}

/// What this program burns while it measures another.
struct Spent {
    begun: Instant,
    cpu_seconds: f64,
}

impl Spent {
    fn begin() -> Self {
        Self {
            begun: Instant::now(),
            cpu_seconds: memory::cpu_seconds(std::process::id()),
        }
    }

    /// In percent of one core.
    fn share(&self) -> f64 {
        let cpu = memory::cpu_seconds(std::process::id()) - self.cpu_seconds;
        100.0 * cpu / self.begun.elapsed().as_secs_f64()
    }
}

fn compared(tracks: Vec<Track>) -> Section {
    let mut section = Section::default();
    for track in &tracks {
        for streams in STREAMS {
            section.note(
                &format!("tokens/s, {streams} streams, plain"),
                &track.who,
                "tokens/s",
                track.at(streams),
            );
        }
    }
    let at_bar = |who: &str| {
        tracks
            .iter()
            .find(|track| track.who == who)
            .map(|track| track.at(BAR_STREAMS).to_vec())
    };
    let node = at_bar("node").unwrap_or_default();
    if let Some(engine) = at_bar("engine bare") {
        section.compare(
            "tokens/s, eight streams, node : engine bare",
            &node,
            &engine,
            Bar::AtLeast(0.9),
        );
    }
    let peers: Vec<Vec<f64>> = ["llama-server", "llama-server, split cache"]
        .into_iter()
        .filter_map(at_bar)
        .collect();
    if !peers.is_empty() {
        let server = best(&peers.iter().map(Vec::as_slice).collect::<Vec<_>>());
        section.compare(
            "tokens/s, eight streams, node : llama-server",
            &node,
            &server,
            Bar::AtLeast(1.0),
        );
    }
    if let Some(bench) = at_bar("llama-batched-bench") {
        section.compare(
            "tokens/s, eight streams, node : llama-batched-bench",
            &node,
            &bench,
            Bar::AtLeast(0.95),
        );
    }
    section.plots.push(Plot {
        file: "streams".to_owned(),
        title: "Plain questions: tokens/s by streams".to_owned(),
        x: "streams at a time".to_owned(),
        y: "tokens/s, prompts included in the time".to_owned(),
        lines: tracks.iter().map(Track::line).collect(),
    });
    section
}
