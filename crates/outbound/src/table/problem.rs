//! Why a table, or an entry of it, cannot be used.

use super::{
    DESCRIPTION_BYTES_MAX, HEADERS_MAX, REPLY_BYTES_MAX, TABLE_BYTES_MAX, TIME_MS_MAX, TOOLS_MAX,
};
use crate::NAME_BYTES_MAX;
use crate::header::ReadHeaderError;
use crate::origin::ReadUrlError;
use crate::parameters::ReadParametersError;
use crate::server::{SERVER_NAME_BYTES_MAX, SERVER_TIME_MS_MAX, SERVER_TOOLS_MAX, SERVERS_MAX};
use crate::tool::Method;
use crate::url_template::ReadTemplateError;

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
        "line {line}: `{name}` is nothing that a table of tools has; a tool begins with [[tool]], a server with [[mcp]]"
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
    /// Not a server's name.
    #[error(
        "a server's name has 1 to {SERVER_NAME_BYTES_MAX} letters, digits, - and _, no __ in it and no _ at its end"
    )]
    ServerName,
    /// Another has it.
    #[error("there is a server of that name above")]
    ServerTwice,
    /// One too many.
    #[error("a node has at most {SERVERS_MAX} MCP servers")]
    TooManyServers,
    /// The server's URL cannot be used.
    #[error("url")]
    ServerUrl(#[source] ReadUrlError),
    /// Not a transport.
    #[error("transport `{0}` is neither http nor sse")]
    Transport(String),
    /// Outside its limits.
    #[error("time_ms must be 1 to {SERVER_TIME_MS_MAX}")]
    ServerTime,
    /// More than the limit.
    #[error("`only` names at most {SERVER_TOOLS_MAX} tools")]
    Only,
}

/// What an entry of the table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// An HTTPS tool.
    Tool,
    /// An MCP server.
    Server,
}

impl std::fmt::Display for EntryKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tool => "tool",
            Self::Server => "MCP server",
        })
    }
}

/// A tool or server that was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind} `{name}`")]
pub struct TableProblem {
    /// What it would have been.
    pub kind: EntryKind,
    /// Counted from 1.
    pub line: usize,
    /// As it calls itself; `?` where it does not.
    pub name: String,
    /// What is wrong.
    #[source]
    pub error: ToolError,
}
