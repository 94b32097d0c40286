//! `tools.toml`: the table of a node's HTTPS tools and MCP servers.
//!
//! Invariant: a tool or server that is wrong is left out, by name and line, and harms no other.

mod problem;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::NAME_BYTES_MAX;
use crate::header::HeaderTemplate;
use crate::origin::Origin;
use crate::parameters::Parameters;
use crate::server::{McpServer, RawServer, SERVERS_MAX};
use crate::tool::{HttpsTool, Method};
use crate::url_template::UrlTemplate;

pub use problem::{EntryKind, ReadTableError, TableProblem, ToolError};

/// The longest table, in bytes.
pub const TABLE_BYTES_MAX: usize = 1 << 20;
/// The most tools in a table.
pub const TOOLS_MAX: usize = 64;
/// The longest description, in bytes: every prompt pays for it.
pub const DESCRIPTION_BYTES_MAX: usize = 2 << 10;
/// The most headers of one tool.
pub const HEADERS_MAX: usize = 16;
/// The longest pointer, in bytes.
pub const POINTER_BYTES_MAX: usize = 256;
/// The longest that a call may take, in milliseconds.
pub const TIME_MS_MAX: u32 = 20_000;
/// How long a call may take where the table does not say.
pub const TIME_MS_DEFAULT: u32 = 10_000;
/// The longest reply that may be allowed, in bytes.
pub const REPLY_BYTES_MAX: u32 = 1 << 20;
/// The longest reply where the table does not say, in bytes.
pub const REPLY_BYTES_DEFAULT: u32 = 256 << 10;

/// The tools of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Those that can be called, in the order of the file.
    pub tools: Vec<HttpsTool>,
    /// The MCP servers that can be asked, in the order of the file.
    pub servers: Vec<McpServer>,
    /// Those that were left out.
    pub problems: Vec<TableProblem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTool {
    name: String,
    #[serde(default)]
    description: String,
    url: String,
    #[serde(default)]
    method: Option<String>,
    /// JSON: TOML has no null, and keeps no order.
    #[serde(default)]
    parameters: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    time_ms: Option<u32>,
    #[serde(default)]
    reply_bytes: Option<u32>,
    #[serde(default)]
    pointer: Option<String>,
}

impl Table {
    /// Reads `tools.toml`.
    pub fn parse(text: &str) -> Result<Self, ReadTableError> {
        if text.len() > TABLE_BYTES_MAX {
            return Err(ReadTableError::TooLong);
        }
        let mut table = Self::default();
        for (kind, entry) in entries(text)? {
            let line = line_of(text, entry.span().start);
            let name = name_of(entry.get_ref());
            if let Err((at, error)) = table.add(kind, entry) {
                table.problems.push(TableProblem {
                    kind,
                    line: at.map_or(line, |at| line_of(text, at)),
                    name: name.unwrap_or_else(|| "?".to_owned()),
                    error,
                });
            }
        }
        Ok(table)
    }

    /// The tool called `name`.
    pub fn find(&self, name: &str) -> Option<&HttpsTool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The MCP server called `name`.
    pub fn find_server(&self, name: &str) -> Option<&McpServer> {
        self.servers.iter().find(|server| server.name == name)
    }

    /// Where the tools and servers are, each place once.
    pub fn origins(&self) -> Vec<Origin> {
        let mut origins: Vec<Origin> = Vec::new();
        let tools = self.tools.iter().map(|tool| tool.url.origin());
        let servers = self.servers.iter().map(|server| server.url.origin());
        for origin in tools.chain(servers) {
            if !origins.contains(origin) {
                origins.push(origin.clone());
            }
        }
        origins
    }

    /// With the place of an error, where it is more exact than the entry's own.
    fn add(&mut self, kind: EntryKind, entry: Entry<'_>) -> Result<(), (Option<usize>, ToolError)> {
        match kind {
            EntryKind::Tool => {
                let tool = self.check(read(entry)?).map_err(|error| (None, error))?;
                self.tools.push(tool);
            }
            EntryKind::Server => {
                let server = self.check_server(read(entry)?);
                self.servers.push(server.map_err(|error| (None, error))?);
            }
        }
        Ok(())
    }

    fn check(&self, raw: RawTool) -> Result<HttpsTool, ToolError> {
        if !crate::is_name(&raw.name) {
            return Err(ToolError::Name);
        }
        if self.find(&raw.name).is_some() {
            return Err(ToolError::Twice);
        }
        if self.tools.len() >= TOOLS_MAX {
            return Err(ToolError::TooMany);
        }
        let tool = build(raw)?;
        check_places(&tool)?;
        Ok(tool)
    }

    fn check_server(&self, raw: RawServer) -> Result<McpServer, ToolError> {
        if self.find_server(&raw.name).is_some() {
            return Err(ToolError::ServerTwice);
        }
        if self.servers.len() >= SERVERS_MAX {
            return Err(ToolError::TooManyServers);
        }
        McpServer::read(raw)
    }
}

