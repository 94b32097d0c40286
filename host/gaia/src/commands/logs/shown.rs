//! Which lines are shown, and how.

use std::fmt::Write as _;

use serde_json::Value;

use crate::logging::read_line;

/// What is wanted.
#[derive(Debug, Default)]
pub struct Choice {
    /// Only lines about this request.
    pub request: Option<String>,
    /// As JSON.
    pub json: bool,
}

impl Choice {
    /// The lines of `text` that are wanted, in the form that is wanted; `name` wrote those that do not say who did.
    pub fn shown(&self, text: &[u8], name: &str) -> Vec<u8> {
        let text = String::from_utf8_lossy(text);
        let mut shown = String::with_capacity(text.len());
        for line in text.lines().filter(|line| self.is_wanted(line)) {
            match (record(line), self.json) {
                (Some(record), false) => shown.push_str(&for_people(&record)),
                (None, true) => shown.push_str(read_line(line).into_json(name).trim_end()),
                _ => shown.push_str(line),
            }
            shown.push('\n');
        }
        shown.into_bytes()
    }

    fn is_wanted(&self, line: &str) -> bool {
        let Some(wanted) = &self.request else {
            return true;
        };
        let is = |value: &Value| value.as_str() == Some(wanted);
        match record(line) {
            Some(record) => is(&record["fields"]["request_id"]),
            None => line.split("request_id=").skip(1).any(|rest| {
                let rest = rest.trim_start_matches('"');
                let end = rest.find(['"', ' ', '}']).unwrap_or(rest.len());
                rest[..end] == **wanted
            }),
        }
    }
}

/// A line that is a record of ours.
fn record(line: &str) -> Option<Value> {
    if !line.starts_with('{') {
        return None;
    }
    let record: Value = serde_json::from_str(line).ok()?;
    record["message"].is_string().then_some(record)
}

fn for_people(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{} {:>5} {}: {}",
        text("time"),
        text("level"),
        text("target"),
        text("message")
    );
    for (name, value) in record["fields"].as_object().into_iter().flatten() {
        // Writing to a String cannot fail.
        let _written = write!(line, " {name}={value}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"time":"2026-01-02T03:04:05Z","level":"WARN","target":"gaia","message":"it broke","fields":{"request_id":"req-1","ms":5}}"#;

    fn shown(choice: &Choice, text: &str) -> String {
        String::from_utf8(choice.shown(text.as_bytes(), "worker")).unwrap()
    }

    #[test]
    fn records_are_shown_as_lines_for_people() {
        let text = shown(&Choice::default(), &format!("{RECORD}\nplain\n"));
        let start = "2026-01-02T03:04:05Z  WARN gaia: it broke ";
        assert!(
            text.starts_with(start) && text.ends_with("\nplain\n"),
            "{text}"
        );
        // As values: the order of fields depends on who else uses serde_json.
        assert!(
            text.contains(" ms=5") && text.contains(" request_id=\"req-1\""),
            "{text}"
        );
    }

    #[test]
    fn programs_get_records_of_every_line() {
        let choice = Choice {
            json: true,
            ..Choice::default()
        };
        let text = shown(&choice, &format!("{RECORD}\nWARN x: plain\n"));
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["message"], "it broke");
        assert_eq!(
            (&lines[1]["level"], &lines[1]["target"]),
            (&"WARN".into(), &"x".into())
        );
    }

    #[test]
    fn only_lines_of_one_request() {
        let choice = Choice {
            request: Some("req-1".to_owned()),
            json: false,
        };
        let check = |line: &str, wanted| {
            assert_eq!(!shown(&choice, line).is_empty(), wanted, "{line}");
        };
        check(RECORD, true);
        check("INFO request request_id=\"req-1\" peer=x", true);
        check("WARN api-server: it request_id=req-1", true);
        check("INFO asked{request_id=\"req-1\"}: called", true);
        check("INFO request request_id=\"req-12\"", false);
        check("req-1", false);
        check(&RECORD.replace("req-1", "req-2"), false);
    }
}
