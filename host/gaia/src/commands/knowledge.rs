//! `gaia knowledge`: the documents a node answers from.
//!
//! Only arguments and output are here; `gaia-ingest` does the work, against the running node's worker and store.

mod progress;
mod restore;
mod snapshot;
mod workshop;

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use gaia_ingest::{Endpoint, Holding, Options, Report, Store, Worker, find, ingest};
use serde_json::{Value, json};

use super::Context;
use crate::exit::{Exit, failure};
use crate::supervisor::state;
use crate::terminal::{Terminal, Tint};
use progress::Progress;

/// Passages that `gaia knowledge search` shows unless told otherwise.
const SEARCH_LIMIT_DEFAULT: u16 = 5;
/// Similarity of a name that is worth suggesting (Jaro-Winkler).
const SUGGEST_SIMILARITY_MIN: f64 = 0.8;

/// Why there is nothing to add to and nothing to look into.
const NO_STORE: &str = "the node runs without an embedding model, so it has no knowledge and its store is not started; \
                        `gaia config set embedding_model NAME` (`gaia model list` shows names) and `gaia restart`. \
                        What was added before is still there";

/// Arguments of `gaia knowledge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia knowledge add ./handbook            a folder with Markdown, text and HTML
  gaia knowledge add notes.md              one file; run it again after a change
  cat notes.md | gaia knowledge add - --name notes.md
  gaia knowledge search \"which port\"       the passages nearest to a question
  gaia knowledge remove handbook/          everything from that folder
  gaia knowledge restore URL               the snapshot of another node's knowledge")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a file, a folder or standard input; again after changes
    Add {
        /// Files or folders, or `-` for standard input
        #[arg(required = true, value_name = "FILE|DIR|-")]
        paths: Vec<PathBuf>,
        /// The name in the knowledge base instead of the file's or folder's own
        #[arg(long)]
        name: Option<String>,
    },
    /// List the documents
    List,
    /// Show the passages nearest to a question, without asking the chat model
    Search {
        /// What to look for
        question: String,
        /// How many passages
        #[arg(long, default_value_t = SEARCH_LIMIT_DEFAULT, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
    },
    /// Remove documents by name; a name that ends in `/` means all below it
    Remove {
        /// Names as `gaia knowledge list` shows them
        #[arg(required = true, value_name = "DOCUMENT")]
        names: Vec<String>,
    },
    /// Take over knowledge from a Qdrant snapshot, such as a GaiaNet node's
    Restore(restore::Arguments),
}

/// Runs `gaia knowledge`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let node = || Node::running(context);
    match &arguments.action {
        Action::Add { paths, name } => add(context, &node()?, paths, name.as_deref()),
        Action::List => list(context, &node()?),
        Action::Search { question, limit } => {
            search(context, &node()?, question, usize::from(*limit))
        }
        Action::Remove { names } => remove(context, &node()?, names),
        Action::Restore(arguments) => restore::run(context, arguments),
    }
}

/// The two services of the running node that knowledge needs.
pub struct Node {
    /// Counts tokens and embeds.
    pub worker: Worker,
    /// Holds the passages.
    pub store: Store,
}

impl Node {
    /// The node running in this home, and the collection it answers from.
    pub fn running(context: &Context) -> anyhow::Result<Self> {
        Self::with_collection(context, None)
    }

    /// The node running in this home, and `collection` instead of the one it answers from.
    pub fn with_collection(context: &Context, collection: Option<&str>) -> anyhow::Result<Self> {
        let config = context.config()?;
        let Some(state) = state::running(&context.home) else {
            return Err(failure(
                Exit::NotRunning,
                "no node is running in this home; `gaia start` starts it",
            ));
        };
        let Some(worker) = state.worker else {
            return Err(failure(
                Exit::Unhealthy,
                "the node's worker is not up right now; `gaia status` tells more",
            ));
        };
        let Some(store) = state.store else {
            return Err(failure(Exit::Failure, NO_STORE));
        };
        let collection = collection.map_or(config.collection, str::to_owned);
        Ok(Self {
            worker: Worker::new(endpoint("worker", worker.service)),
            store: Store::new(endpoint("store", store), collection),
        })
    }
}

