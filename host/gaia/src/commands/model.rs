//! `gaia model`: the models this machine has or could have.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gaia_manifest::{Kind, Manifest};
use gaia_models::{Listed, usable_memory_bytes, write_vocabulary};
use serde_json::{Value, json};

use super::{Context, chain};
use crate::exit::{Exit, failure};
use crate::supervisor::models::{ChooseModelError, Shelf};
use crate::supervisor::state;
use crate::terminal::{Terminal, Tint, bytes};

const EXAMPLES: &str = "\
Examples:
  gaia model list
  gaia model pull qwen3-1.7b && gaia config set chat_model qwen3-1.7b && gaia restart
  gaia model remove qwen3-1.7b
  gaia model vocabulary qwen3-1.7b --out qwen3.vocabulary.gguf

Models of your own: a manifest like those in the source folder models/, put into
the node's folder under models/.";

/// Arguments of `gaia model`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List known models, and which are here
    List,
    /// Fetch a model, or what is missing of it
    Pull {
        /// Names as `gaia model list` shows them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Remove a model's file
    Remove {
        /// Names as `gaia model list` shows them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Write a model's tokenizer and template into a small file: all that a domain's gateway needs to count tokens
    Vocabulary {
        /// A name as `gaia model list` shows it, or a GGUF file
        model: String,
        /// Where to; what is there is replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs `gaia model`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let shelf = Shelf::open(&context.home, &context.environment);
    for problem in &shelf.catalogue.problems {
        let text = match std::error::Error::source(problem) {
            Some(source) => format!("left out: {problem}: {source}"),
            None => format!("left out: {problem}"),
        };
        context
            .terminal
            .note(&context.terminal.err(Tint::Yellow, &text));
    }
    match &arguments.action {
        Action::List => list(context, &shelf),
        Action::Pull { names } => pull(context, &shelf, names),
        Action::Remove { names } => remove(context, &shelf, names),
        Action::Vocabulary { model, out } => vocabulary(context, &shelf, model, out),
    }
}

fn list(context: &Context, shelf: &Shelf) -> anyhow::Result<()> {
    let memory = usable_memory_bytes();
    let listed = shelf.library.list(&shelf.catalogue.manifests);
    context.terminal.answer(
        || json!({"models": listed.iter().map(to_json).collect::<Vec<_>>()}),
        |terminal| {
            let lines: Vec<_> = listed
                .iter()
                .map(|model| show(terminal, model, memory))
                .collect();
            lines.join("\n")
        },
    );
    Ok(())
}

fn to_json(listed: &Listed) -> Value {
    let manifest = listed.manifest;
    json!({
        "name": manifest.name,
        "kind": manifest.kind.name(),
        "description": manifest.description,
        "licence": manifest.licence,
        "parameters": manifest.parameters,
        "quantisation": manifest.quantisation,
        "context": manifest.context,
        "size_bytes": manifest.size_bytes,
        "memory_bytes": manifest.memory_bytes,
        "file": listed.path,
        "sha256": listed.sum.map(|sum| sum.to_string()),
        "partial_bytes": listed.partial_bytes,
    })
}

fn show(terminal: &Terminal, listed: &Listed, memory: Option<u64>) -> String {
    let manifest = listed.manifest;
    let place = match (&listed.path, listed.partial_bytes) {
        (Some(_), _) => terminal.out(Tint::Green, "here"),
        (None, 0) => "    ".to_owned(),
        (None, _) => terminal.out(Tint::Yellow, "part"),
    };
    let mut line = format!(
        "{place}  {:<24} {:<9} {:>9}  {}",
        manifest.name,
        manifest.kind.name(),
        bytes(manifest.size_bytes),
        manifest.description,
    );
    if manifest.kind == Kind::Chat && memory.is_some_and(|have| manifest.memory_bytes > have) {
        let needed = bytes(manifest.memory_bytes);
        line.push_str(&terminal.out(Tint::Dim, &format!(" Needs {needed} of memory.")));
    }
    line
}

fn find<'a>(shelf: &'a Shelf, names: &[String]) -> anyhow::Result<Vec<&'a Manifest>> {
    let found = names.iter().map(|name| shelf.find("the name", name));
    found
        .collect::<Result<_, ChooseModelError>>()
        .map_err(|error| failure(Exit::Usage, error.to_string()))
}

fn pull(context: &Context, shelf: &Shelf, names: &[String]) -> anyhow::Result<()> {
    let terminal = context.terminal;
    let mut pulled = Vec::new();
    for manifest in find(shelf, names)? {
        let path = shelf
            .pull(manifest, &|line| terminal.note(line))
            .map_err(|error| failure(Exit::Missing, format!("{:#}", anyhow::Error::new(error))))?;
        pulled.push((manifest.name.clone(), path));
    }
    terminal.answer(
        || json!({"pulled": pulled.iter().map(|(name, path)| json!({"name": name, "file": path})).collect::<Vec<_>>()}),
        |_| {
            let lines = pulled.iter().map(|(name, path)| format!("{name}: {}", path.display()));
            lines.collect::<Vec<_>>().join("\n")
        },
    );
    Ok(())
}

fn remove(context: &Context, shelf: &Shelf, names: &[String]) -> anyhow::Result<()> {
    let manifests = find(shelf, names)?;
    if let Some(state) = state::running(&context.home) {
        let in_use = [
            Some(&state.chat),
            state.embedding.as_ref(),
            state.reranking.as_ref(),
        ];
        for manifest in &manifests {
            let path = shelf.library.path(manifest);
            if in_use.iter().flatten().any(|model| model.file == path) {
                let message = format!("{} is in use; stop the node first", manifest.name);
                return Err(failure(Exit::Failure, message));
            }
        }
    }
    let mut lines = Vec::new();
    for manifest in manifests {
        let removed = shelf.library.remove(manifest)?;
        lines.push((manifest.name.clone(), removed));
    }
    context.terminal.answer(
        || json!({"removed": lines.iter().filter(|(_, removed)| *removed).map(|(name, _)| name).collect::<Vec<_>>()}),
        |_| {
            let lines = lines.iter().map(|(name, removed)| match removed {
                true => format!("{name}: removed"),
                false => format!("{name}: was not here"),
            });
            lines.collect::<Vec<_>>().join("\n")
        },
    );
    Ok(())
}

fn vocabulary(context: &Context, shelf: &Shelf, model: &str, out: &Path) -> anyhow::Result<()> {
    let from = match Path::new(model) {
        path if path.is_file() => path.to_owned(),
        _ => file_of(shelf, model)?,
    };
    write_vocabulary(&from, out).map_err(|error| failure(Exit::Failure, chain(&error)))?;
    let size = std::fs::metadata(out)?.len();
    let path = std::path::absolute(out)?;
    context.terminal.answer(
        || json!({"model": from, "vocabulary": path, "size_bytes": size}),
        |_| {
            format!(
                "{}: {}\nIn domain.toml, at its model: vocabulary = \"{}\"",
                out.display(),
                bytes(size),
                path.display()
            )
        },
    );
    Ok(())
}

/// The file of a model by its name, which must be here.
fn file_of(shelf: &Shelf, name: &str) -> anyhow::Result<PathBuf> {
    let found = find(shelf, &[name.to_owned()])?;
    let path = found.first().map(|manifest| shelf.library.path(manifest));
    path.filter(|path| path.exists()).ok_or_else(|| {
        let words = format!("the model {name} is not here; gaia model pull {name} fetches it");
        failure(Exit::Missing, words)
    })
}
