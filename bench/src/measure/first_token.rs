//! Time to first token of a text of a thousand tokens: read for the first time, and with another question about it.

use super::Plan;
use crate::chat::Chat;
use crate::contender::llama_server::{Cache, LlamaServer};
use crate::contender::node::Node;
use crate::load::milliseconds;
use crate::report::{Bar, Section};
use crate::statistics::median;
use crate::workload;

const TOKENS: u32 = 8;
const WARM: usize = 3;

/// Warm against cold, and warm against llama-server's warm.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let node = Node::start(&setting)?;
    let node_chat = node.chat()?;
    let server = plan
        .llama
        .as_deref()
        .map(|bin| LlamaServer::start(bin, &setting, Cache::Unified))
        .transpose()?;
    let server_chat = server.as_ref().map(LlamaServer::chat);
    let mut chats: Vec<&dyn Chat> = vec![&node_chat];
    chats.extend(server_chat.as_ref().map(|chat| chat as &dyn Chat));

    let mut times = vec![(Vec::new(), Vec::new()); chats.len()];
    for round in 0..plan.rounds {
        for (chat, (cold, warm)) in chats.iter().zip(&mut times) {
            let first = |turn| {
                let ask = workload::retrieval(&format!("first {round}"), 0, turn, TOKENS);
                milliseconds(chat.answer(&ask).first())
            };
            cold.push(first(0));
            warm.push(median(&(1..=WARM).map(first).collect::<Vec<_>>()));
        }
    }
    let mut section = Section::default();
    for (chat, (cold, warm)) in chats.iter().zip(&times) {
        section.note(
            "time to first token, 1k-token prefix, cold",
            chat.name(),
            "ms",
            cold,
        );
        section.note(
            "time to first token, 1k-token prefix, warm",
            chat.name(),
            "ms",
            warm,
        );
    }
    section.compare(
        "time to first token, shared 1k-token prefix, warm : cold",
        &times[0].1,
        &times[0].0,
        Bar::AtMost(0.15),
    );
    if let Some((_, theirs)) = times.get(1) {
        section.compare(
            "time to first token, warm, node : llama-server",
            &times[0].1,
            theirs,
            Bar::AtMost(1.0),
        );
    }
    Ok(section)
}
