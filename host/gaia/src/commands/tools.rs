//! `gaia tools`: HTTPS endpoints, MCP servers and sandboxed programs that the model may call, tried for
//! real from here.

mod add;
mod mcp;
pub(super) mod plugin;
mod secret;
pub(super) mod test;

use std::io::{self, IsTerminal};
use std::path::Path;

use clap::{Args, Subcommand};
use gaia_keystore::Password;
use gaia_outbound::{HttpsTool, Table, TableProblem};
use gaia_plugins::Found;
use serde_json::{Value, json};
use toml_edit::{ArrayOfTables, DocumentMut, Item, value};

use super::{Context, chain, with_mend};
use crate::exit::{Exit, failure};
use crate::home::write_private;
use crate::password::{PasswordSources, generated_file, own_password};
use crate::terminal::{Terminal, Tint};
use crate::toolbox::{ReadToolsError, parse, read_text, secrets_of};

const EXAMPLES: &str = "\
Examples:
  gaia tools add weather --url 'https://api.example.org/v1/current?city={city}' \\
    --description 'The weather in a city, now' --param 'city=Name of the city' \\
    --header 'Authorization: Bearer {secret:weather}' --pointer /current/text
  gaia tools secret set weather < key.txt
  gaia tools test weather --args '{\"city\": \"Bonn\"}'
  gaia tools list
  gaia tools remove weather
  gaia tools add mcp news https://mcp.example.org/mcp
  gaia tools test news
  gaia tools add plugin run-python

A tool is reached over HTTPS at public addresses only. What is plain HTTP, or in your own
network, must be listed: gaia config set egress_origins http://127.0.0.1:8000";

/// Arguments of `gaia tools`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a tool, an MCP server and all its tools, or a sandboxed program
    Add(Box<Add>),
    /// List the tools, and what is wrong with those that are left out
    List,
    /// Call a tool for real and show what comes back, or show what an MCP server offers
    Test(test::Arguments),
    /// Remove tools, MCP servers and plugins
    Remove {
        /// Names as `gaia tools list` shows them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Credentials that tools send along, sealed on disk
    Secret(secret::Arguments),
}

/// One more tool, server or plugin.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Add {
    #[command(subcommand)]
    other: Option<AddOther>,
    #[command(flatten)]
    tool: Option<add::Arguments>,
}

#[derive(Debug, Subcommand)]
enum AddOther {
    /// Add an MCP server: its tools are called NAME__TOOL
    Mcp(mcp::Arguments),
    /// Add a plugin: a program that runs in a sandbox, without a network
    Plugin(plugin::Arguments),
}

/// Runs `gaia tools`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Add(arguments) => arguments.run(context),
        Action::List => list(context),
        Action::Test(arguments) => test::run(context, arguments),
        Action::Remove { names } => remove(context, names),
        Action::Secret(arguments) => secret::run(context, arguments),
    }
}

impl Add {
    fn run(&self, context: &Context) -> anyhow::Result<()> {
        match (&self.other, &self.tool) {
            (Some(AddOther::Mcp(server)), _) => mcp::run(context, server),
            (Some(AddOther::Plugin(folder)), _) => plugin::run(context, folder),
            (None, Some(tool)) => add::run(context, tool),
            (None, None) => Err(failure(Exit::Usage, "name a tool; --help shows how")),
        }
    }
}

fn list(context: &Context) -> anyhow::Result<()> {
    let table = plugin::table(context)?;
    let plugins = plugin::all(context);
    context.terminal.answer(
        || to_json(&table, &plugins),
        |terminal| match to_text(terminal, &table, &plugins) {
            text if text.is_empty() => {
                "no tools yet; `gaia tools add --help` shows how to add one".to_owned()
            }
            text => text,
        },
    );
    Ok(())
}

fn to_json(table: &Table, plugins: &Found) -> Value {
    let tool = |tool: &HttpsTool| {
        json!({
            "name": tool.name,
            "description": tool.description,
            "method": tool.method.as_str(),
            "url": tool.url.as_str(),
            "parameters": tool.parameters.schema(),
            "headers": tool.headers.iter().map(|header| header.name()).collect::<Vec<_>>(),
            "secrets": secrets_of(tool),
            "time_ms": tool.time_ms,
            "reply_bytes": tool.reply_bytes,
            "pointer": tool.pointer,
        })
    };
    let problem = |problem: &TableProblem| json!({"name": problem.name, "line": problem.line, "message": chain(&problem.error)});
    let left_out = plugins.problems.iter();
    let left_out = left_out.map(|(_, error)| json!({"message": chain(error)}));
    json!({
        "tools": table.tools.iter().map(tool).collect::<Vec<_>>(),
        "mcp": table.servers.iter().map(mcp::to_json).collect::<Vec<_>>(),
        "plugins": plugins.plugins.iter().map(plugin::to_json).collect::<Vec<_>>(),
        "left_out": table.problems.iter().map(problem).chain(left_out).collect::<Vec<_>>(),
    })
}

