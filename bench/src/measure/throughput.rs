//! Tokens a second: one stream against llama-bench, and one to sixteen against llama-server and llama-batched-bench.

use super::Plan;
use super::pairs::Pairs;
use super::peers::against_llama_server;
use crate::chat::{Answer, Chat};
use crate::contender::Servers;
use crate::contender::engine::Engine;
use crate::contender::llama_cpp_server::{self, LlamaCppServer};
use crate::load::closed;
use crate::memory::Spent;
use crate::report::{Bar, Line, Plot, Section};
use crate::statistics::summary;
use crate::workload;

const ONE_STREAM_TOKENS: u32 = 128;
/// In each round.
const ONE_STREAM_PAIRS: usize = 6;

/// The engine writing for one request, against llama-bench.
pub fn one_stream(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let engine = Engine::load(&setting)?;
    let write = |round, turn| engine.answer(&workload::plain(round, 0, turn, ONE_STREAM_TOKENS));
    let depth = write(plan.rounds, 0).prompt_tokens;
    let mut pairs = Pairs::default();
    for round in 0..plan.rounds {
        let ours = |turn| Ok(writing_speed(&write(round, turn)));
        match plan.tools() {
            Some(tools) => pairs.add(ONE_STREAM_PAIRS, ours, |_| {
                tools.writing(&setting, depth, ONE_STREAM_TOKENS)
            })?,
            None => pairs.ours.push(ours(0)?),
        }
    }
    let mut section = Section::default();
    let what = "tokens/s, one stream, writing only";
    section.note(what, "engine bare", "tokens/s", &pairs.ours);
    if !pairs.theirs.is_empty() {
        section.note(what, "llama-bench", "tokens/s", &pairs.theirs);
        section.hold(
            "tokens/s, one stream, engine : llama-bench",
            "",
            &pairs.ratios(),
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

const TOKENS: u32 = 64;
/// Where the bar is.
const BAR_STREAMS: usize = 8;

/// Questions of each client, one after the other: fewer where there is no bar.
fn turns(streams: usize) -> usize {
    match streams {
        ..=2 | BAR_STREAMS => 2,
        _ => 1,
    }
}

/// What one contender did: for each number of streams, tokens a second of each round.
struct Track {
    who: String,
    speeds: Vec<(usize, Vec<f64>)>,
}

impl Track {
    fn new(who: &str, streams: &[usize]) -> Self {
        Self {
            who: who.to_owned(),
            speeds: streams.iter().map(|count| (*count, Vec::new())).collect(),
        }
    }

    fn at(&self, streams: usize) -> &[f64] {
        let found = self.speeds.iter().find(|(count, _)| *count == streams);
        found.map_or(&[], |(_, speeds)| speeds)
    }

    fn line(&self) -> Line {
        let points = self
            .speeds
            .iter()
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
    let mut section = Section::default();
    let engine = Engine::load(&setting)?;
    let servers = Servers::start(&setting, plan.llama.as_deref(), plan.ways)?;
    let one_by_one = plan.llama_cpp_server.start(&setting, &mut section);
    let one_by_one = one_by_one.as_ref().map(LlamaCppServer::chat);
    let mut chats: Vec<&dyn Chat> = vec![&engine];
    chats.extend(
        servers
            .chats
            .iter()
            .chain(&one_by_one)
            .map(|chat| chat as &dyn Chat),
    );

    let mut tracks: Vec<Track> = chats
        .iter()
        .map(|chat| Track::new(chat.name(), plan.streams))
        .collect();
    let mut bench = Track::new("llama-batched-bench", plan.streams);
    let mut prompt_tokens = 0;
    let mut harness_share = Vec::new();
    for round in 0..plan.rounds {
        for (index, streams) in plan.streams.iter().copied().enumerate() {
            for number in in_turn(chats.len(), round) {
                let (chat, track) = (chats[number], &mut tracks[number]);
                let turns = turns_of(chat, plan, streams);
                if turns == 0 {
                    continue;
                }
                let ask = |stream, turn| workload::plain(round * 100 + index, stream, turn, TOKENS);
                let spent = Spent::begin();
                let load = closed(chat, streams, turns, &ask);
                if chat.name() == "node" {
                    harness_share.push(spent.share());
                    let prompts = load.done().map(|answer| answer.prompt_tokens);
                    prompt_tokens = prompts.max().unwrap_or(0);
                }
                track.speeds[index].1.push(load.tokens_per_second());
            }
        }
        if let Some(tools) = plan.tools() {
            let found = tools.batched(&setting, prompt_tokens, TOKENS, plan.streams)?;
            for ((_, speeds), found) in bench.speeds.iter_mut().zip(found) {
                speeds.push(found);
            }
        }
    }
    if plan.llama.is_some() {
        tracks.push(bench);
    }
    compare(&tracks, &mut section);
    section.note(
        "processor time of the measuring program itself, of one core",
        "bench",
        "%",
        &harness_share,
    );
    Ok(section)
}

/// Questions of each client. A server that answers one by one shows its speed in one turn of eight, and would take
/// minutes for more.
fn turns_of(chat: &dyn Chat, plan: &Plan, streams: usize) -> usize {
    match chat.name() {
        llama_cpp_server::NAME => usize::from(streams <= BAR_STREAMS),
        _ => plan.turns_factor * turns(streams),
    }
}

/// The order of so many contenders: another one comes first in each round.
fn in_turn(contenders: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..contenders).map(move |number| (number + round) % contenders)
}

fn compare(tracks: &[Track], section: &mut Section) {
    for track in tracks {
        let measured = track.speeds.iter().filter(|(_, speeds)| !speeds.is_empty());
        for (streams, speeds) in measured {
            let what = format!("tokens/s, {streams} streams, plain");
            section.note(&what, &track.who, "tokens/s", speeds);
        }
    }
    let at_bar = |who: &str| {
        let found = tracks.iter().find(|track| track.who == who);
        found.map(|track| track.at(BAR_STREAMS))
    };
    let node = at_bar("node").unwrap_or_default();
    if let Some(engine) = at_bar("engine bare") {
        section.compare(
            "tokens/s, eight streams, node : engine bare",
            node,
            engine,
            Bar::AtLeast(0.9),
        );
    }
    against_llama_server(
        section,
        "tokens/s, eight streams",
        node,
        at_bar,
        Bar::AtLeast(1.0),
    );
    if let Some(bench) = at_bar("llama-batched-bench") {
        section.compare(
            "tokens/s, eight streams, node : llama-batched-bench",
            node,
            bench,
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
}
