//! How long a start takes and how much memory is used then, against llama-server: one at a time, each alone.

use std::time::Instant;

use super::Plan;
use super::pairs::Pairs;
use crate::chat::Chat;
use crate::contender::Setting;
use crate::contender::llama_server::{Cache, LlamaServer};
use crate::contender::node::Node;
use crate::load::closed;
use crate::memory;
use crate::report::{Bar, Section};
use crate::workload;

const STREAMS: usize = 8;
const TOKENS: u32 = 16;
/// Starts in each round. After the first the memory is measured too.
const STARTS: usize = 4;

/// Start to ready, and memory after eight requests at a time.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    // The first start compiles the application, which happens once a machine.
    let mut node = Node::start(&setting)?;
    node.stop();
    let (mut seconds, mut memory_mib) = (Pairs::default(), Pairs::default());
    for round in 0..plan.rounds {
        let worked = |number: usize| (number == 0).then_some(round);
        match &plan.llama {
            Some(bin) => seconds.add(
                STARTS,
                |number| ours(&mut node, worked(number), &mut memory_mib.ours),
                |number| {
                    let start = || LlamaServer::start(bin, &setting, Cache::Unified);
                    theirs(start, worked(number), &mut memory_mib.theirs)
                },
            )?,
            None => seconds
                .ours
                .push(ours(&mut node, Some(round), &mut memory_mib.ours)?),
        }
    }
    Ok(told(&seconds, &memory_mib, &setting))
}

fn ours(node: &mut Node, work_of: Option<usize>, memory_mib: &mut Vec<f64>) -> anyhow::Result<f64> {
    let took = node.start_again()?;
    if let Some(round) = work_of {
        work(&node.chat()?, round);
        memory_mib.push(node.memory_mib());
    }
    node.stop();
    Ok(took.as_secs_f64())
}

fn theirs(
    start: impl FnOnce() -> anyhow::Result<LlamaServer>,
    work_of: Option<usize>,
    memory_mib: &mut Vec<f64>,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let server = start()?;
    let took = begun.elapsed();
    if let Some(round) = work_of {
        work(&server.chat(), round);
        memory_mib.push(memory::proportional_mib(&[server.pid()]));
    }
    Ok(took.as_secs_f64())
}

fn told(seconds: &Pairs, memory_mib: &Pairs, setting: &Setting) -> Section {
    let mut section = Section::default();
    let model_mib = std::fs::metadata(&setting.model).map_or(0, |file| file.len() >> 20);
    let memory = format!("memory with the same model of {model_mib} MiB");
    section.note("start to ready", "node", "s", &seconds.ours);
    section.note(&memory, "node", "MiB", &memory_mib.ours);
    if seconds.theirs.is_empty() {
        return section;
    }
    section.note("start to ready", "llama-server", "s", &seconds.theirs);
    section.note(&memory, "llama-server", "MiB", &memory_mib.theirs);
    let both = memory_mib.ours.iter().zip(&memory_mib.theirs);
    section.hold(
        "memory, node above llama-server, same model",
        "MiB",
        &both
            .map(|(ours, theirs)| ours - theirs)
            .collect::<Vec<f64>>(),
        Bar::AtMost(64.0),
    );
    section.hold(
        "start to ready, node : llama-server",
        "",
        &seconds.ratios(),
        Bar::AtMost(1.2),
    );
    section
}

fn work(chat: &dyn Chat, round: usize) {
    let _ = closed(chat, STREAMS, 1, &|stream, turn| {
        workload::plain(round, stream, turn, TOKENS)
    });
}
