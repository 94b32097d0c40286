//! The short form: only ours against ours, under two minutes, judged with margins that a busy machine keeps.

use super::{Plan, first_token, isolation};
use crate::contender::engine::Engine;
use crate::contender::node::Node;
use crate::load::closed;
use crate::report::{Bar, Section};
use crate::workload;

const STREAMS: usize = 8;
const TOKENS: u32 = 32;

/// The sandbox's cost, the prefix cache's gain, and isolation.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let mut section = speed(plan)?;
    let mut first = first_token::measure(plan)?;
    for row in &mut first.rows {
        row.bar = Some(Bar::AtMost(0.5));
    }
    for part in [first, isolation::measure(plan)?] {
        section.rows.extend(part.rows);
        section.figures.extend(part.figures);
    }
    Ok(section)
}

fn speed(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let engine = Engine::load(&setting)?;
    let node = Node::start(&setting)?;
    let chat = node.chat()?;
    let (mut whole, mut bare) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let ask = |stream, turn| workload::plain(round, stream, turn, TOKENS);
        bare.push(closed(&engine, STREAMS, 1, &ask).tokens_per_second());
        whole.push(closed(&chat, STREAMS, 1, &ask).tokens_per_second());
    }
    let mut section = Section::default();
    section.note("tokens/s, eight streams", "node", "tokens/s", &whole);
    section.note("tokens/s, eight streams", "engine bare", "tokens/s", &bare);
    section.compare(
        "tokens/s, eight streams, node : engine bare",
        &whole,
        &bare,
        Bar::AtLeast(0.6),
    );
    Ok(section)
}
