//! `gaia tools test`: the real call, through the same way out that a turn takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use gaia_egress::Refusal;
use gaia_keystore::{LoadSecretError, Secret, Secrets};
use gaia_outbound::{AnswerError, HttpsTool};
use serde_json::{Value, json};

use super::super::{runtime, with_mend};
use super::{Context, add, chain, mcp, password, plugin, unusable};
use crate::config::Config;
use crate::exit::{Exit, failure};
use crate::terminal::{Terminal, Tint, bytes};
use crate::toolbox::{CallToolError, Called, Toolbox, secrets_of};

/// The least similarity a name must have to be suggested (Jaro-Winkler).
const SUGGEST_SIMILARITY_MIN: f64 = 0.8;

/// Arguments of `gaia tools test`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The tool, or an MCP server to see what it offers
    name: String,
    /// What to call it with, a JSON object
    #[arg(long = "args", value_name = "JSON", default_value = "{}")]
    arguments: String,
    /// The password of the node's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Arguments {
    /// What is asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is called with.
    pub fn given(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.arguments)
            .map_err(|error| failure(Exit::Usage, format!("--args is not JSON: {error}")))
    }

    /// Where the password is.
    pub fn password_file(&self) -> Option<&Path> {
        self.password_file.as_deref()
    }
}

/// Runs `gaia tools test`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let toolbox = Toolbox::open(&context.home, &config).map_err(unusable)?;
    let own = toolbox.table.find(&arguments.name).is_some();
    if !own && let Some(tested) = plugin::test(context, arguments) {
        return tested;
    }
    if !own && let Some(server) = mcp::server_of(&toolbox.table, &arguments.name) {
        return mcp::test(context, &toolbox, server, arguments);
    }
    let tool = find(context, &toolbox, &arguments.name)?;
    let given = arguments.given()?;
    let secrets = open_secrets(context, secrets_of(tool), arguments.password_file())?;
    let called = runtime()?.block_on(toolbox.call(&toolbox.turn(), tool, &given, &secrets));
    let called = called.map_err(|error| no_reply(&error, tool, &config))?;
    show(context.terminal, tool, &called)
}

fn find<'a>(context: &Context, toolbox: &'a Toolbox, name: &str) -> anyhow::Result<&'a HttpsTool> {
    if let Some(tool) = toolbox.table.find(name) {
        return Ok(tool);
    }
    let problems = &toolbox.table.problems;
    let message = match problems.iter().find(|problem| problem.name == name) {
        Some(problem) => format!("tools.toml, {}", chain(problem)),
        None => with_mend(
            format!("there is no tool `{name}`"),
            Some(&nearest(context, toolbox, name)),
        ),
    };
    Err(failure(Exit::Usage, message))
}

/// What is probably meant: the folder that a plugin was added from is called otherwise than its tool, for instance.
fn nearest(context: &Context, toolbox: &Toolbox, name: &str) -> String {
    let table = &toolbox.table;
    let plugins = plugin::all(context).plugins;
    let tools = table.tools.iter().map(|tool| tool.name.as_str());
    let servers = table.servers.iter().map(|server| server.name.as_str());
    let plugins = plugins.iter().map(|plugin| plugin.manifest.name.as_str());
    let nearest = tools
        .chain(servers)
        .chain(plugins)
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SUGGEST_SIMILARITY_MIN);
    match nearest {
        Some((_, known)) => format!("did you mean `{known}`? gaia tools list shows them"),
        None => "gaia tools list shows them".to_owned(),
    }
}

/// The secrets called `names`; without any, no password is asked for.
pub fn open_secrets(
    context: &Context,
    names: Vec<String>,
    password_file: Option<&Path>,
) -> anyhow::Result<BTreeMap<String, Secret>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let kept = Secrets::new(&context.home.secrets());
    let known = kept.names()?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let message = LoadSecretError::Unknown(name.clone()).to_string();
        let mend = format!("gaia tools secret set {name}");
        return Err(failure(Exit::Failure, with_mend(message, Some(&mend))));
    }
    let password = password(context, password_file)?;
    let open = |name: String| Ok((name.clone(), kept.open(&name, &password)?));
    names.into_iter().map(open).collect()
}

fn no_reply(error: &CallToolError, tool: &HttpsTool, config: &Config) -> anyhow::Error {
    let origin = tool.url.origin();
    let mend = match error {
        CallToolError::Call(_) => {
            let schema = tool.parameters.schema();
            return failure(
                Exit::Usage,
                with_mend(
                    error.to_string(),
                    Some(&format!("--args that fit {schema}")),
                ),
            );
        }
        CallToolError::Refused(Refusal::NotAllowed(error)) => {
            return add::not_allowed(error, config);
        }
        CallToolError::Refused(Refusal::Resolve { .. } | Refusal::Connect { .. }) => {
            format!(
                "is {origin} right, and can this machine reach it? Proxies in the environment are not used"
            )
        }
        CallToolError::Refused(Refusal::OtherOrigin { .. }) => {
            "remove the tool and add it with the URL that it redirects to".to_owned()
        }
        CallToolError::Refused(Refusal::TooSlow { .. }) => {
            "a larger time_ms, at most 20000".to_owned()
        }
        CallToolError::Refused(Refusal::TooLong { .. }) => {
            "ask for less, or a larger reply_bytes, at most 1048576".to_owned()
        }
        _ => return failure(Exit::Failure, chain(error)),
    };
    failure(Exit::Failure, with_mend(chain(error), Some(&mend)))
}

/// What came back, also where it holds no answer.
fn show(terminal: Terminal, tool: &HttpsTool, called: &Called) -> anyhow::Result<()> {
    let got = &called.got;
    let content_type = got.content_type.as_deref().unwrap_or("of no stated type");
    let ms = u64::try_from(got.took.as_millis()).unwrap_or(u64::MAX);
    let size = got.body.len() as u64;
    let facts = format!(
        "status {}, {ms} ms, {}, {content_type}",
        got.status,
        bytes(size)
    );
    match &called.answer {
        Ok(answer) => {
            terminal.note(&terminal.err(Tint::Dim, &facts));
            terminal.answer(
                || {
                    json!({"tool": tool.name, "status": got.status, "ms": ms, "bytes": size,
                        "content_type": got.content_type, "answer": answer})
                },
                |_| tame(answer),
            );
            Ok(())
        }
        Err(error) => {
            let message = format!("{error} ({facts})");
            Err(failure(
                Exit::Failure,
                with_mend(message, mend(error, tool).as_deref()),
            ))
        }
    }
}

/// A stranger's text without what a terminal would obey.
pub fn tame(text: &str) -> String {
    let is_tame = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars()
        .map(|c| if is_tame(c) { c } else { '\u{fffd}' })
        .collect()
}

fn mend(error: &AnswerError, tool: &HttpsTool) -> Option<String> {
    match error {
        AnswerError::Status {
            status: 401 | 403, ..
        } => match secrets_of(tool).first() {
            Some(name) => Some(format!("gaia tools secret set {name}")),
            None => {
                Some("it may want a key: --header 'Authorization: Bearer {secret:NAME}'".to_owned())
            }
        },
        AnswerError::NothingThere { .. } => Some("another pointer in tools.toml".to_owned()),
        _ => None,
    }
}
