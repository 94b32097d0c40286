//! Reads lines that others wrote for people: the worker, WasmEdge, the plugin, the store.
//!
//! Their forms are known, but nobody promises them: what is not recognised stays in the message.

use serde_json::{Map, Value};

use super::{Record, now};

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// A line, taken apart.
#[derive(Debug, PartialEq)]
pub struct Line<'a> {
    /// When it was written, if it says so in UTC.
    pub time: Option<&'a str>,
    /// How bad it is; what says nothing is information.
    pub level: &'static str,
    /// Who wrote it, if it says so.
    pub target: Option<&'a str>,
    /// What is left.
    pub message: &'a str,
    /// What stands behind the message as `name=value`.
    pub fields: Map<String, Value>,
}

/// Takes `line` apart.
pub fn read_line(line: &str) -> Line<'_> {
    let (time, rest) = time(line.trim());
    let (level, rest) = level(rest);
    let (target, rest) = target(rest);
    let (message, fields) = fields(rest);
    Line {
        time,
        level,
        target,
        message,
        fields,
    }
}

impl Line<'_> {
    /// As a line of JSON; `target` wrote it unless it says otherwise.
    pub fn into_json(self, target: &str) -> String {
        let record = Record {
            time: self.time.map_or_else(now, str::to_owned),
            level: self.level,
            target: self.target.unwrap_or(target),
            message: self.message.to_owned(),
            fields: self.fields,
        };
        record.line()
    }
}

/// `2026-01-02T03:04:05.678Z …`
fn time(line: &str) -> (Option<&str>, &str) {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let bytes = first.as_bytes();
    let is_time = bytes.len() >= 20
        && bytes[4] == b'-'
        && bytes[10] == b'T'
        && first.ends_with('Z')
        && bytes[..4].iter().all(u8::is_ascii_digit);
    match is_time {
        true => (Some(first), rest.trim_start()),
        false => (None, line),
    }
}

/// `WARN …`, or WasmEdge's `[2026-01-02 03:04:05.678] [warning] …`, whose time is nobody knows which.
fn level(line: &str) -> (&'static str, &str) {
    if let Some((first, rest)) = line.split_once(' ')
        && let Some(level) = LEVELS.iter().find(|level| **level == first)
    {
        return (level, rest);
    }
    let bracketed = || {
        let (_, rest) = line.strip_prefix('[')?.split_once("] [")?;
        let (level, rest) = rest.split_once(']')?;
        let level = match level {
            "critical" | "error" => "ERROR",
            "warning" => "WARN",
            "info" => "INFO",
            "debug" => "DEBUG",
            "trace" => "TRACE",
            _ => return None,
        };
        Some((level, rest.trim_start()))
    };
    bracketed().unwrap_or(("INFO", line))
}

/// `some::place: …`
fn target(line: &str) -> (Option<&str>, &str) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
    match line.split_once(": ") {
        Some((first, rest)) if !first.is_empty() && first.bytes().all(is_part) => {
            (Some(first), rest)
        }
        _ => (None, line),
    }
}

/// The longest end of `text` that is nothing but `name=value`.
fn fields(text: &str) -> (&str, Map<String, Value>) {
    let starts = std::iter::once(0).chain(text.match_indices(' ').map(|(at, _)| at + 1));
    for start in starts {
        if let Some(fields) = only_fields(&text[start..]) {
            return (text[..start].trim_end(), fields);
        }
    }
    (text, Map::new())
}

fn only_fields(text: &str) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        if name.is_empty() || !name.bytes().all(is_letter) {
            return None;
        }
        let (value, after) = value(after)?;
        fields.insert(name.to_owned(), value);
        rest = after;
    }
    (!fields.is_empty()).then_some(fields)
}

/// A value, and what comes after the space behind it.
fn value(text: &str) -> Option<(Value, &str)> {
    let length = match text.starts_with('"') {
        true => quoted_length(text)?,
        false => text.find(' ').unwrap_or(text.len()),
    };
    let (value, rest) = text.split_at(length);
    let rest = match rest {
        "" => "",
        rest => rest.strip_prefix(' ')?,
    };
    // Numbers, words and quoted texts are written as in JSON; anything else is a text.
    let read = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    (length > 0).then_some((read, rest))
}

fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(line: &str, expected: (&str, Option<&str>, &str), fields: Value) {
        let read = read_line(line);
        assert_eq!((read.level, read.target, read.message), expected, "{line}");
        assert_eq!(Value::Object(read.fields), fields, "{line}");
    }

    #[test]
    fn lines_of_the_worker_are_taken_apart() {
        check(
            "WARN api-server: the store does not answer: refused request_id=req-1",
            (
                "WARN",
                Some("api-server"),
                "the store does not answer: refused",
            ),
            json!({"request_id": "req-1"}),
        );
        check(
            "listening on http://127.0.0.1:4711",
            ("INFO", None, "listening on http://127.0.0.1:4711"),
            json!({}),
        );
        check(
            "[2026-11-21 23:50:35.123] [error] execution failed: unreachable, Code: 0x89",
            ("ERROR", None, "execution failed: unreachable, Code: 0x89"),
            json!({}),
        );
        check("", ("INFO", None, ""), json!({}));
    }

    #[test]
    fn lines_of_the_plugin_and_the_store_are_taken_apart() {
        let line = "2026-11-21T02:59:00.820359Z  INFO gaia::memory: loaded it model=\"a \\\"b\\\" c\" bytes=12 ready=true of=x";
        check(
            line,
            ("INFO", Some("gaia::memory"), "loaded it"),
            json!({"model": "a \"b\" c", "bytes": 12, "ready": true, "of": "x"}),
        );
        assert_eq!(read_line(line).time, Some("2026-11-21T02:59:00.820359Z"));
    }

    #[test]
    fn what_only_looks_like_fields_stays_in_the_message() {
        check("a=b is not c", ("INFO", None, "a=b is not c"), json!({}));
        check("so=\"open", ("INFO", None, "so=\"open"), json!({}));
        check("x = 1", ("INFO", None, "x = 1"), json!({}));
        check("why: a=", ("INFO", Some("why"), "a="), json!({}));
        check(
            "WARNING of=f",
            ("INFO", None, "WARNING"),
            json!({"of": "f"}),
        );
    }

    #[test]
    fn every_line_becomes_one_object() {
        for line in ["", "\u{7}\t\"", "{\"a\":1}", "[x] [y] z", "[info]"] {
            let text = read_line(line).into_json("worker");
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["target"], "worker", "{line}");
            assert_eq!(read["level"], "INFO");
            assert_eq!(text.matches('\n').count(), 1);
        }
    }
}