fn endpoint(name: &'static str, service: state::Service) -> Endpoint {
    let key = Some(service.key).filter(|key| !key.is_empty());
    Endpoint {
        name,
        url: service.url,
        key,
    }
}

fn add(
    context: &Context,
    node: &Node,
    paths: &[PathBuf],
    name: Option<&str>,
) -> anyhow::Result<()> {
    if name.is_some() && paths.len() > 1 {
        return Err(failure(Exit::Usage, "--name goes with one file or folder"));
    }
    let mut reports = Vec::new();
    for path in paths {
        reports.push(add_one(context, node, path, name)?);
    }
    context.terminal.answer(
        || reports_json(&reports),
        |terminal| reports_text(terminal, &reports),
    );
    Ok(())
}

fn add_one(
    context: &Context,
    node: &Node,
    path: &Path,
    name: Option<&str>,
) -> anyhow::Result<Report> {
    let sources = find(path, name)?;
    let mut progress = Progress::new(context.terminal);
    let report = ingest(
        &node.worker,
        &node.store,
        sources,
        Options::default(),
        &mut std::io::stdin().lock(),
        &mut |event| progress.show(&event),
    );
    progress.finish();
    report.with_context(|| {
        format!(
            "`{}` is not added completely; running the same again goes on from here",
            path.display()
        )
    })
}

fn reports_json(reports: &[Report]) -> Value {
    let sum = |field: fn(&Report) -> usize| reports.iter().map(field).sum::<usize>();
    let skipped: Vec<Value> = reports
        .iter()
        .flat_map(|report| &report.skipped)
        .map(|skipped| json!({"name": skipped.name, "reason": skipped.reason.to_string()}))
        .collect();
    json!({
        "added": sum(|r| r.added), "replaced": sum(|r| r.replaced), "unchanged": sum(|r| r.unchanged),
        "empty": sum(|r| r.empty), "dropped": sum(|r| r.dropped), "passages": sum(|r| r.passages), "skipped": skipped,
    })
}

fn reports_text(terminal: &Terminal, reports: &[Report]) -> String {
    let sum = |field: fn(&Report) -> usize| reports.iter().map(field).sum::<usize>();
    let counts = [
        (sum(|r| r.added), "added"),
        (sum(|r| r.replaced), "replaced"),
        (sum(|r| r.unchanged), "unchanged"),
        (sum(|r| r.empty), "without text"),
        (sum(|r| r.dropped), "dropped"),
        (sum(|r| r.skipped.len()), "skipped"),
    ];
    let parts = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"));
    let parts: Vec<String> = parts.collect();
    let documents = if parts.is_empty() {
        "no documents".to_owned()
    } else {
        parts.join(", ")
    };
    let passages = format!("({} new passages)", sum(|r| r.passages));
    format!("{documents} {}", terminal.out(Tint::Dim, &passages))
}

fn list(context: &Context, node: &Node) -> anyhow::Result<()> {
    let documents = node.store.documents()?;
    let unnamed = node.store.count_without("document")?;
    let digest = match node.store.holding()? {
        Holding::Digest(digest) => Some(B256::from(digest)),
        Holding::Nothing | Holding::Changing => None,
    };
    let json = || {
        let line = |(name, held): (&String, &gaia_ingest::Held)| json!({"document": name, "passages": held.points(), "complete": held.is_complete()});
        json!({"collection": node.store.collection(), "documents": documents.iter().map(line).collect::<Vec<_>>(), "passages_without_document": unnamed, "digest": digest})
    };
    context.terminal.answer(json, |terminal| {
        let mut text = String::new();
        for (name, held) in &documents {
            let state = if held.is_complete() {
                ""
            } else {
                "  (not complete: add it again)"
            };
            text.push_str(&format!(
                "{:>7}  {name}{}\n",
                held.points(),
                terminal.out(Tint::Yellow, state)
            ));
        }
        if unnamed > 0 {
            let line = "(passages without a document's name, from a restored snapshot)";
            text.push_str(&format!(
                "{unnamed:>7}  {}\n",
                terminal.out(Tint::Dim, line)
            ));
        }
        let passages: usize = documents.values().map(gaia_ingest::Held::points).sum();
        let total = format!(
            "{} documents, {} passages in `{}`",
            documents.len(),
            passages as u64 + unnamed,
            node.store.collection()
        );
        let digest = digest.map_or(String::new(), |digest| format!("\ndigest {digest}"));
        text + &terminal.out(Tint::Dim, &(total + &digest))
    });
    Ok(())
}

