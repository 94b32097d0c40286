//! How long a start takes and how much memory is used then, against llama-server: one at a time, each alone.

use std::time::Instant;

use super::Plan;
use crate::chat::Chat;
use crate::contender::llama_server::{Cache, LlamaServer};
use crate::contender::node::Node;
use crate::load::closed;
use crate::memory;
use crate::report::{Bar, Section};
use crate::workload;

const STREAMS: usize = 8;
const TOKENS: u32 = 16;

/// Start to ready, and memory after eight requests at a time.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    // The first start compiles the application, which happens once a machine.
    let node = Node::start(&setting)?;
    let (mut ours, mut theirs) = (Found::default(), Found::default());
    node.stop();
    for round in 0..plan.rounds {
        ours.seconds.push(node.start_again().as_secs_f64());
        work(&node.chat()?, round);
        ours.memory_mib.push(node.memory_mib());
        node.stop();
        if let Some(bin) = &plan.llama {
            let begun = Instant::now();
            let server = LlamaServer::start(bin, &setting, Cache::Unified)?;
            theirs.seconds.push(begun.elapsed().as_secs_f64());
            work(&server.chat(), round);
            theirs
                .memory_mib
                .push(memory::proportional_mib(&[server.pid()]));
        }
    }
    let mut section = Section::default();
    for (who, found) in [("node", &ours), ("llama-server", &theirs)] {
        if !found.seconds.is_empty() {
            section.note("start to ready", who, "s", &found.seconds);
            section.note("memory with the same model", who, "MiB", &found.memory_mib);
        }
    }
    if !theirs.seconds.is_empty() {
        let above: Vec<f64> = ours
            .memory_mib
            .iter()
            .zip(&theirs.memory_mib)
            .map(|(ours, theirs)| ours - theirs)
            .collect();
        section.hold(
            "memory, node above llama-server, same model",
            "MiB",
            &above,
            Bar::AtMost(64.0),
        );
        section.compare(
            "start to ready, node : llama-server",
            &ours.seconds,
            &theirs.seconds,
            Bar::AtMost(1.2),
        );
    }
    Ok(section)
}

#[derive(Default)]
struct Found {
    seconds: Vec<f64>,
    memory_mib: Vec<f64>,
}

fn work(chat: &dyn Chat, round: usize) {
    let _ = closed(chat, STREAMS, 1, &|stream, turn| {
        workload::plain(round, stream, turn, TOKENS)
    });
}
