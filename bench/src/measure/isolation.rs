//! Sixty-four clients, each of whose answers is forced to be a nonce of its own: none may see another's.
//!
//! With the tiny model of random numbers, so that ten thousand take minutes: what keeps answers apart is the same.

use e2e::random_model::{self, TINY};

use super::Plan;
use crate::contender::node::Node;
use crate::load::closed;
use crate::report::{Bar, Section};
use crate::workload;

const STREAMS: usize = 64;

/// Counts answers that are not what was forced.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    // All sixty-four run or wait; none is refused.
    let mut setting = plan.setting(32);
    setting.context = 512;
    setting.model = random_model::path(TINY);
    let node = Node::start(&setting)?;
    let turns = plan.isolation_requests.div_ceil(STREAMS);
    let load = closed(&node.chat()?, STREAMS, turns, &|stream, turn| {
        workload::forced(&nonce(stream, turn))
    });
    let wrong = load
        .answers
        .iter()
        .enumerate()
        .filter(|(number, answer)| answer.text != nonce(number / turns, number % turns));
    let wrong = wrong.count() as f64;
    let mut section = Section::default();
    for (what, unit, value) in [
        ("requests", "", load.answers.len() as f64),
        ("tokens/s", "tokens/s", load.accepted_tokens_per_second()),
    ] {
        let what = format!("each request forced to its own nonce, 64 at a time: {what}");
        section.note(&what, "node", unit, &[value]);
    }
    section.hold(
        "isolation, answers mixed, late or missing",
        "",
        &[wrong],
        Bar::AtMost(0.0),
    );
    Ok(section)
}

/// A word that no other request has.
fn nonce(stream: usize, turn: usize) -> String {
    let mixed = ((stream << 20 | turn) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{stream:02}x{:08x}", mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_differ() {
        let all: std::collections::HashSet<_> = (0..64)
            .flat_map(|stream| (0..200).map(move |turn| nonce(stream, turn)))
            .collect();
        assert_eq!(all.len(), 64 * 200);
    }
}
