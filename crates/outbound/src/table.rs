//! `tools.toml`: the table of a node's HTTPS tools.
//!
//! Invariant: a tool that is wrong is left out, by name and line, and harms no other.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::NAME_BYTES_MAX;
use crate::header::{HeaderTemplate, ReadHeaderError};
use crate::origin::Origin;
use crate::parameters::{Parameters, ReadParametersError};
use crate::tool::{HttpsTool, Method};
use crate::url_template::{ReadTemplateError, UrlTemplate};

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

/// Why there is no table at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadTableError {
    /// Longer than the limit.
    #[error("the table is longer than {TABLE_BYTES_MAX} bytes")]
    TooLong,
    /// Not TOML.
    #[error("line {line}: {message}")]
    Toml {
        /// Counted from 1.
        line: usize,
        /// What and where.
        message: String,
    },
    /// Something else than tools.
    #[error(
        "line {line}: `{name}` is nothing that a table of tools has; a tool begins with [[tool]]"
    )]
    Unknown {
        /// Counted from 1.
        line: usize,
        /// What stands there.
        name: String,
    },
}

/// Why a tool is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// A field is missing, unknown or of another type.
    #[error("{0}")]
    Field(String),
    /// Not a name.
    #[error("a name has 1 to {NAME_BYTES_MAX} letters, digits, - and _")]
    Name,
    /// Another has it.
    #[error("there is a tool of that name above")]
    Twice,
    /// One too many.
    #[error("a node has at most {TOOLS_MAX} tools")]
    TooMany,
    /// Longer than the limit.
    #[error("the description is longer than {DESCRIPTION_BYTES_MAX} bytes")]
    Description,
    /// The URL cannot be used.
    #[error("url")]
    Url(#[from] ReadTemplateError),
    /// Not a method.
    #[error("method `{0}` is none of GET, POST, PUT, PATCH, DELETE")]
    Method(String),
    /// The schema cannot be used.
    #[error("parameters")]
    Parameters(#[from] ReadParametersError),
    /// A place in the URL that nothing can fill.
    #[error("the URL has a place for `{0}`, which is no parameter")]
    NotParameter(String),
    /// A place in the path that may stay empty.
    #[error("`{0}` stands in the path, so it must be required")]
    NotRequired(String),
    /// A parameter that goes nowhere.
    #[error("parameter `{0}` has no place in the URL, and {1} has no body")]
    NoPlace(String, Method),
    /// A header cannot be used.
    #[error("headers")]
    Header(#[from] ReadHeaderError),
    /// More than the limit.
    #[error("a tool has at most {HEADERS_MAX} headers")]
    Headers,
    /// Outside its limits.
    #[error("time_ms must be 1 to {TIME_MS_MAX}")]
    Time,
    /// Outside its limits.
    #[error("reply_bytes must be 1 to {REPLY_BYTES_MAX}")]
    ReplyBytes,
    /// Not a JSON pointer.
    #[error("`{0}` is no JSON pointer such as /current/text")]
    Pointer(String),
}

/// A tool that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: tool `{name}`")]
pub struct TableProblem {
    /// Counted from 1.
    pub line: usize,
    /// As it calls itself; `?` where it does not.
    pub name: String,
    /// What is wrong.
    #[source]
    pub error: ToolError,
}

/// The tools of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Those that can be called, in the order of the file.
    pub tools: Vec<HttpsTool>,
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
        for entry in entries(text)? {
            let line = line_of(text, entry.span().start);
            let name = name_of(entry.get_ref());
            match table.read(entry) {
                Ok(tool) => table.tools.push(tool),
                Err((at, error)) => table.problems.push(TableProblem {
                    line: at.map_or(line, |at| line_of(text, at)),
                    name: name.unwrap_or_else(|| "?".to_owned()),
                    error,
                }),
            }
        }
        Ok(table)
    }

    /// The tool called `name`.
    pub fn find(&self, name: &str) -> Option<&HttpsTool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Where the tools are, each place once.
    pub fn origins(&self) -> Vec<Origin> {
        let mut origins: Vec<Origin> = Vec::new();
        for tool in &self.tools {
            if !origins.contains(tool.url.origin()) {
                origins.push(tool.url.origin().clone());
            }
        }
        origins
    }

    /// With the place of an error, where it is more exact than the tool's own.
    fn read(&self, entry: Spanned<DeValue<'_>>) -> Result<HttpsTool, (Option<usize>, ToolError)> {
        let raw = RawTool::deserialize(ValueDeserializer::from(entry)).map_err(|error| {
            let at = error.span().map(|span| span.start);
            (at, ToolError::Field(error.message().to_owned()))
        })?;
        self.check(raw).map_err(|error| (None, error))
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
}

/// The values after `[[tool]]`, each with its place.
fn entries(text: &str) -> Result<Vec<Spanned<DeValue<'_>>>, ReadTableError> {
    let document = DeTable::parse(text).map_err(|error| ReadTableError::Toml {
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut tools = Vec::new();
    for (key, value) in document.into_inner() {
        match (key.get_ref().as_ref(), value.into_inner()) {
            ("tool", DeValue::Array(list)) => tools.extend(list),
            (name, _) => {
                return Err(ReadTableError::Unknown {
                    line: line_of(text, key.span().start),
                    name: name.to_owned(),
                });
            }
        }
    }
    Ok(tools)
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
    let headers = raw.headers.iter();
    let headers = headers.map(|(name, value)| HeaderTemplate::parse(name, value));
    Ok(HttpsTool {
        name: raw.name,
        description: raw.description,
        headers: headers.collect::<Result<_, _>>()?,
        url,
        method,
        parameters,
        time_ms: within(raw.time_ms, TIME_MS_DEFAULT, TIME_MS_MAX).ok_or(ToolError::Time)?,
        reply_bytes: within(raw.reply_bytes, REPLY_BYTES_DEFAULT, REPLY_BYTES_MAX)
            .ok_or(ToolError::ReplyBytes)?,
        pointer: raw.pointer.map(check_pointer).transpose()?,
    })
}

fn within(value: Option<u32>, default: u32, max: u32) -> Option<u32> {
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
