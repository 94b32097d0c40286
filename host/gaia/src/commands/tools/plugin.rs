//! `gaia tools add plugin`, and what the other verbs do with plugins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use gaia_outbound::{Parameters, Table};
use gaia_plugins::{AddPluginError, Found, MANIFEST_FILE, Plugin, Role, add, find_all};
use serde_json::{Value, json};

use super::super::{runtime, with_mend};
use super::test::tame;
use super::{Context, chain, parse, read_text, test, unusable};
use crate::exit::{Exit, failure};
use crate::home::make_private_folder;
use crate::terminal::{Terminal, Tint};
use crate::toolbox::{PluginRuntime, Plugins};

/// Where the plugins that come with `gaia` lie, beside the executable.
const BUNDLED: &str = "plugins";

/// Arguments of `gaia tools add plugin`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia tools add plugin run-python                  comes with gaia: the model writes Python, it runs
  gaia tools add plugin unit-converter              comes with gaia: a sample
  gaia tools add plugin ./my-tool                   a folder with plugin.toml and plugin.wasm
  gaia tools test run_python --args '{\"code\": \"print(6 * 7)\"}'

A plugin has no network and sees no file of yours; time, memory and instructions have an end.")]
pub struct Arguments {
    /// Its folder, or the name of one that comes with gaia
    folder: PathBuf,
}

/// Runs `gaia tools add plugin`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let source = source(&arguments.folder)?;
    let wanted = gaia_plugins::read(&source).map_err(bad)?;
    if wanted.manifest.parameters().is_none() {
        let message = format!("`{}` is no tool: it makes prompts", wanted.manifest.name);
        let mend = format!("gaia prompt add {}", arguments.folder.display());
        return Err(failure(Exit::Usage, with_mend(message, Some(&mend))));
    }
    let plugin = install(context, &source, &wanted)?;
    context.terminal.answer(
        || json!({"added": plugin.manifest.name}),
        |_| {
            format!(
                "{0}: added\nTry it: gaia tools test {0} --args …",
                plugin.manifest.name
            )
        },
    );
    Ok(())
}

/// Makes the plugin `wanted`, which was read from `source`, one of the node's.
pub fn install(context: &Context, source: &Path, wanted: &Plugin) -> anyhow::Result<Plugin> {
    let plugins = context.home.plugins();
    let name = &wanted.manifest.name;
    if table(context)?.find(name).is_some() {
        let message = format!("there is a tool `{name}` already");
        let mend = format!("gaia tools remove {name}");
        return Err(failure(Exit::Usage, with_mend(message, Some(&mend))));
    }
    context.home.make_folders()?;
    make_private_folder(&plugins)?;
    add(source, &plugins).map_err(bad)
}

/// The node's table of tools.
pub fn table(context: &Context) -> anyhow::Result<Table> {
    let path = context.home.tools();
    parse(&path, &read_text(&path).map_err(unusable)?).map_err(unusable)
}

/// The folder itself, or the one that comes with `gaia` under that name.
pub fn source(folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.join(MANIFEST_FILE).is_file() {
        return Ok(folder.to_owned());
    }
    let executable = std::env::current_exe().unwrap_or_default();
    let beside = executable.parent().unwrap_or(Path::new("/")).join(BUNDLED);
    let bundled = beside.join(folder);
    if folder.components().count() == 1 && bundled.join(MANIFEST_FILE).is_file() {
        return Ok(bundled);
    }
    let message = format!("`{}` has no {MANIFEST_FILE}", folder.display());
    let mend = match names(&beside) {
        names if names.is_empty() => "name a folder with plugin.toml and plugin.wasm".to_owned(),
        names => format!(
            "name a folder, or one that comes with gaia: {}",
            names.join(", ")
        ),
    };
    Err(failure(Exit::Usage, with_mend(message, Some(&mend))))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The failure of a command that was given no plugin, or cannot add it.
pub fn bad(error: AddPluginError) -> anyhow::Error {
    failure(Exit::Usage, chain(&error))
}

/// Removes the plugin called `name`; whether there was one.
///
/// # Errors
/// The system says no.
pub fn remove(context: &Context, name: &str) -> anyhow::Result<bool> {
    if !gaia_outbound::is_name(name) {
        return Ok(false);
    }
    let folder = context.home.plugins().join(name);
    match fs::remove_dir_all(&folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("failed to remove `{}`", folder.display()))
        }
    }
}

/// The node's plugins as `gaia tools list` shows them.
pub fn all(context: &Context) -> Found {
    find_all(&context.home.plugins())
}

/// One of them.
pub fn to_json(plugin: &Plugin) -> Value {
    let manifest = &plugin.manifest;
    json!({
        "name": manifest.name,
        "description": manifest.description,
        "parameters": manifest.parameters().map(Parameters::schema),
        "prompt": match &manifest.role {
            Role::Prompt(tools) => json!({"tools": tools}),
            Role::Tool(_) => Value::Null,
        },
        "memory_mib": manifest.memory_mib,
        "time_ms": manifest.time_ms,
        "instructions": manifest.instructions,
        "scratch_mib": manifest.scratch_mib,
    })
}

/// The same for people.
pub fn to_text(terminal: &Terminal, plugin: &Plugin) -> String {
    let manifest = &plugin.manifest;
    let name = terminal.out(Tint::Bold, &format!("{:<20}", manifest.name));
    let (memory, seconds) = (manifest.memory_mib, f64::from(manifest.time_ms) / 1000.0);
    let mut line = format!("{name} plugin {memory} MiB, {seconds} s");
    if let Role::Prompt(tools) = &manifest.role {
        line.push_str(", makes prompts");
        if !tools.is_empty() {
            line.push_str(&format!(" and may call {}", tools.join(", ")));
        }
    }
    if !manifest.description.is_empty() {
        line.push_str(&format!("\n{:20} {}", "", manifest.description));
    }
    line
}

/// Runs `gaia tools test` for the plugin of that name; `None` when there is none.
pub fn test(context: &Context, asked: &test::Arguments) -> Option<anyhow::Result<()>> {
    let config = context.config().ok()?;
    let runtime_of = PluginRuntime::new(&context.home, &config, &context.environment);
    let runtime_of = Arc::new(runtime_of);
    let plugins = Plugins::open(&context.home, &runtime_of);
    let plugin = plugins.find(asked.name())?;
    Some(call(context, &plugins, plugin, asked))
}

fn call(
    context: &Context,
    plugins: &Plugins,
    plugin: &Plugin,
    asked: &test::Arguments,
) -> anyhow::Result<()> {
    let given = asked.given()?;
    let started = Instant::now();
    let called = runtime()?.block_on(plugins.call(plugin, &given));
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answer = called.map_err(|said| failure(Exit::Failure, tame(&said)))?;
    let facts = format!("{ms} ms, {} bytes", answer.len());
    context
        .terminal
        .note(&context.terminal.err(Tint::Dim, &facts));
    context.terminal.answer(
        || json!({"tool": asked.name(), "ms": ms, "bytes": answer.len(), "answer": answer}),
        |_| tame(&answer),
    );
    Ok(())
}
