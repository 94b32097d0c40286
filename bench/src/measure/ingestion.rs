//! `gaia knowledge add` in tokens a second, against what llama-bench embeds with the same model in texts as long.
//!
//! The node's own counter says how many tokens it embedded. llama-bench gives one text after the other, which for a
//! model of this kind is faster than several at a time (llama-batched-bench, shown beside): in one batch each text
//! is masked from all others at a cost.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::Value;

use super::Plan;
use super::pairs::Pairs;
use crate::contender::node::Node;
use crate::report::{Bar, Section};

const DOCUMENTS: usize = 40;
/// In each round.
const PAIRS: usize = 3;
const COUNTER: &str = "gaia_embedding_tokens_total";
/// The longest text that the model reads.
const TEXT_TOKENS_MAX: u32 = 512;
/// Texts at a time for llama-batched-bench.
const TOGETHER: usize = 8;

/// Shelves of documents, each new to the node.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let mut setting = plan.setting(8);
    let node = Node::start_with_store(&setting)?;
    setting.model = e2e::model(e2e::EMBEDDING_MODEL);
    // The first shelf says how long its passages are.
    let first = add_shelf(&node, "first")?;
    let length = (first.tokens / first.passages.max(1.0)).round() as u32;
    let length = length.clamp(1, TEXT_TOKENS_MAX);
    let mut pairs = Pairs::default();
    let mut together = Vec::new();
    for round in 0..plan.rounds {
        let ours = |number| {
            let shelf = add_shelf(&node, &format!("{round}-{number}"))?;
            Ok(shelf.tokens / shelf.seconds)
        };
        match plan.tools() {
            Some(tools) => {
                pairs.add(PAIRS, ours, |_| tools.reading(&setting, length, true))?;
                together.push(tools.reading_together(&setting, length, TOGETHER)?);
            }
            None => pairs.ours.push(ours(0)?),
        }
    }
    let mut section = Section::default();
    section.note("ingestion", "node", "tokens/s", &pairs.ours);
    section.note("tokens in a passage", "node", "", &[f64::from(length)]);
    if !pairs.theirs.is_empty() {
        let what = "embedding texts as long as the passages";
        section.note(what, "llama-bench", "tokens/s", &pairs.theirs);
        let what = format!("{what}, {TOGETHER} at a time");
        section.note(&what, "llama-batched-bench", "tokens/s", &together);
        section.hold(
            "ingestion, embedding tokens/s, node : llama-bench",
            "",
            &pairs.ratios(),
            Bar::AtLeast(0.9),
        );
    }
    Ok(section)
}

/// What became of a shelf.
struct Added {
    seconds: f64,
    tokens: f64,
    passages: f64,
}

fn add_shelf(node: &Node, name: &str) -> anyhow::Result<Added> {
    let folder = tempfile::tempdir()?;
    write_shelf(folder.path(), name)?;
    let (tokens, passages) = counted(node)?;
    let begun = Instant::now();
    node.gaia(&["knowledge", "add", &folder.path().to_string_lossy()]);
    let seconds = begun.elapsed().as_secs_f64();
    let (tokens_now, passages_now) = counted(node)?;
    Ok(Added {
        seconds,
        tokens: tokens_now - tokens,
        passages: passages_now - passages,
    })
}

/// The handbook again and again, each copy with words of its own, so that nothing is skipped as known.
fn write_shelf(to: &Path, name: &str) -> anyhow::Result<()> {
    let handbook = e2e::root().join("knowledge/handbook");
    let mut pages: Vec<_> = fs::read_dir(&handbook)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    pages.sort();
    for number in 0..DOCUMENTS {
        let page = pages
            .get(number % pages.len())
            .context("the handbook is empty")?;
        let text = fs::read_to_string(page)?;
        fs::write(
            to.join(format!("{name}-{number}.md")),
            format!("# Copy {number} of shelf {name}\n\n{text}"),
        )?;
    }
    Ok(())
}

/// Tokens embedded so far, and passages in the store.
fn counted(node: &Node) -> anyhow::Result<(f64, f64)> {
    let chat = node.chat()?;
    let text = chat.client().send("GET", "/v1/info", "")?.text()?;
    let info: Value = serde_json::from_str(&text)?;
    let passages = info["knowledge"]["points"].as_f64().unwrap_or(0.0);
    let tokens = node
        .counter(COUNTER)
        .with_context(|| format!("the node does not count {COUNTER}"))?;
    Ok((tokens, passages))
}
