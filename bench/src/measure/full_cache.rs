//! What is kept for later must not slow down what is written now: one stream of a server that knows nothing beside
//! one of a server that knows all that it has room for.

use super::Plan;
use super::pairs::Pairs;
use super::throughput::writing_speed;
use crate::chat::{Chat, Served};
use crate::contender::Servers;
use crate::contender::llama_server::Cache;
use crate::report::{Bar, Section};
use crate::workload;

/// Texts of a thousand tokens: they fill the room of 16,384 tokens but for what the measured answers need.
const DOCUMENTS: usize = 14;
const TOKENS: u32 = 64;
/// In each round.
const PAIRS: usize = 4;

/// Tokens a second of both.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let start = || Servers::start(&setting, plan.llama.as_deref(), &[Cache::Unified]);
    let (full, empty) = (start()?, start()?);
    for chat in &full.chats {
        for number in 0..DOCUMENTS {
            chat.answer(&workload::retrieval(&format!("full {number}"), 0, 0, 1));
        }
    }
    let mut found = vec![Pairs::default(); full.chats.len()];
    for round in 0..plan.rounds {
        let chats = full.chats.iter().zip(&empty.chats);
        for ((full, empty), pairs) in chats.zip(&mut found) {
            let speed = |chat: &Served, number: usize| {
                Ok(writing_speed(
                    &chat.answer(&workload::plain(round, 7, number, TOKENS)),
                ))
            };
            pairs.add(
                PAIRS,
                |number| speed(full, number),
                |number| speed(empty, number),
            )?;
        }
    }
    Ok(told(&full.chats, &found))
}

fn told(chats: &[Served], found: &[Pairs]) -> Section {
    let mut section = Section::default();
    for (chat, pairs) in chats.iter().zip(found) {
        for (what, speeds) in [
            ("nothing known", &pairs.theirs),
            ("fourteen documents known", &pairs.ours),
        ] {
            let what = format!("tokens/s, one stream, {what}");
            section.note(&what, chat.name(), "tokens/s", speeds);
        }
        let name = format!(
            "tokens/s, one stream, {}, fourteen documents known : nothing known",
            chat.name()
        );
        match chat.name() {
            "node" => section.hold(&name, "", &pairs.ratios(), Bar::AtLeast(0.95)),
            _ => section.note(&name, chat.name(), "", &pairs.ratios()),
        }
    }
    section
}
