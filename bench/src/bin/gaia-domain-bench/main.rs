//! Measures a domain's gateway against HAProxy, and LiteLLM's proxy, before the same nodes: `docs/domain-performance.md`.
//!
//! Contenders take turns round by round, and ratios are taken within a round. But for one part, nodes compute nothing, so
//! that what is measured is what stands before them. The gateway pays in full: access token, reservation, the model's tokenizer,
//! charge and receipt in a ledger on the disk.

mod domain;
mod gateway;
mod http;
mod load;
mod members;
mod node;
mod parts;
mod peers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use gaia_bench::machine::Machine;
use gaia_bench::report::{Bar, Row, Section, page};

use crate::parts::{PARTS, Plan, Stage};

/// The page that numbers are written into.
const PAGE: &str = "domain-performance";

/// Requests of the part that kills unless more are asked for.
const KILLED_REQUESTS: u64 = 20_000;

/// What the short form runs, how long and how often.
const SHORT_PARTS: &[&str] = &["cost", "streams", "death", "kills"];
const SHORT_SECONDS: u64 = 2;
const SHORT_REQUESTS: u64 = 4_000;

/// How often the short form tries before it says that a margin is missed: other work may spoil one try.
const SHORT_TRIES: usize = 2;

/// Its margins: so many times what the bar asks for, which of nothing is still nothing.
const SHORT_FACTOR: f64 = 4.0;

/// Measures a gateway of this machine.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    serve: Option<Serve>,
    /// Parts to run; all of them if none is named
    #[arg(long = "part", value_delimiter = ',')]
    parts: Vec<String>,
    /// How often each contender is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load in a round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// HAProxy's program
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    /// LiteLLM's program
    #[arg(long)]
    litellm: Option<PathBuf>,
    /// A model file with the tokenizer that is counted with; the small model's if not said
    #[arg(long)]
    model: Option<PathBuf>,
    /// Requests of the part that kills: a million shows what the bar asks for
    #[arg(long, default_value_t = KILLED_REQUESTS)]
    requests: u64,
    /// Where results are kept until all parts are there
    #[arg(long, default_value = "target/domain-bench")]
    results: PathBuf,
    /// Write docs/domain-performance.md from what is kept
    #[arg(long)]
    write: bool,
    /// Only show what is kept
    #[arg(long)]
    show: bool,
    /// Under two minutes, without LiteLLM, judged with wide margins; keeps nothing
    #[arg(long, conflicts_with_all = ["parts", "litellm", "write", "show"])]
    short: bool,
}

/// The programs that measurements start.
#[derive(Debug, Subcommand)]
enum Serve {
    /// A node that computes nothing
    #[command(hide = true)]
    ServeNode(node::NodeOptions),
    /// The gateway that is measured
    #[command(hide = true)]
    ServeGateway(gateway::GatewayOptions),
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    allow_many_files()?;
    let done = match options.serve {
        Some(Serve::ServeNode(node)) => on_one_thread(node::serve(node)),
        // As gaia-gateway does.
        Some(Serve::ServeGateway(gateway)) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(gateway::serve(gateway)),
        None if options.short => return short(&options),
        None => measured(&options),
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn on_one_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn measured(options: &Options) -> anyhow::Result<()> {
    if !options.show && !options.write {
        let chosen: Vec<_> = match options.parts.is_empty() {
            true => PARTS.to_vec(),
            false => options
                .parts
                .iter()
                .map(|name| found(name))
                .collect::<Result<_, _>>()?,
        };
        let stage = Stage::new(plan(options))?;
        for part in chosen {
            let section = one(&stage, part)?;
            section.keep(&options.results)?;
            eprintln!("{}", page::table(std::slice::from_ref(&section)));
        }
    }
    let mut kept = Section::all_kept(&options.results)?;
    kept.sort_by_key(|section| PARTS.iter().position(|(name, _)| *name == section.part));
    println!("{}\n{}", page::table(&kept), page::absent(&kept));
    println!("{}\n{}", page::figures(&kept), page::runs(&kept));
    if options.write {
        page::write(&e2e::root().join("docs"), PAGE, &kept)?;
    }
    Ok(())
}

fn one(stage: &Stage, (name, part): parts::Part) -> anyhow::Result<Section> {
    eprintln!("bench: {name}");
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let begun = Instant::now();
    let found = on_one_thread(part(stage)).with_context(|| format!("measuring {name}"))?;
    Ok(Section {
        part: name.to_owned(),
        machine: Machine::here(&stage.peers()),
        begun: since_1970.as_secs(),
        seconds: begun.elapsed().as_secs_f64(),
        rounds: found.rounds.max(1),
        ..found
    })
}

/// Judges.
fn short(options: &Options) -> anyhow::Result<ExitCode> {
    let stage = Stage::new(Plan {
        rounds: 1,
        seconds: SHORT_SECONDS,
        requests: SHORT_REQUESTS,
        ..plan(options)
    })?;
    for name in SHORT_PARTS {
        let mut tries = 0..SHORT_TRIES;
        let holds = tries.any(|_| match found(name).and_then(|part| one(&stage, part)) {
            Ok(section) => {
                println!("{}", page::table(std::slice::from_ref(&section)));
                section.rows.iter().all(holds_widely)
            }
            Err(error) => {
                eprintln!("bench: {error:#}");
                false
            }
        });
        if !holds {
            eprintln!("bench: {name} missed its margin {SHORT_TRIES} times");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn holds_widely(row: &Row) -> bool {
    let found = row.found.median;
    match row.bar {
        None => true,
        Some(Bar::AtMost(most)) => found <= most * SHORT_FACTOR,
        Some(Bar::AtLeast(least)) => found >= least / SHORT_FACTOR,
    }
}

fn found(name: &str) -> anyhow::Result<parts::Part> {
    let part = PARTS.iter().find(|(known, _)| *known == name);
    match part {
        Some(part) => Ok(*part),
        None => {
            let names: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
            bail!("the parts are: {}", names.join(", "))
        }
    }
}

fn plan(options: &Options) -> Plan {
    let model = options.model.clone();
    Plan {
        rounds: options.rounds.max(1),
        seconds: options.seconds.max(1),
        haproxy: options.haproxy.clone(),
        litellm: options.litellm.clone(),
        model: model.unwrap_or_else(|| e2e::model(e2e::CHAT_MODEL)),
        requests: options.requests,
    }
}

/// A thousand streams are two thousand files in a proxy.
fn allow_many_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    Ok(setrlimit(Resource::Nofile, all)?)
}
