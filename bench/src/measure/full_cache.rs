//! What is kept for later must not slow down what is written now: one stream, with nothing known and with
//! everything known that there is room for.

use super::Plan;
use super::throughput::writing_speed;
use crate::chat::{Chat, Served};
use crate::contender::Servers;
use crate::report::{Bar, Section};
use crate::statistics::{median, ratios};
use crate::workload;

/// Texts of a thousand tokens: they fill the room of 16,384 tokens but for what the measured answers need.
const DOCUMENTS: usize = 14;
const TOKENS: u32 = 64;

/// Tokens a second before and after.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let servers = Servers::start(&setting, plan.llama.as_deref())?;
    let mut section = Section::default();
    for chat in &servers.chats {
        let empty = speeds(chat, plan.rounds, 0);
        for number in 0..DOCUMENTS {
            chat.answer(&workload::retrieval(&format!("full {number}"), 0, 0, 1));
        }
        let full = speeds(chat, plan.rounds, 1000);
        section.note(
            "tokens/s, one stream, nothing known",
            chat.name(),
            "tokens/s",
            &empty,
        );
        section.note(
            "tokens/s, one stream, fourteen documents known",
            chat.name(),
            "tokens/s",
            &full,
        );
        if chat.name() == "node" {
            let name = "tokens/s, one stream, node, fourteen documents known : nothing known";
            section.hold(
                name,
                "",
                &ratios(&full, &[median(&empty)].repeat(full.len())),
                Bar::AtLeast(0.95),
            );
        }
    }
    Ok(section)
}

fn speeds(chat: &Served, rounds: usize, seed: usize) -> Vec<f64> {
    let ask = |round| workload::plain(seed + round, 7, 7, TOKENS);
    (0..rounds)
        .map(|round| writing_speed(&chat.answer(&ask(round))))
        .collect()
}