fn to_text(terminal: &Terminal, table: &Table, plugins: &Found) -> String {
    let tools = table.tools.iter().map(|tool| {
        let name = terminal.out(Tint::Bold, &format!("{:<20}", tool.name));
        let mut line = format!("{name} {:<6} {}", tool.method, tool.url.as_str());
        if !tool.description.is_empty() {
            line.push_str(&format!("\n{:20} {}", "", tool.description));
        }
        let secrets = secrets_of(tool);
        if !secrets.is_empty() {
            line.push_str(&terminal.out(
                Tint::Dim,
                &format!("\n{:20} secrets: {}", "", secrets.join(", ")),
            ));
        }
        line
    });
    let problems = table
        .problems
        .iter()
        .map(|problem| terminal.out(Tint::Yellow, &format!("left out: {}", chain(problem))));
    let servers = table.servers.iter();
    let servers = servers.map(|server| mcp::to_text(terminal, server));
    let programs = plugins.plugins.iter();
    let programs = programs.map(|plugin| plugin::to_text(terminal, plugin));
    let left_out = plugins.problems.iter();
    let left_out = left_out
        .map(|(_, error)| terminal.out(Tint::Yellow, &format!("left out: {}", chain(error))));
    let lines = tools
        .chain(servers)
        .chain(programs)
        .chain(problems)
        .chain(left_out);
    lines.collect::<Vec<_>>().join("\n")
}

fn remove(context: &Context, names: &[String]) -> anyhow::Result<()> {
    let path = context.home.tools();
    let mut document = read_document(&path)?;
    let mut removed = Vec::new();
    for name in names {
        let kinds = ["tool", "mcp"];
        let listed = kinds
            .iter()
            .any(|kind| remove_from(&mut document, kind, name));
        if listed || plugin::remove(context, name)? {
            removed.push(name);
        }
    }
    if !removed.is_empty() {
        write_private(&path, document.to_string().as_bytes())?;
    }
    say_removed(context, names, &removed, "gaia tools list")
}

/// Says what of `names` was `removed`; `listing` shows what there is.
///
/// # Errors
/// Some of them were not there.
fn say_removed(
    context: &Context,
    names: &[String],
    removed: &[&String],
    listing: &str,
) -> anyhow::Result<()> {
    let missing: Vec<&str> = names
        .iter()
        .filter(|name| !removed.contains(name))
        .map(String::as_str)
        .collect();
    if !removed.is_empty() || missing.is_empty() {
        context.terminal.answer(
            || json!({"removed": removed}),
            |_| {
                let lines = removed.iter().map(|name| format!("{name}: removed"));
                lines.collect::<Vec<_>>().join("\n")
            },
        );
    }
    match missing[..] {
        [] => Ok(()),
        _ => {
            let message = format!("`{}` was not here", missing.join("`, `"));
            let mend = format!("{listing} shows what there is");
            Err(failure(Exit::Failure, with_mend(message, Some(&mend))))
        }
    }
}

/// The file as it is, with its comments.
fn read_document(path: &Path) -> anyhow::Result<DocumentMut> {
    let text = read_text(path).map_err(unusable)?;
    parse(path, &text).map_err(unusable)?;
    Ok(text.parse()?)
}

/// One more entry of a kind, `tool` or `mcp`, below the others.
fn push_entry(
    document: &mut DocumentMut,
    kind: &str,
    entry: toml_edit::Table,
) -> anyhow::Result<()> {
    let entries = document
        .entry(kind)
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let Some(entries) = entries.as_array_of_tables_mut() else {
        let message = format!("tools.toml has `{kind} = [...]`; write each below [[{kind}]]");
        return Err(failure(Exit::Config, message));
    };
    entries.push(entry);
    Ok(())
}

/// Writes what is given of the limits and headers, which all kinds have.
fn set_limits_and_headers(
    entry: &mut toml_edit::Table,
    time_ms: Option<u32>,
    reply_bytes: Option<u32>,
    headers: &[String],
) -> anyhow::Result<()> {
    for (key, number) in [("time_ms", time_ms), ("reply_bytes", reply_bytes)] {
        if let Some(number) = number {
            entry[key] = value(i64::from(number));
        }
    }
    if headers.is_empty() {
        return Ok(());
    }
    let mut table = toml_edit::Table::new();
    for text in headers {
        let Some((name, text)) = text.split_once(':') else {
            let message = "--header: write it as 'NAME: VALUE', such as 'Authorization: Bearer {secret:weather}'";
            return Err(failure(Exit::Usage, message));
        };
        table[name.trim()] = value(text.trim());
    }
    entry["headers"] = Item::Table(table);
    Ok(())
}

/// Whether there was one called `name`.
fn remove_from(document: &mut DocumentMut, kind: &str, name: &str) -> bool {
    let entries = document
        .get_mut(kind)
        .and_then(Item::as_array_of_tables_mut);
    let Some(entries) = entries else {
        return false;
    };
    let before = entries.len();
    entries.retain(|entry| entry.get("name").and_then(Item::as_str) != Some(name));
    entries.len() < before
}

fn unusable(error: ReadToolsError) -> anyhow::Error {
    failure(Exit::Config, chain(&error))
}

/// The password of this node's key, which its secrets have too.
fn password(context: &Context, file: Option<&Path>) -> anyhow::Result<Password> {
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let password = own_password(&PasswordSources {
        file,
        environment: context.environment.password.as_ref(),
        interactive: is_terminal && !context.terminal.json,
        generated: generated_file(&context.environment.user_config, context.home.root()),
    })?;
    Ok(password)
}