fn search(context: &Context, node: &Node, question: &str, limit: usize) -> anyhow::Result<()> {
    let citations = gaia_ingest::search(&node.worker, &node.store, question, limit)?;
    context.terminal.answer(
        || json!({"hits": citations}),
        |terminal| {
            let mut text = String::new();
            for citation in &citations {
                let head = format!(
                    "{:.3}  {}",
                    citation.score,
                    place(&citation.document, &citation.heading)
                );
                text.push_str(&format!(
                    "{}\n{}\n\n",
                    terminal.out(Tint::Bold, &head),
                    indent(&citation.text)
                ));
            }
            if text.is_empty() {
                "nothing found".to_owned()
            } else {
                text
            }
        },
    );
    Ok(())
}

/// Where a passage comes from: the document and the headings above it.
pub fn place(document: &str, heading: &[String]) -> String {
    // A snapshot's passages may be nothing but text.
    let document = match document {
        "" => "(no document's name)",
        name => name,
    };
    let headings = heading.iter().map(String::as_str);
    let parts: Vec<_> = std::iter::once(document).chain(headings).collect();
    parts.join(" › ")
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn remove(context: &Context, node: &Node, names: &[String]) -> anyhow::Result<()> {
    let documents = node.store.documents()?;
    let mut chosen: Vec<&String> = Vec::new();
    for name in names {
        let before = chosen.len();
        chosen.extend(
            documents
                .keys()
                .filter(|held| *held == name || (name.ends_with('/') && held.starts_with(name))),
        );
        if chosen.len() == before {
            return Err(failure(Exit::Failure, unknown(name, documents.keys())));
        }
    }
    for name in &chosen {
        node.store.remove(name, None)?;
    }
    context.terminal.answer(
        || json!({"removed": chosen}),
        |_| format!("{} removed", chosen.len()),
    );
    Ok(())
}

fn unknown<'a>(name: &str, held: impl Iterator<Item = &'a String>) -> String {
    let nearest = held
        .map(|held| (strsim::jaro_winkler(name, held), held))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SUGGEST_SIMILARITY_MIN);
    match nearest {
        Some((_, nearest)) => {
            format!("no document `{name}`; did you mean `{nearest}`? Nothing is removed")
        }
        None => {
            format!("no document `{name}`; `gaia knowledge list` shows them. Nothing is removed")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_add_up() {
        let report = || Report {
            added: 2,
            passages: 7,
            ..Report::default()
        };
        let terminal = Terminal::new(false, true);
        let check = |reports: &[Report], expected: &str| {
            assert_eq!(reports_text(&terminal, reports), expected)
        };
        check(&[], "no documents (0 new passages)");
        check(&[report()], "2 added (7 new passages)");
        check(
            &[
                report(),
                Report {
                    unchanged: 1,
                    ..report()
                },
            ],
            "4 added, 1 unchanged (14 new passages)",
        );
        assert_eq!(reports_json(&[report(), report()])["passages"], 14);
    }

    #[test]
    fn a_wrong_name_is_suggested() {
        let held = ["handbook/install.md".to_owned()];
        assert!(
            unknown("handbook/instal.md", held.iter())
                .contains("did you mean `handbook/install.md`")
        );
        assert!(unknown("x", held.iter()).contains("gaia knowledge list"));
    }
}
