//! Retrieval chat: a long text that many requests share, and a short question.
//!
//! Three ways it comes: eight clients meet a document that nobody asked about before (as after a question has become
//! popular, or the knowledge has changed); they go on with the same one; and they ask about twelve documents in turn,
//! more than there are sequences, as a knowledge base has it.

use super::Plan;
use crate::chat::{Ask, Chat};
use crate::contender::llama_server::LlamaServer;
use crate::contender::node::Node;
use crate::load::{Load, closed};
use crate::report::{Bar, Section};
use crate::workload;

const STREAMS: usize = 8;
const TURNS: usize = 3;
const TOKENS: u32 = 32;
const DOCUMENTS: usize = 12;

/// One way in which questions share their documents.
struct Way {
    name: &'static str,
    /// The document that a stream's turn is about, by round.
    document: fn(round: usize, stream: usize, turn: usize) -> String,
    bar: Option<f64>,
}

const WAYS: [Way; 3] = [
    Way {
        name: "a document new to all eight streams",
        document: |round, _, _| format!("new {round}"),
        bar: Some(1.2),
    },
    Way {
        name: "one known document",
        document: |_, _, _| "known".to_owned(),
        bar: None,
    },
    Way {
        name: "twelve known documents in turn",
        document: |round, stream, turn| {
            format!(
                "shelf {}",
                (round * 7 + stream * 5 + turn * STREAMS) % DOCUMENTS
            )
        },
        bar: None,
    },
];

/// Tokens a second and times to first token in each way.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let node = Node::start(&setting)?;
    let node_chat = node.chat()?;
    let server = plan
        .llama
        .as_deref()
        .map(|bin| LlamaServer::start(bin, &setting))
        .transpose()?;
    let server_chat = server.as_ref().map(LlamaServer::chat);
    let mut chats: Vec<&dyn Chat> = vec![&node_chat];
    chats.extend(server_chat.as_ref().map(|chat| chat as &dyn Chat));

    let mut section = Section::default();
    for way in &WAYS {
        let found = rounds(plan.rounds, way, &chats);
        for (chat, found) in chats.iter().zip(&found) {
            section.note(
                &format!("tokens/s, retrieval, {}", way.name),
                chat.name(),
                "tokens/s",
                &found.speeds,
            );
            section.note(
                &format!("time to first token, retrieval, {}", way.name),
                chat.name(),
                "ms",
                &found.first_ms,
            );
            section.note(
                &format!("share of prompts taken from the cache, {}", way.name),
                chat.name(),
                "",
                &found.cached,
            );
        }
        if let [ours, theirs] = found.as_slice() {
            let name = format!(
                "retrieval chat, eight streams, {}, node : llama-server",
                way.name
            );
            section.compare(
                &name,
                &ours.speeds,
                &theirs.speeds,
                Bar::AtLeast(way.bar.unwrap_or(1.0)),
            );
        }
    }
    Ok(section)
}

#[derive(Default)]
struct Found {
    speeds: Vec<f64>,
    first_ms: Vec<f64>,
    cached: Vec<f64>,
}

fn rounds(count: usize, way: &Way, chats: &[&dyn Chat]) -> Vec<Found> {
    let mut found: Vec<Found> = chats.iter().map(|_| Found::default()).collect();
    let about = |round: usize, stream: usize, turn: usize| -> Ask {
        workload::retrieval(
            &(way.document)(round, stream, turn),
            stream + 100 * round,
            turn,
            TOKENS,
        )
    };
    // What is known must have been read before; a new document of this round belongs to no measured one.
    for chat in chats {
        let _ = load(*chat, &|stream, turn| about(count + 1, stream, turn));
    }
    for round in 0..count {
        for (chat, found) in chats.iter().zip(&mut found) {
            let load = load(*chat, &|stream, turn| about(round, stream, turn));
            found.speeds.push(load.tokens_per_second());
            found
                .first_ms
                .push(crate::statistics::median(&load.first_ms()));
            found.cached.push(load.cached_share());
        }
    }
    found
}

fn load(chat: &dyn Chat, ask: &(dyn Fn(usize, usize) -> Ask + Sync)) -> Load {
    closed(chat, STREAMS, TURNS, ask)
}
