//! What a running node writes down, as text for people or as JSON for programs.
//!
//! In JSON every line is one object: `time`, `level`, `target`, `message`, `fields`. What a line is about (a request,
//! above all) is in its fields, also when it was said further out.
//!
//! Invariant: in JSON nothing else is written, not even by a panic.

mod layer;
mod line;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::layer::JsonLayer;
pub use self::line::read_line;
use crate::config::LogFormat;

/// What the last words of a node that fails are said by.
pub const LAST_WORDS: &str = "gaia::end";

static IN_JSON: AtomicBool = AtomicBool::new(false);

/// Writes to standard error from now on.
pub fn start(level: Option<&str>, format: LogFormat) {
    let filter = EnvFilter::new(log_filter(level));
    match format {
        LogFormat::Text => tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => {
            IN_JSON.store(true, Ordering::Relaxed);
            std::panic::set_hook(Box::new(|panic| {
                let at = panic.location().map(ToString::to_string);
                let what = panic.payload_as_str().unwrap_or("a panic");
                tracing::error!(target: "gaia::panic", at, "{what}");
            }));
            tracing_subscriber::registry()
                .with(filter)
                .with(JsonLayer::new(io::stderr))
                .init();
        }
    }
}

/// Says why the node ends, where what it writes is JSON; false where it is not.
pub fn end(message: &str) -> bool {
    let in_json = IN_JSON.load(Ordering::Relaxed);
    if in_json {
        let record = Record {
            time: now(),
            level: "ERROR",
            target: LAST_WORDS,
            message: message.to_owned(),
            fields: Map::new(),
        };
        // Whoever cannot be written to cannot be told so.
        let _written = io::stderr().lock().write_all(record.line().as_bytes());
    }
    in_json
}

/// The SDK of MCP writes down whole messages of servers, however often they come; this node says itself what
/// became of a server. A `level` that names the SDK has the last word.
fn log_filter(level: Option<&str>) -> String {
    format!("rmcp=error,{}", level.unwrap_or("info"))
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// When, in UTC.
    pub time: String,
    /// How bad: ERROR to TRACE.
    pub level: &'a str,
    /// Who says it.
    pub target: &'a str,
    /// What.
    pub message: String,
    /// The rest.
    pub fields: Map<String, Value>,
}

impl Record<'_> {
    /// As it is written.
    pub fn line(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        text + "\n"
    }
}

/// The time as lines have it.
pub fn now() -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _written = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_with_the_time_first() {
        let record = Record {
            time: now(),
            level: "INFO",
            target: "gaia",
            message: "two\nlines".to_owned(),
            fields: Map::from_iter([("a".to_owned(), 1.into())]),
        };
        let line = record.line();
        assert!(line.starts_with("{\"time\":\"20"), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["message"], "two\nlines");
        assert_eq!(read["fields"]["a"], 1);
    }
}
