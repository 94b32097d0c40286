//! Whether guessing tokens pays: the engine with it beside the engine without, where there is most to guess.
//!
//! The rows back the default, which is not to guess; they have no bar. One stream at a time has most to gain: a second
//! row of a step costs little where the step waits for the weights.

use anyhow::ensure;
use gaia_engine::Speculation;

use super::Plan;
use super::pairs::Pairs;
use crate::contender::engine::Engine;
use crate::load::{Load, closed};
use crate::report::Section;
use crate::workload;

const TOKENS: u32 = 64;
/// Streams at a time, and pairs of measurements in each round: more where one is short.
const STREAMS: [(usize, usize); 4] = [(1, 2), (2, 1), (4, 1), (8, 1)];

/// Requests to repeat passages word for word, with `auto` and off in turn.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let setting = plan.setting(8);
    let auto = Engine::guessing(&setting, Speculation::Auto)?;
    let off = Engine::guessing(&setting, Speculation::Off)?;
    // What a guess costs is measured by the engine itself, in its first answers.
    for engine in [&auto, &off] {
        written(engine, 8, plan.rounds)?;
    }
    let mut found = STREAMS.map(|_| Pairs::default());
    for round in 0..plan.rounds {
        for ((streams, pairs), found) in STREAMS.iter().zip(&mut found) {
            // Never the same text twice: an answer that was given before would be all there is to guess from.
            let number = |pair: usize| (round * 100 + streams) * 10 + pair;
            found.add(
                *pairs,
                |pair| written(&auto, *streams, number(pair)),
                |pair| written(&off, *streams, number(pair)),
            )?;
        }
    }
    Ok(told(&found))
}

/// Tokens a second. All answers have all their tokens, or it is an error: guesses change no answer's length.
fn written(engine: &Engine, streams: usize, number: usize) -> anyhow::Result<f64> {
    let load = closed(engine, streams, 1, &|stream, _| {
        workload::quoting(number, stream, TOKENS)
    });
    ensure!(
        all_complete(&load),
        "an answer of {TOKENS} tokens has another number of them"
    );
    Ok(load.tokens_per_second())
}

fn all_complete(load: &Load) -> bool {
    let complete = load.done().filter(|answer| answer.tokens == TOKENS);
    complete.count() == load.answers.len()
}

fn told(found: &[Pairs]) -> Section {
    let mut section = Section::default();
    for ((streams, _), pairs) in STREAMS.iter().zip(found) {
        let what = format!("quoting passages, streams: {streams}, tokens/s");
        for (who, speeds) in [("auto", &pairs.ours), ("off", &pairs.theirs)] {
            let who = format!("engine bare, speculation {who}");
            section.note(&what, &who, "tokens/s", speeds);
        }
        let name = format!("{what}, speculation auto : off");
        section.show(&name, &pairs.ours, &pairs.theirs);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Answer, Outcome};

    #[test]
    fn a_short_answer_is_no_measurement() {
        let check = |tokens: &[u32], expected: bool| {
            let answers = tokens.iter().map(|tokens| Answer {
                outcome: Outcome::Done,
                tokens: *tokens,
                ..Answer::begun()
            });
            let load = Load {
                answers: answers.collect(),
            };
            assert_eq!(all_complete(&load), expected);
        };
        check(&[TOKENS, TOKENS], true);
        check(&[TOKENS, TOKENS - 1], false);
    }
}
