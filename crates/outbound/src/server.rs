//! An MCP server in `tools.toml`: somebody else's table of tools, which the node asks for.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::header::HeaderTemplate;
use crate::origin::Target;
use crate::table::{HEADERS_MAX, REPLY_BYTES_DEFAULT, REPLY_BYTES_MAX, ToolError, headers, within};

/// The most MCP servers in a table.
pub const SERVERS_MAX: usize = 16;
/// The longest name of a server, in bytes: the names of its tools begin with it.
pub const SERVER_NAME_BYTES_MAX: usize = 24;
/// The longest that a call of a server's tool may take, in milliseconds: less than the worker waits.
pub const SERVER_TIME_MS_MAX: u32 = 50_000;
/// How long a call may take where the table does not say.
pub const SERVER_TIME_MS_DEFAULT: u32 = 30_000;
/// The most tools of one server that can be named one by one.
pub const SERVER_TOOLS_MAX: usize = 128;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerTransport {
    /// Streamable HTTP.
    #[default]
    Http,
    /// HTTP with server-sent events, as of 2024-11-05.
    Sse,
}

impl ServerTransport {
    /// As the table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Sse => "sse",
        }
    }

    /// What `text` spells.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Http, Self::Sse];
        all.into_iter().find(|transport| transport.as_str() == text)
    }
}

/// A server, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpServer {
    /// Letters, digits, `-` and `_`; no two `_` in a row and none at its end, since `__` comes next.
    pub name: String,
    /// Where it is.
    pub url: Target,
    /// How it is spoken to.
    pub transport: ServerTransport,
    /// What is sent along.
    pub headers: Vec<HeaderTemplate>,
    /// The only tools of it that are used, as it calls them; none named: all.
    pub only: Vec<String>,
    /// The longest that a call may take, in milliseconds.
    pub time_ms: u32,
    /// The longest answer, in bytes.
    pub reply_bytes: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawServer {
    pub(crate) name: String,
    url: String,
    #[serde(default)]
    transport: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    time_ms: Option<u32>,
    #[serde(default)]
    reply_bytes: Option<u32>,
}

/// Whether a server may be called so.
pub fn is_server_name(text: &str) -> bool {
    crate::is_name(text)
        && text.len() <= SERVER_NAME_BYTES_MAX
        && !text.contains("__")
        && !text.ends_with('_')
}

impl McpServer {
    pub(crate) fn read(raw: RawServer) -> Result<Self, ToolError> {
        if !is_server_name(&raw.name) {
            return Err(ToolError::ServerName);
        }
        if raw.headers.len() > HEADERS_MAX {
            return Err(ToolError::Headers);
        }
        if raw.only.len() > SERVER_TOOLS_MAX {
            return Err(ToolError::Only);
        }
        let url: Target = raw.url.parse().map_err(ToolError::ServerUrl)?;
        let transport = match raw.transport {
            None => ServerTransport::default(),
            Some(text) => ServerTransport::parse(&text).ok_or(ToolError::Transport(text))?,
        };
        let time_ms = within(raw.time_ms, SERVER_TIME_MS_DEFAULT, SERVER_TIME_MS_MAX);
        let reply_bytes = within(raw.reply_bytes, REPLY_BYTES_DEFAULT, REPLY_BYTES_MAX);
        Ok(Self {
            name: raw.name,
            url,
            transport,
            headers: headers(&raw.headers)?,
            only: raw.only,
            time_ms: time_ms.ok_or(ToolError::ServerTime)?,
            reply_bytes: reply_bytes.ok_or(ToolError::ReplyBytes)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;

    const NEWS: &str = r#"
[[mcp]]
name = "news"
url = "https://mcp.example/mcp?team=1"
only = ["search"]
[mcp.headers]
Authorization = "Bearer {secret:news}"
"#;

    #[test]
    fn a_server_is_read() {
        let tool = "[[tool]]\nname = \"joke\"\nurl = \"https://jokes.example/\"\n";
        let table = Table::parse(&format!("{NEWS}{tool}")).unwrap();
        assert_eq!(table.problems, []);
        let news = table.find_server("news").unwrap();
        assert_eq!(news.url.path_and_query(), "/mcp?team=1");
        assert_eq!(news.transport, ServerTransport::Http);
        assert_eq!(news.only, ["search"]);
        assert_eq!(news.headers[0].secrets().collect::<Vec<_>>(), ["news"]);
        assert_eq!(
            (news.time_ms, news.reply_bytes),
            (SERVER_TIME_MS_DEFAULT, REPLY_BYTES_DEFAULT)
        );
        let origins: Vec<_> = table.origins().iter().map(ToString::to_string).collect();
        assert_eq!(origins, ["https://jokes.example", "https://mcp.example"]);
    }

    /// What is said of a server with a good name, unless it has another, and these lines.
    fn check(lines: &str, expected: &str) {
        let name = if lines.contains("name") {
            ""
        } else {
            "name = \"good\"\n"
        };
        let table = Table::parse(&format!("[[mcp]]\n{name}{lines}\n{NEWS}")).unwrap();
        let said: Vec<_> = table
            .problems
            .iter()
            .map(|problem| format!("{problem}: {}", problem.error))
            .collect();
        assert!(said[0].contains(expected), "{lines}\n  gives {said:?}");
        assert!(
            table.find_server("news").is_some(),
            "one bad server harms no other"
        );
    }

    #[test]
    fn what_is_no_server_is_left_out() {
        let url = "url = \"https://a.example/mcp\"";
        for name in [
            "",
            "a b",
            "a__b",
            "a_",
            &"x".repeat(SERVER_NAME_BYTES_MAX + 1),
        ] {
            check(
                &format!("name = \"{name}\"\n{url}"),
                "a server's name has 1 to 24",
            );
        }
        assert!(is_server_name(&"x".repeat(SERVER_NAME_BYTES_MAX)) && is_server_name("_a-b_c"));
        check("url = \"ftp://a.example\"", "MCP server `good`: url");
        check("url = \"https://me@a.example\"", "url");
        check(
            &format!("{url}\ntransport = \"stdio\""),
            "transport `stdio` is neither",
        );
        check(
            &format!("{url}\ncommand = \"sh\""),
            "unknown field `command`",
        );
        check(
            &format!("{url}\ntime_ms = 50001"),
            "time_ms must be 1 to 50000",
        );
        check(&format!("{url}\nreply_bytes = 0"), "reply_bytes must be");
        check(&format!("{url}\n[mcp.headers]\nHost = \"x\""), "headers");
        let many: Vec<_> = (0..=SERVER_TOOLS_MAX)
            .map(|number| format!("t{number}"))
            .collect();
        check(&format!("{url}\nonly = {many:?}"), "at most 128 tools");
    }

    #[test]
    fn limits_of_number_are_reached() {
        let server = |number: usize| {
            format!("[[mcp]]\nname = \"s{number}\"\nurl = \"https://a.example/\"\n")
        };
        let text: String = (0..=SERVERS_MAX).map(server).collect();
        let table = Table::parse(&text).unwrap();
        assert_eq!(table.servers.len(), SERVERS_MAX);
        assert_eq!(table.problems[0].error, ToolError::TooManyServers);
        let twice = format!("{NEWS}{NEWS}");
        assert_eq!(
            Table::parse(&twice).unwrap().problems[0].error,
            ToolError::ServerTwice
        );
    }
}
