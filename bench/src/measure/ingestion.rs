//! `gaia knowledge add` in tokens a second, against what llama-bench embeds with the same model in texts as long.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use gaia_engine::{LoadOptions, Model};
use serde_json::Value;

use super::Plan;
use crate::contender::node::Node;
use crate::report::{Bar, Section};

const EMBEDDING_FILE: &str = "all-MiniLM-L6-v2.f16.gguf";
const DOCUMENTS: usize = 40;

/// A shelf of documents, added to a fresh node in each round.
pub fn measure(plan: &Plan) -> anyhow::Result<Section> {
    let mut setting = plan.setting(8);
    let node = Node::start_with_store(&setting)?;
    setting.model = e2e::model(EMBEDDING_FILE);
    let model = Model::load(&setting.model, &LoadOptions::default())?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        let folder = tempfile::tempdir()?;
        write_shelf(folder.path(), round)?;
        let before = passages(&node)?;
        let begun = Instant::now();
        node.gaia(&["knowledge", "add", &folder.path().to_string_lossy()]);
        let seconds = begun.elapsed().as_secs_f64();
        let added = passages(&node)? - before;
        let tokens = tokens_of(&model, folder.path())?;
        ours.push(tokens / seconds);
        if let Some(tools) = plan.tools() {
            let length = (tokens / added.max(1.0)).round() as u32;
            theirs.push(tools.reading(&setting, length.clamp(1, 512), true)?);
        }
    }
    let mut section = Section::default();
    section.note("ingestion", "node", "tokens/s", &ours);
    if !theirs.is_empty() {
        section.note(
            "embedding texts as long as the passages",
            "llama-bench",
            "tokens/s",
            &theirs,
        );
        section.compare(
            "ingestion, embedding tokens/s, node : llama-bench",
            &ours,
            &theirs,
            Bar::AtLeast(0.9),
        );
    }
    Ok(section)
}

/// The handbook again and again, each copy with words of its own, so that nothing is skipped as known.
fn write_shelf(to: &Path, round: usize) -> anyhow::Result<()> {
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
            to.join(format!("{round}-{number}.md")),
            format!("# Copy {number} of round {round}\n\n{text}"),
        )?;
    }
    Ok(())
}

fn passages(node: &Node) -> anyhow::Result<f64> {
    let chat = node.chat()?;
    let text = chat.client().send("GET", "/v1/info", "")?.text()?;
    let info: Value = serde_json::from_str(&text)?;
    Ok(info["knowledge"]["points"].as_f64().unwrap_or(0.0))
}

/// The tokens of all documents. Passages overlap and carry their headings, so that a little more is embedded.
fn tokens_of(model: &Model, folder: &Path) -> anyhow::Result<f64> {
    let mut tokens = 0;
    for entry in fs::read_dir(folder)?.flatten() {
        tokens += model
            .tokenize(&fs::read_to_string(entry.path())?, false)?
            .len();
    }
    Ok(tokens as f64)
}
