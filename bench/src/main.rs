//! Measures Gaia against llama.cpp's own programs: same model file, threads, sequences and context, in one run.
//!
//! Contenders take turns round by round, so that what else the machine does meets all; ratios are taken within a
//! round, and the table shows medians with intervals. Not a test: only `--short` judges, with wide margins.

mod chat;
mod client;
mod contender;
mod load;
mod machine;
mod measure;
mod memory;
mod report;
mod statistics;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;

use crate::contender::llama_tools::name_of;
use crate::machine::Machine;
use crate::measure::{PARTS, Part, Plan, SHORT};
use crate::report::{Row, Section, page};

const CHAT_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// Measures this machine's node against llama.cpp's own programs.
#[derive(Debug, Parser)]
struct Options {
    /// Parts to run; all of them if none is named
    parts: Vec<String>,
    /// How often each contender is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The folder of llama-server, llama-bench and llama-batched-bench
    #[arg(long)]
    llama: Option<PathBuf>,
    /// A chat model's file instead of the small one in the cache
    #[arg(long)]
    model: Option<PathBuf>,
    /// Threads that compute; all cores if not said
    #[arg(long)]
    threads: Option<u32>,
    /// Requests in the test of isolation
    #[arg(long, default_value_t = 10_000)]
    isolation_requests: usize,
    /// Where results are kept until all parts are there
    #[arg(long, default_value = "target/bench")]
    results: PathBuf,
    /// Write docs/performance.md and its plots from what is kept
    #[arg(long)]
    write: bool,
    /// Under three minutes, ours against ours, judged with wide margins
    #[arg(long, conflicts_with_all = ["parts", "llama", "write"])]
    short: bool,
    /// Only show what is kept
    #[arg(long)]
    show: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let parts = match options.short {
        true => vec![SHORT],
        false => chosen(&options.parts)?,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        rounds: options.rounds.max(1),
        model: options
            .model
            .clone()
            .unwrap_or_else(|| e2e::model(CHAT_FILE)),
        llama: options.llama.clone(),
        threads: options
            .threads
            .unwrap_or_else(|| u32::try_from(cores).unwrap_or(1)),
        isolation_requests: options.isolation_requests,
    };
    if !options.show && !options.write {
        let machine = Machine::here(&options.llama.as_deref().map(name_of).unwrap_or_default());
        for (name, part) in &parts {
            eprintln!("bench: {name}");
            let mut section = part(&plan)?;
            section.machine = machine.clone();
            section.keep(&options.results, name)?;
        }
    }
    let kept: Vec<Section> = parts
        .iter()
        .filter_map(|(name, _)| Section::kept(&options.results, name))
        .collect();
    println!("{}\n{}", page::table(&kept), page::figures(&kept));
    if options.write {
        page::write(&e2e::root().join("docs"), &kept)?;
    }
    let reached = kept
        .iter()
        .flat_map(|section| &section.rows)
        .all(Row::holds);
    Ok(match options.short && !reached {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<Part>> {
    if names.is_empty() {
        return Ok(PARTS.to_vec());
    }
    let find = |name: &String| PARTS.iter().find(|(known, _)| known == name).copied();
    match names.iter().map(find).collect::<Option<Vec<_>>>() {
        Some(parts) => Ok(parts),
        None => bail!(
            "the parts are: {}",
            PARTS
                .iter()
                .map(|(name, _)| *name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}
