//! Time to first token of a text of a thousand tokens: read for the first time, and with another question about it.

use super::Plan;
use super::pairs::Pairs;
use crate::chat::{Chat, Served};
use crate::contender::Servers;
use crate::contender::llama_server::Cache;
use crate::load::{milliseconds, settle};
use crate::report::{Bar, Section};
use crate::statistics::{median, ratios};
use crate::workload;

const TOKENS: u32 = 8;
/// Questions about a text that has been read.
const WARM: usize = 6;

/// Warm against cold, and warm against llama-server's warm.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let servers = Servers::start(&setting, plan.llama.as_deref(), &[Cache::Unified])?;
    let mut section = Section::default();
    match servers.chats.as_slice() {
        [node, server] => against(plan, node, server, &mut section)?,
        chats => {
            let mut found = Found::default();
            for round in 0..plan.rounds {
                let chat = &chats[0];
                found.cold.push(first(chat, round, 0));
                let warm: Vec<f64> = (1..=WARM).map(|turn| first(chat, round, turn)).collect();
                found.warm.push(median(&warm));
            }
            found.tell(&chats[0], &mut section);
            found.hold(&mut section);
        }
    }
    Ok(section)
}

fn against(
    plan: &Plan,
    node: &Served,
    server: &Served,
    section: &mut Section,
) -> anyhow::Result<()> {
    let (mut ours, mut theirs, mut all) = (Found::default(), Found::default(), Pairs::default());
    for round in 0..plan.rounds {
        settle();
        ours.cold.push(first(node, round, 0));
        settle();
        theirs.cold.push(first(server, round, 0));
        let mut warm = Pairs::default();
        warm.add(
            WARM,
            |turn| Ok(first(node, round, turn + 1)),
            |turn| Ok(first(server, round, turn + 1)),
        )?;
        ours.warm.push(median(&warm.ours));
        theirs.warm.push(median(&warm.theirs));
        all.ours.append(&mut warm.ours);
        all.theirs.append(&mut warm.theirs);
    }
    ours.tell(node, section);
    theirs.tell(server, section);
    ours.hold(section);
    section.hold(
        "time to first token, warm, node : llama-server",
        "",
        &all.ratios(),
        Bar::AtMost(1.0),
    );
    Ok(())
}

fn first(chat: &Served, round: usize, turn: usize) -> f64 {
    let ask = workload::retrieval(&format!("first {round}"), 0, turn, TOKENS);
    milliseconds(chat.answer(&ask).first())
}

/// Of each round, in milliseconds.
#[derive(Default)]
struct Found {
    cold: Vec<f64>,
    warm: Vec<f64>,
}

impl Found {
    fn tell(&self, chat: &Served, section: &mut Section) {
        for (what, values) in [("cold", &self.cold), ("warm", &self.warm)] {
            let what = format!("time to first token, 1k-token prefix, {what}");
            section.note(&what, chat.name(), "ms", values);
        }
    }

    fn hold(&self, section: &mut Section) {
        section.hold(
            "time to first token, shared 1k-token prefix, warm : cold",
            "",
            &ratios(&self.warm, &self.cold),
            Bar::AtMost(0.15),
        );
    }
}