/// What stands after `[[tool]]` or `[[mcp]]`, with its place.
type Entry<'a> = Spanned<DeValue<'a>>;

fn read<T: for<'de> Deserialize<'de>>(entry: Entry<'_>) -> Result<T, (Option<usize>, ToolError)> {
    T::deserialize(ValueDeserializer::from(entry)).map_err(|error| {
        let at = error.span().map(|span| span.start);
        (at, ToolError::Field(error.message().to_owned()))
    })
}

/// The values after `[[tool]]` and `[[mcp]]`, each with its place.
fn entries(text: &str) -> Result<Vec<(EntryKind, Entry<'_>)>, ReadTableError> {
    let document = DeTable::parse(text).map_err(|error| ReadTableError::Toml {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    for (key, value) in document.into_inner() {
        let of = |kind| move |entry| (kind, entry);
        match (key.get_ref().as_ref(), value.into_inner()) {
            ("tool", DeValue::Array(list)) => {
                entries.extend(list.into_iter().map(of(EntryKind::Tool)));
            }
            ("mcp", DeValue::Array(list)) => {
                entries.extend(list.into_iter().map(of(EntryKind::Server)));
            }
            (name, _) => {
                return Err(ReadTableError::Unknown {
                    line: line_of(text, key.span().start),
                    name: name.to_owned(),
                });
            }
        }
    }
    Ok(entries)
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

fn name_of(entry: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(fields) = entry else {
        return None;
    };
    let (_, name) = fields
        .iter()
        .find(|(key, _)| key.get_ref().as_ref() == "name")?;
    match name.get_ref() {
        DeValue::String(name) => Some(name.chars().take(NAME_BYTES_MAX).collect()),
        _ => None,
    }
}

fn build(raw: RawTool) -> Result<HttpsTool, ToolError> {
    if raw.description.len() > DESCRIPTION_BYTES_MAX {
        return Err(ToolError::Description);
    }
    if raw.headers.len() > HEADERS_MAX {
        return Err(ToolError::Headers);
    }
    let url = UrlTemplate::parse(&raw.url)?;
    let method = match raw.method {
        None => Method::Get,
        Some(text) => Method::parse(&text).ok_or(ToolError::Method(text))?,
    };
    let parameters = match &raw.parameters {
        Some(schema) => Parameters::parse(schema)?,
        None => Parameters::of_url(&url),
    };
    Ok(HttpsTool {
        name: raw.name,
        description: raw.description,
        headers: headers(&raw.headers)?,
        url,
        method,
        parameters,
        time_ms: within(raw.time_ms, TIME_MS_DEFAULT, TIME_MS_MAX).ok_or(ToolError::Time)?,
        reply_bytes: within(raw.reply_bytes, REPLY_BYTES_DEFAULT, REPLY_BYTES_MAX)
            .ok_or(ToolError::ReplyBytes)?,
        pointer: raw.pointer.map(check_pointer).transpose()?,
    })
}

pub(crate) fn headers(raw: &BTreeMap<String, String>) -> Result<Vec<HeaderTemplate>, ToolError> {
    let parse = |(name, value): (&String, &String)| HeaderTemplate::parse(name, value);
    Ok(raw.iter().map(parse).collect::<Result<_, _>>()?)
}

pub(crate) fn within(value: Option<u32>, default: u32, max: u32) -> Option<u32> {
    let value = value.unwrap_or(default);
    (1..=max).contains(&value).then_some(value)
}

/// RFC 6901: empty, or each part after a slash, `~` only as `~0` and `~1`.
fn check_pointer(pointer: String) -> Result<String, ToolError> {
    let mut after_tilde = pointer.split('~').skip(1);
    let is_pointer = (pointer.is_empty() || pointer.starts_with('/'))
        && pointer.len() <= POINTER_BYTES_MAX
        && after_tilde.all(|rest| rest.starts_with(['0', '1']));
    match is_pointer {
        true => Ok(pointer),
        false => Err(ToolError::Pointer(pointer)),
    }
}

/// Every place has a parameter, and every parameter a place.
fn check_places(tool: &HttpsTool) -> Result<(), ToolError> {
    let parameters = &tool.parameters;
    let is_parameter = |name: &str| parameters.names().any(|known| known == name);
    if let Some(name) = tool.url.arguments().find(|name| !is_parameter(name)) {
        return Err(ToolError::NotParameter(name.to_owned()));
    }
    if let Some(name) = tool.url.needed().find(|name| !parameters.requires(name)) {
        return Err(ToolError::NotRequired(name.to_owned()));
    }
    if tool.method.has_body() {
        return Ok(());
    }
    let in_url = |name: &str| tool.url.arguments().any(|known| known == name);
    match parameters.names().find(|name| !in_url(name)) {
        Some(name) => Err(ToolError::NoPlace(name.to_owned(), tool.method)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
