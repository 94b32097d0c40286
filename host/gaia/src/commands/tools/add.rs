//! `gaia tools add`: one more entry in `tools.toml`, checked as a whole before it is written.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use gaia_keystore::Secrets;
use gaia_outbound::{
    AddressClass, EntryKind, Host, HttpsTool, NotAllowed, Origin, SCHEMA_BYTES_MAX, Table,
    TableProblem, is_name,
};
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, value};

use super::super::with_mend;
use super::{Context, chain, push_entry, read_document, set_limits_and_headers, unusable};
use crate::config::Config;
use crate::exit::{Exit, failure};
use crate::home::write_private;
use crate::toolbox::{allow_list, parse, secrets_of};

/// Arguments of `gaia tools add`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What the model calls it: letters, digits, - and _
    name: String,
    /// Where it is; {argument} in path or query is filled in
    #[arg(long)]
    url: String,
    /// What it does, in words for the model
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// GET, POST, PUT, PATCH or DELETE; arguments without a place in the URL become a JSON body
    #[arg(long)]
    method: Option<String>,
    /// A parameter: NAME, NAME? (optional), NAME:TYPE, NAME:TYPE=DESCRIPTION; types are string,
    /// integer, number, boolean. None: those in the URL
    #[arg(long = "param", value_name = "PARAMETER")]
    parameters: Vec<String>,
    /// The parameters as a JSON schema in a file instead
    #[arg(long, value_name = "FILE", conflicts_with = "parameters")]
    schema: Option<PathBuf>,
    /// A header, such as 'Authorization: Bearer {secret:NAME}'
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Where in the JSON reply the answer stands, such as /current/text
    #[arg(long)]
    pointer: Option<String>,
    /// The longest that a call may take, in milliseconds
    #[arg(long, value_name = "N")]
    time_ms: Option<u32>,
    /// The longest reply, in bytes
    #[arg(long, value_name = "N")]
    reply_bytes: Option<u32>,
}

/// Runs `gaia tools add`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let path = context.home.tools();
    let mut document = read_document(&path)?;
    append(&mut document, arguments)?;
    let text = document.to_string();
    let table = parse(&path, &text).map_err(unusable)?;
    let tool = added(&table, arguments, &text)?;
    check_place(&table, tool.url.origin(), &config)?;
    context.home.make_folders()?;
    write_private(&path, text.as_bytes())?;
    let missing = missing_secrets(context, secrets_of(tool))?;
    context.terminal.answer(
        || json!({"added": tool.name, "secrets_missing": missing}),
        |_| next_steps(tool, &missing),
    );
    Ok(())
}

fn append(document: &mut DocumentMut, arguments: &Arguments) -> anyhow::Result<()> {
    let mut tool = toml_edit::Table::new();
    tool["name"] = value(&arguments.name);
    let texts = [
        ("description", &arguments.description),
        ("url", &Some(arguments.url.clone())),
        ("method", &arguments.method),
        ("parameters", &schema(arguments)?),
        ("pointer", &arguments.pointer),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            tool[key] = value(text);
        }
    }
    set_limits_and_headers(
        &mut tool,
        arguments.time_ms,
        arguments.reply_bytes,
        &arguments.headers,
    )?;
    push_entry(document, "tool", tool)
}

/// The schema as JSON text, if anything is said of one.
fn schema(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    match &arguments.schema {
        Some(file) => read_schema(file).map(Some),
        None if arguments.parameters.is_empty() => Ok(None),
        None => schema_of(&arguments.parameters).map(|schema| Some(schema.to_string())),
    }
}

fn read_schema(path: &Path) -> anyhow::Result<String> {
    let named = || format!("failed to read schema `{}`", path.display());
    let mut text = String::new();
    let file = File::open(path).with_context(named)?;
    // One byte more than allowed, so that the table can say that it is too long.
    let most = SCHEMA_BYTES_MAX as u64 + 1;
    file.take(most)
        .read_to_string(&mut text)
        .with_context(named)?;
    Ok(text)
}

/// The schema that `--param` describes.
fn schema_of(parameters: &[String]) -> anyhow::Result<Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for text in parameters {
        let parameter = Parameter::parse(text).ok_or_else(|| {
            let message =
                format!("--param: `{text}` is not NAME, NAME?, NAME:TYPE or NAME:TYPE=DESCRIPTION");
            failure(Exit::Usage, message)
        })?;
        let mut schema = json!({"type": parameter.kind});
        if let Some(description) = parameter.description {
            schema["description"] = description.into();
        }
        properties.insert(parameter.name.to_owned(), schema);
        if parameter.required {
            required.push(parameter.name);
        }
    }
    Ok(json!({"type": "object", "properties": properties, "required": required}))
}

