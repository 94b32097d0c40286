//! Retrieval chat: a long text that many requests share, and a short question.
//!
//! Three ways it comes: eight clients meet a document that nobody asked about before (as when the knowledge has
//! changed); they go on with the same one; and they ask about twelve documents in turn, more than there are
//! sequences, as a knowledge base has it.

use super::Plan;
use super::peers::against_llama_server;
use crate::chat::{Ask, Chat, Served};
use crate::contender::Servers;
use crate::contender::llama_cpp_server::LlamaCppServer;
use crate::load::closed;
use crate::report::{Bar, Section};
use crate::statistics::median;
use crate::workload;

const STREAMS: usize = 8;
const TOKENS: u32 = 32;
const DOCUMENTS: usize = 12;

/// One way in which questions share their documents.
struct Way {
    name: &'static str,
    /// The document that the `number`th question of a round is about.
    document: fn(round: usize, number: usize) -> String,
    /// How many documents are asked about once before.
    known: usize,
    /// Questions of each client, one after the other.
    turns: usize,
    bar: f64,
}

const NEW: Way = Way {
    name: "a document new to all",
    document: |round, _| format!("new {round}"),
    known: 0,
    turns: 1,
    bar: 1.2,
};

const KNOWN: Way = Way {
    name: "a known document",
    document: |_, _| "shelf 0".to_owned(),
    known: 1,
    turns: 2,
    bar: 1.0,
};

const SHELF: Way = Way {
    name: "twelve known documents",
    document: |round, number| format!("shelf {}", (round * 7 + number * 5) % DOCUMENTS),
    known: DOCUMENTS,
    turns: 1,
    bar: 1.0,
};

/// One document, new and known.
pub fn one_document(plan: &Plan) -> anyhow::Result<Section> {
    measure(plan, &[NEW, KNOWN])
}

/// More documents than sequences.
pub fn shelf(plan: &Plan) -> anyhow::Result<Section> {
    measure(plan, &[SHELF])
}

fn measure(plan: &Plan, ways: &[Way]) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let mut section = Section::default();
    let mut servers = Servers::start(&setting, plan.llama.as_deref(), plan.ways)?;
    let one_by_one = plan.llama_cpp_server.start(&setting, &mut section);
    servers
        .chats
        .extend(one_by_one.as_ref().map(LlamaCppServer::chat));
    for way in ways {
        let found = rounds(plan.rounds, way, &servers.chats);
        for (chat, found) in servers.chats.iter().zip(&found) {
            let mut note = |what: &str, unit: &str, values: &[f64]| {
                section.note(
                    &format!("retrieval, {}: {what}", way.name),
                    chat.name(),
                    unit,
                    values,
                );
            };
            note("tokens/s", "tokens/s", &found.speeds);
            note("time to first token", "ms", &found.first_ms);
            if chat.tells_usage() {
                note("share of prompts from the cache", "", &found.cached);
            }
        }
        let speeds = |who: &str| {
            let place = servers.chats.iter().position(|chat| chat.name() == who)?;
            found.get(place).map(|found| found.speeds.as_slice())
        };
        let what = format!("retrieval chat, eight streams, {}", way.name);
        let ours = speeds("node").unwrap_or_default();
        against_llama_server(&mut section, &what, ours, speeds, Bar::AtLeast(way.bar));
    }
    Ok(section)
}

#[derive(Default)]
struct Found {
    speeds: Vec<f64>,
    first_ms: Vec<f64>,
    cached: Vec<f64>,
}

fn rounds(count: usize, way: &Way, chats: &[Served]) -> Vec<Found> {
    let ask = |round: usize, stream: usize, turn: usize| -> Ask {
        let document = (way.document)(round, turn * STREAMS + stream);
        workload::retrieval(&document, stream + 100 * round, turn, TOKENS)
    };
    // Every sequence of every contender meets what is to be known.
    for chat in chats.iter().filter(|_| way.known > 0) {
        let turns = way.known.div_ceil(STREAMS);
        let _ = closed(chat, STREAMS, turns, &|stream, turn| {
            ask(count, stream, turn)
        });
    }
    let mut found: Vec<Found> = chats.iter().map(|_| Found::default()).collect();
    for round in 0..count {
        for (chat, found) in chats.iter().zip(&mut found) {
            let load = closed(chat, STREAMS, way.turns, &|stream, turn| {
                ask(round, stream, turn)
            });
            found.speeds.push(load.tokens_per_second());
            found.first_ms.push(median(&load.first_ms()));
            found.cached.push(load.cached_share());
        }
    }
    found
}
