//! The last lines of the node's log, as they fit.

use ratatui::style::Color;
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::Theme;
use super::panels::Panel;
use crate::commands::top::facts::Facts;

/// As many of the last lines as there are rows. Where the worker keeps failing, what it said instead.
pub fn panel(facts: &Facts, theme: Theme, rows: u16) -> Panel {
    let failure = facts
        .node
        .as_ref()
        .filter(|node| node.phase == "crash loop");
    if let Some(failure) = failure.and_then(|node| node.last_failure.as_ref()) {
        let lines: Vec<String> = failure.lines().map(str::to_owned).collect();
        return Panel {
            title: "The worker's last words".to_owned(),
            lines: last(&lines, rows).map(|text| line(text, theme)).collect(),
        };
    }
    Panel {
        title: "Log".to_owned(),
        lines: last(&facts.log, rows)
            .map(|text| line(text, theme))
            .collect(),
    }
}

fn last(lines: &[String], rows: u16) -> impl Iterator<Item = &String> {
    let first = lines.len().saturating_sub(usize::from(rows));
    lines[first..].iter()
}

fn line(text: &str, theme: Theme) -> Line<'static> {
    // A log holds what strangers sent: no letter of it may steer the terminal.
    let text = from_json(text).unwrap_or_else(|| text.to_owned());
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    let text = without_date(&text);
    let text = request(&text).unwrap_or(text.into_owned());
    let style = match level(&text) {
        Some("ERROR") => theme.colour(Color::Red),
        Some("WARN") => theme.colour(Color::Yellow),
        _ => theme.dim(),
    };
    Line::from(Span::styled(text, style))
}

/// A line of `log_format = "json"` as it would be in text.
fn from_json(text: &str) -> Option<String> {
    let line: Value = serde_json::from_str(text).ok()?;
    let part = |name: &str| line[name].as_str();
    let mut text = format!("{}  {} {}", part("time")?, part("level")?, part("message")?);
    for (name, value) in line["fields"].as_object()? {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!(" {name}={value}"));
    }
    Some(text)
}

/// `2026-11-21T23:50:40.468673Z  INFO ready` is `23:50:40  INFO ready` to somebody who watches.
fn without_date(text: &str) -> std::borrow::Cow<'_, str> {
    let stamp = text.split_whitespace().next().unwrap_or_default();
    let time = stamp.split_once('T').filter(|(date, time)| {
        date.len() == 10 && time.ends_with('Z') && time.len() >= 9 && stamp.is_ascii()
    });
    match time {
        Some((_, time)) => format!("{}{}", &time[..8], &text[stamp.len()..]).into(),
        None => text.into(),
    }
}

/// An access log's line with what somebody who watches wants to know first.
fn request(text: &str) -> Option<String> {
    let at = text.find(" request ")?;
    let (head, fields) = (&text[..at], &text[at + " request".len()..]);
    let field = |name: &str| {
        let (_, rest) = fields.split_once(&format!(" {name}="))?;
        Some(rest.split_whitespace().next()?.trim_matches('"'))
    };
    Some(format!(
        "{head} {} {} {} {} ms, {} bytes to {}",
        field("status")?,
        field("method")?,
        field("path")?,
        field("duration_ms")?,
        field("bytes")?,
        field("peer")?,
    ))
}

fn level(text: &str) -> Option<&str> {
    text.split_whitespace().nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_left_out_and_words_stay() {
        let check = |text: &str, expected: &str| assert_eq!(without_date(text), expected);
        check(
            "2026-11-21T23:50:40.468673Z  INFO ready",
            "23:50:40  INFO ready",
        );
        check("Page and API: http://x", "Page and API: http://x");
        check("", "");
        check("2026-11-2éTééééééééZ x", "2026-11-2éTééééééééZ x");
    }

    #[test]
    fn of_a_request_the_end_stands_first() {
        let line = "23:51:05  INFO request request_id=\"req-b4\" peer=127.0.0.1 method=GET path=\"/v1/info\" status=200 bytes=400 complete=true duration_ms=1";
        let expected = "23:51:05  INFO 200 GET /v1/info 1 ms, 400 bytes to 127.0.0.1";
        assert_eq!(request(line).as_deref(), Some(expected));
        let json = r#"{"time":"2026-11-21T23:51:05.1Z","level":"INFO","target":"t","message":"request","fields":{"bytes":400,"duration_ms":1,"method":"GET","path":"/v1/info","peer":"127.0.0.1","status":200}}"#;
        assert_eq!(
            super::line(json, Theme { plain: true }).to_string(),
            expected
        );
        assert_eq!(request("23:51:05  INFO a request for help"), None);
        assert_eq!(request("23:51:05  INFO ready"), None);
    }

    #[test]
    fn nothing_in_a_log_steers_the_terminal() {
        let shown = line("a\x1b[2J\x07b\u{9b}c", Theme { plain: true });
        assert_eq!(shown.to_string(), "a[2Jbc");
    }
}