/// What one `--param` says.
#[derive(Debug, PartialEq, Eq)]
struct Parameter<'a> {
    name: &'a str,
    required: bool,
    kind: &'a str,
    description: Option<&'a str>,
}

impl<'a> Parameter<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (text, description) = match text.split_once('=') {
            Some((text, description)) => (text, Some(description.trim())),
            None => (text, None),
        };
        let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
        let required = !name.ends_with('?');
        let name = name.strip_suffix('?').unwrap_or(name);
        let known = ["string", "integer", "number", "boolean"].contains(&kind);
        (is_name(name) && known).then_some(Self {
            name,
            required,
            kind,
            description,
        })
    }
}

/// The tool as the table has it, or why it would be left out.
fn added<'a>(table: &'a Table, arguments: &Arguments, text: &str) -> anyhow::Result<&'a HttpsTool> {
    let header = text.rfind("[[tool]]").unwrap_or_default();
    let line = 1 + text[..header].matches('\n').count();
    let mut problems = table.problems.iter();
    let is_it = |problem: &&TableProblem| problem.kind == EntryKind::Tool && problem.line >= line;
    if let Some(problem) = problems.find(is_it) {
        let mend = match problem.error {
            gaia_outbound::ToolError::Twice => {
                Some(format!("gaia tools remove {}", arguments.name))
            }
            _ => None,
        };
        return Err(failure(
            Exit::Usage,
            with_mend(chain(&problem.error), mend.as_deref()),
        ));
    }
    let tool = table.find(&arguments.name);
    tool.ok_or_else(|| failure(Exit::Config, "tools.toml has no such tool after adding it"))
}

/// Whether a call could ever go there, as far as the URL says.
pub(super) fn check_place(table: &Table, origin: &Origin, config: &Config) -> anyhow::Result<()> {
    let allow = allow_list(table, config);
    let checked = match origin.host {
        Host::Address(address) => allow.check(origin, &[address]),
        Host::Name(_) => allow.check_origin(origin),
    };
    checked.map_err(|error| not_allowed(&error, config))
}

/// What the egress says, and how to list the place.
pub(super) fn not_allowed(error: &NotAllowed, config: &Config) -> anyhow::Error {
    let origin = match error {
        NotAllowed::Origin(origin) | NotAllowed::PlainHttp(origin) => Some(origin),
        // Where clouds keep credentials nobody is led by a hint.
        NotAllowed::Address {
            class: AddressClass::LinkLocal,
            ..
        } => None,
        NotAllowed::Address { origin, .. } => Some(origin),
        NotAllowed::NoAddress(_) => None,
    };
    let mend = origin.map(|origin| {
        let mut origins = config.egress_origins.clone();
        origins.push(origin.to_string());
        format!(
            "if it is yours: gaia config set egress_origins {}",
            origins.join(",")
        )
    });
    failure(Exit::Failure, with_mend(error.to_string(), mend.as_deref()))
}

/// Those of the secrets called `needed` that are not set.
pub(super) fn missing_secrets(
    context: &Context,
    mut needed: Vec<String>,
) -> anyhow::Result<Vec<String>> {
    let known = Secrets::new(&context.home.secrets()).names()?;
    needed.retain(|name| !known.contains(name));
    Ok(needed)
}

fn next_steps(tool: &HttpsTool, missing: &[String]) -> String {
    let mut lines = vec![format!("{}: added", tool.name)];
    lines.extend(
        missing
            .iter()
            .map(|name| format!("Next: gaia tools secret set {name}")),
    );
    let arguments: Map<_, _> = tool
        .parameters
        .names()
        .filter(|name| tool.parameters.requires(name))
        .map(|name| (name.to_owned(), json!("…")))
        .collect();
    lines.push(format!(
        "Try it: gaia tools test {} --args '{}'",
        tool.name,
        Value::Object(arguments)
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, bool, &str, Option<&str>)>) {
        let expected = expected.map(|(name, required, kind, description)| Parameter {
            name,
            required,
            kind,
            description,
        });
        assert_eq!(Parameter::parse(text), expected, "{text}");
    }

    #[test]
    fn parameters_in_short() {
        check("city", Some(("city", true, "string", None)));
        check("days?:integer", Some(("days", false, "integer", None)));
        check(
            "city=Name: or = code",
            Some(("city", true, "string", Some("Name: or = code"))),
        );
        check("c:number= x ", Some(("c", true, "number", Some("x"))));
        for text in ["", "a b", "?", "x:", "x:text", ":string"] {
            check(text, None);
        }
    }
}
