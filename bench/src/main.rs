//! Measures a node whole, with the bare engine beside it on the same model, in one run.
//!
//! Rounds alternate between the two, so that what else the machine does meets both; the table shows
//! medians. Not a test: nothing here asserts a time.

mod engine;
mod memory;
mod node;
mod sample;

use clap::Parser;
use e2e::node::Node;
use e2e::{model, root};

use crate::sample::{Sample, Stream, median};

/// Time to first token, tokens a second, ingestion, retrieval, memory and start time of this machine.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds; medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Tokens in each answer
    #[arg(long, default_value_t = 64)]
    tokens: u32,
    /// Also write the results as JSON to this file
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

const CHAT_FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

fn main() {
    let options = Options::parse();
    let engine = engine::load(&model(CHAT_FILE));
    let node = Node::new();
    node.set("threads", "0");
    node.start();
    node.gaia_ok(&["stop"]);
    let start_seconds = node::start_seconds(&node);

    let mut rows = vec![row("start of a node, s", start_seconds, None)];
    for streams in [1, 8] {
        let (mut of_node, mut of_engine) = (Vec::new(), Vec::new());
        for round in 0..options.rounds {
            let seed = u32::try_from(round * 100).unwrap_or_default();
            of_engine.push(Sample::of(&engine::streams(
                &engine,
                streams,
                options.tokens,
                seed,
            )));
            of_node.push(Sample::of(&node::streams(
                &node,
                streams,
                options.tokens,
                seed,
            )));
        }
        rows.extend(compared(streams, &of_node, &of_engine));
    }

    let (documents_per_second, passages_per_second) =
        node::ingest(&node, &root().join("knowledge/handbook"));
    rows.push(row("ingestion, documents/s", documents_per_second, None));
    rows.push(row("ingestion, passages/s", passages_per_second, None));
    rows.push(row(
        "retrieval, ms",
        node::retrieval_ms(&node, options.rounds * 4),
        None,
    ));
    rows.push(row(
        "memory of gaia, MiB",
        memory::resident_mib(node.pid()),
        None,
    ));
    rows.push(row(
        "memory of the worker, MiB",
        memory::resident_mib(node.worker_pid()),
        None,
    ));
    rows.push(row(
        "memory of this program with the engine, MiB",
        memory::resident_mib(std::process::id()),
        None,
    ));

    print(&rows);
    if let Some(path) = options.json {
        write(&path, &rows);
    }
}

/// One line of the table.
struct Row {
    name: String,
    node: f64,
    engine: Option<f64>,
}

fn row(name: &str, node: f64, engine: Option<f64>) -> Row {
    Row {
        name: name.to_owned(),
        node,
        engine,
    }
}

fn compared(streams: usize, node: &[Sample], engine: &[Sample]) -> Vec<Row> {
    let of =
        |samples: &[Sample], part: fn(&Sample) -> f64| median(samples.iter().map(part).collect());
    let line = |what: &str, part: fn(&Sample) -> f64| {
        row(
            &format!("{what}, {streams} stream(s)"),
            of(node, part),
            Some(of(engine, part)),
        )
    };
    vec![
        line("time to first token, ms", |sample| sample.first_token_ms),
        line("tokens/s", |sample| sample.tokens_per_second),
    ]
}

fn print(rows: &[Row]) {
    println!(
        "| {:<44} | {:>9} | {:>11} | {:>11} |",
        "", "node", "bare engine", "node:engine"
    );
    println!("|{:-<46}|{:->11}|{:->13}|{:->13}|", "", ":", ":", ":");
    for row in rows {
        let engine = row
            .engine
            .map_or_else(String::new, |value| format!("{value:.1}"));
        let ratio = row
            .engine
            .map_or_else(String::new, |value| format!("{:.2}", row.node / value));
        println!(
            "| {:<44} | {:>9.1} | {engine:>11} | {ratio:>11} |",
            row.name, row.node
        );
    }
}

fn write(path: &std::path::Path, rows: &[Row]) {
    let list: Vec<_> = rows
        .iter()
        .map(|row| serde_json::json!({"name": row.name, "node": row.node, "engine": row.engine}))
        .collect();
    let text = serde_json::to_string_pretty(&list).unwrap_or_default();
    if let Err(error) = std::fs::write(path, text) {
        eprintln!("bench: failed to write `{}`: {error}", path.display());
    }
}

/// A prompt of about forty tokens, another one for each stream and round, so that no cache helps.
fn prompt(seed: u32, stream: usize) -> String {
    format!(
        "Note {seed}-{stream}: write about the sea, the wind and the town at its shore, in plain words, for a reader of ten years."
    )
}

/// Runs `one` on as many threads as there are streams.
fn at_once(streams: usize, one: impl Fn(usize) -> Stream + Sync) -> Vec<Stream> {
    std::thread::scope(|scope| {
        let one = &one;
        let running: Vec<_> = (0..streams)
            .map(|stream| scope.spawn(move || one(stream)))
            .collect();
        running
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}
