//! `gaia tools add mcp`, and what the other verbs do with a server's tools.

use std::time::Duration;

use clap::Args;
use gaia_egress::HeaderText;
use gaia_mcp::{CallError, Credentials, Listing};
use gaia_outbound::{EntryKind, McpServer, Table};
use serde_json::{Value, json};
use toml_edit::{Array, DocumentMut, value};

use super::super::{runtime, with_mend};
use super::test::tame;
use super::{
    Context, add, chain, push_entry, read_document, set_limits_and_headers, test, unusable,
};
use crate::exit::{Exit, failure};
use crate::home::write_private;
use crate::terminal::{Terminal, Tint};
use crate::toolbox::{Toolbox, header_texts, parse, secret_names};

/// How long a server may take to say what it has, so that the rest is shown.
const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `gaia tools add mcp`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia tools add mcp news https://mcp.example.org/mcp \\
    --header 'Authorization: Bearer {secret:news}' --only search --only headlines
  gaia tools test news                              what it offers
  gaia tools test news__search --args '{\"query\": \"tides\"}'")]
pub struct Arguments {
    /// What its tools' names begin with: NAME__TOOL
    name: String,
    /// Where it is
    url: String,
    /// It speaks HTTP with server-sent events as of 2024-11-05, not streamable HTTP
    #[arg(long)]
    sse: bool,
    /// A header, such as 'Authorization: Bearer {secret:NAME}'
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Use this tool of it, by its own name, and others only if they are named too
    #[arg(long, value_name = "TOOL")]
    only: Vec<String>,
    /// The longest that a call may take, in milliseconds
    #[arg(long, value_name = "N")]
    time_ms: Option<u32>,
    /// The longest answer, in bytes
    #[arg(long, value_name = "N")]
    reply_bytes: Option<u32>,
}

/// Runs `gaia tools add mcp`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let path = context.home.tools();
    let mut document = read_document(&path)?;
    append(&mut document, arguments)?;
    let text = document.to_string();
    let table = parse(&path, &text).map_err(unusable)?;
    let server = added(&table, arguments)?;
    add::check_place(&table, server.url.origin(), &config)?;
    context.home.make_folders()?;
    write_private(&path, text.as_bytes())?;
    let missing = add::missing_secrets(context, secret_names(&server.headers))?;
    context.terminal.answer(
        || json!({"added": server.name, "secrets_missing": missing}),
        |_| next_steps(server, &missing),
    );
    Ok(())
}

fn append(document: &mut DocumentMut, arguments: &Arguments) -> anyhow::Result<()> {
    let mut server = toml_edit::Table::new();
    server["name"] = value(&arguments.name);
    server["url"] = value(&arguments.url);
    if arguments.sse {
        server["transport"] = value("sse");
    }
    if !arguments.only.is_empty() {
        server["only"] = value(arguments.only.iter().collect::<Array>());
    }
    set_limits_and_headers(
        &mut server,
        arguments.time_ms,
        arguments.reply_bytes,
        &arguments.headers,
    )?;
    push_entry(document, "mcp", server)
}

/// The server as the table has it, or why it would be left out: it is the last of the file's.
fn added<'a>(table: &'a Table, arguments: &Arguments) -> anyhow::Result<&'a McpServer> {
    let mut problems = table.problems.iter();
    let last = problems.rfind(|problem| problem.kind == EntryKind::Server);
    let known = table.find_server(&arguments.name);
    match (last.filter(|problem| problem.name == arguments.name), known) {
        (None, Some(server)) => Ok(server),
        (None, None) => {
            let message = "tools.toml has no such server after adding it";
            Err(failure(Exit::Config, message))
        }
        (Some(problem), known) => {
            let mend = known.map(|server| format!("gaia tools remove {}", server.name));
            Err(failure(
                Exit::Usage,
                with_mend(chain(&problem.error), mend.as_deref()),
            ))
        }
    }
}

fn next_steps(server: &McpServer, missing: &[String]) -> String {
    let mut lines = vec![format!("{}: added", server.name)];
    lines.extend(
        missing
            .iter()
            .map(|name| format!("Next: gaia tools secret set {name}")),
    );
    lines.push(format!(
        "See what it offers: gaia tools test {}",
        server.name
    ));
    lines.join("\n")
}

/// A server as `gaia tools list` shows it.
pub fn to_json(server: &McpServer) -> Value {
    json!({
        "name": server.name,
        "url": url(server),
        "transport": server.transport.as_str(),
        "headers": server.headers.iter().map(|header| header.name()).collect::<Vec<_>>(),
        "secrets": secret_names(&server.headers),
        "only": server.only,
        "time_ms": server.time_ms,
        "reply_bytes": server.reply_bytes,
    })
}

