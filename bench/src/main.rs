//! Measures Gaia against llama.cpp's own programs: same model file, threads, sequences and context, in one run.
//!
//! Contenders take turns round by round, so that what else the machine does meets all; ratios are taken within a
//! round, and the table shows medians with intervals. Not a test: only `--short` judges, with wide margins.

mod chat;
mod client;
mod contender;
mod load;
mod measure;
mod model_choice;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Parser;
use gaia_bench::{machine, memory, report, statistics};

use crate::contender::llama_tools::name_of;
use crate::machine::Machine;
use crate::measure::{LlamaCpp, MORE, PARTS, Part, Plan, SHORT};
use crate::model_choice::ModelChoice;
use crate::report::{Section, page};

/// The page that numbers are written into.
const PAGE: &str = "performance";

/// How often the short form tries before it says that a margin is missed.
const SHORT_TRIES: usize = 2;

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
    /// The folder of `llama-cpp-server`, llama-cpp-python's server
    #[arg(long)]
    llama_cpp_server: Option<PathBuf>,
    /// Why there is no llama_cpp.server: what the results say then
    #[arg(long, value_name = "REASON", conflicts_with = "llama_cpp_server")]
    no_llama_cpp_server: Option<String>,
    /// Another model than the small one of the bars: tiny, large (both of random numbers) or a file. What is found
    /// with it is kept beside, and shown without bars
    #[arg(long)]
    model: Option<ModelChoice>,
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
    #[arg(long, conflicts_with_all = ["parts", "llama", "write", "show", "model"])]
    short: bool,
    /// Only show what is kept
    #[arg(long)]
    show: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if options.short {
        return short(&options);
    }
    let parts = chosen(&options.parts)?;
    let found = match options.show || options.write {
        true => sorted(Section::all_kept(&options.results)?),
        false => {
            let mut found = Vec::new();
            for part in &parts {
                let section = measured(*part, &options)?;
                section.keep(&options.results)?;
                found.push(section);
            }
            found
        }
    };
    show(&found);
    if options.write {
        page::write(&e2e::root().join("docs"), PAGE, &found)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Judges. Other work on the machine may spoil one try, so there is a second.
fn short(options: &Options) -> anyhow::Result<ExitCode> {
    for _ in 0..SHORT_TRIES {
        let found = measured(SHORT, options)?;
        let reached = found.rows.iter().all(|row| row.holds() != Some(false));
        show(&[found]);
        if reached {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Ok(ExitCode::FAILURE)
}

fn show(sections: &[Section]) {
    println!("{}\n{}", page::table(sections), page::absent(sections));
    println!("{}", page::figures(sections));
    println!("{}", page::runs(sections));
}

fn plan(options: &Options) -> Plan {
    let model = options.model.clone().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = u32::try_from(cores).unwrap_or(1);
    Plan {
        rounds: options.rounds.max(1),
        model: model.path(),
        streams: model.streams(),
        turns_factor: model.turns_factor(),
        ways: model.ways(),
        llama: options.llama.clone(),
        llama_cpp_server: match (&options.llama_cpp_server, &options.no_llama_cpp_server) {
            (Some(folder), _) => LlamaCpp::At(folder.clone()),
            (None, Some(reason)) => LlamaCpp::Missing(reason.clone()),
            (None, None) => LlamaCpp::NotAsked,
        },
        threads: options.threads.unwrap_or(cores),
        isolation_requests: options.isolation_requests,
    }
}

fn measured((name, part): Part, options: &Options) -> anyhow::Result<Section> {
    eprintln!("bench: {name}");
    let peer = options.llama.as_deref().map(name_of).unwrap_or_default();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let begun = Instant::now();
    let plan = plan(options);
    let found = part(&plan).with_context(|| format!("measuring {name}"))?;
    let mut section = Section {
        part: name.to_owned(),
        machine: Machine::here(&peer),
        begun: since_1970.as_secs(),
        seconds: begun.elapsed().as_secs_f64(),
        rounds: plan.rounds,
        ..found
    };
    if let Some(label) = options.model.as_ref().and_then(ModelChoice::label) {
        section.label(&label);
    }
    eprintln!("bench: {name} took {:.0} s", section.seconds);
    Ok(section)
}

/// In the order of the table; those of other models last.
fn sorted(mut sections: Vec<Section>) -> Vec<Section> {
    let place = |section: &Section| all_parts().position(|(name, _)| name == section.part);
    sections.sort_by_key(|section| (place(section).unwrap_or(usize::MAX), section.part.clone()));
    sections
}

fn all_parts() -> impl Iterator<Item = Part> {
    PARTS.iter().chain(MORE).copied()
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<Part>> {
    if names.is_empty() {
        return Ok(PARTS.to_vec());
    }
    let find = |name: &String| all_parts().find(|(known, _)| known == name);
    match names.iter().map(find).collect::<Option<Vec<_>>>() {
        Some(parts) => Ok(parts),
        None => bail!(
            "the parts are: {}",
            all_parts()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}