/// The same for people.
pub fn to_text(terminal: &Terminal, server: &McpServer) -> String {
    let name = terminal.out(Tint::Bold, &format!("{:<20}", server.name));
    let mut line = format!("{name} {:<6} {}", "MCP", url(server));
    if !server.only.is_empty() {
        line.push_str(&format!("\n{:20} only {}", "", server.only.join(", ")));
    }
    let secrets = secret_names(&server.headers);
    if !secrets.is_empty() {
        let secrets = format!("\n{:20} secrets: {}", "", secrets.join(", "));
        line.push_str(&terminal.out(Tint::Dim, &secrets));
    }
    let tools = format!("\n{:20} its tools: gaia tools test {}", "", server.name);
    line.push_str(&terminal.out(Tint::Dim, &tools));
    line
}

fn url(server: &McpServer) -> String {
    format!("{}{}", server.url.origin(), server.url.path_and_query())
}

/// The server whose name `name` is, or begins with.
pub fn server_of<'a>(table: &'a Table, name: &str) -> Option<&'a McpServer> {
    let server = name.split_once("__").map_or(name, |(server, _)| server);
    table.find_server(server)
}

/// Runs `gaia tools test` for a server, or for one of its tools.
pub fn test(
    context: &Context,
    toolbox: &Toolbox,
    server: &McpServer,
    asked: &test::Arguments,
) -> anyhow::Result<()> {
    let given = asked.given()?;
    let names = secret_names(&server.headers);
    let secrets = test::open_secrets(context, names, asked.password_file())?;
    let headers = header_texts(&server.headers, &secrets)?;
    // The server that is tried is the only one that is sent anything.
    let credentials = |other: &McpServer| match other.name == server.name {
        true => given_to(headers.clone()),
        false => Credentials::none(),
    };
    let servers = toolbox.servers(credentials);
    if asked.name() == server.name {
        let listing = runtime()?.block_on(servers.listing(&server.name, LIST_PATIENCE));
        return show_listing(context.terminal, listing);
    }
    let turn = toolbox.turn();
    let started = std::time::Instant::now();
    let called = runtime()?.block_on(servers.call(&turn, asked.name(), &given));
    let answer = called.map_err(|error| no_answer(&error, server))?;
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if answer.failed {
        let message = format!("the tool failed: {}", tame(&answer.text));
        return Err(failure(Exit::Failure, message));
    }
    let facts = format!("{ms} ms, {} bytes", answer.text.len());
    context
        .terminal
        .note(&context.terminal.err(Tint::Dim, &facts));
    context.terminal.answer(
        || json!({"tool": asked.name(), "ms": ms, "bytes": answer.text.len(), "answer": answer.text}),
        |_| tame(&answer.text),
    );
    Ok(())
}

fn given_to(headers: Vec<(String, HeaderText)>) -> Credentials {
    Credentials::new(move || {
        let headers = headers.clone();
        async move { Ok(headers) }
    })
}

fn no_answer(error: &CallError, server: &McpServer) -> anyhow::Error {
    let mend = match error {
        CallError::Unknown(_) => Some(format!("gaia tools test {} shows its tools", server.name)),
        CallError::TooSlow { .. } => Some("a larger time_ms, at most 50000".to_owned()),
        CallError::TooLong { .. } => Some("a larger reply_bytes, at most 1048576".to_owned()),
        _ => None,
    };
    failure(Exit::Failure, with_mend(chain(error), mend.as_deref()))
}

fn show_listing(terminal: Terminal, listing: Option<Listing>) -> anyhow::Result<()> {
    let listing = listing.ok_or_else(|| failure(Exit::Config, "the table has changed"))?;
    if let Some(problem) = &listing.problem {
        let message = format!("`{}` cannot be reached: {problem}", listing.server);
        return Err(failure(Exit::Failure, message));
    }
    let tools = listing.tools.iter().map(|tool| {
        json!({"name": tool.name, "own_name": tool.own_name, "description": tool.description,
            "parameters": tool.parameters})
    });
    let left_out = listing.left_out.iter();
    let left_out = left_out.map(|one| json!({"own_name": one.own_name, "message": one.why}));
    terminal.answer(
        || json!({"server": listing.server, "tools": tools.collect::<Vec<_>>(), "left_out": left_out.collect::<Vec<_>>()}),
        |terminal| listing_text(terminal, &listing),
    );
    Ok(())
}

fn listing_text(terminal: &Terminal, listing: &Listing) -> String {
    let tools = listing.tools.iter().map(|tool| {
        let name = terminal.out(Tint::Bold, &format!("{:<40}", tool.name));
        let first = tool.description.lines().next().unwrap_or_default();
        format!("{name} {}", tame(first))
    });
    let left_out = listing.left_out.iter().map(|one| {
        let line = format!("left out: `{}`: {}", one.own_name, one.why);
        terminal.out(Tint::Yellow, &line)
    });
    let lines: Vec<_> = tools.chain(left_out).collect();
    match lines.is_empty() {
        true => "it offers no tools".to_owned(),
        false => lines.join("\n"),
    }
}
