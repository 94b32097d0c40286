//! Calls of the node's tools, counted for each tool.
//!
//! Names are those of the owner's table, and bounded all the same: what comes after [`TOOLS_COUNTED_MAX`] counts as
//! `other`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{head, line};

/// The most names that are counted apart.
const TOOLS_COUNTED_MAX: usize = 256;
const OTHER: &str = "other";

/// What was called, how often it failed, and how long it took.
#[derive(Debug, Default)]
pub(crate) struct ToolCounts(Mutex<BTreeMap<String, Counts>>);

#[derive(Debug, Default)]
struct Counts {
    calls: u64,
    failures: u64,
    took: Duration,
}

impl ToolCounts {
    pub(crate) fn called(&self, name: &str, failed: bool, took: Duration) {
        let mut tools = self.tools();
        let is_room = tools.len() < TOOLS_COUNTED_MAX || tools.contains_key(name);
        let name = if is_room { name } else { OTHER };
        let counts = tools.entry(name.to_owned()).or_default();
        counts.calls += 1;
        counts.failures += u64::from(failed);
        counts.took += took;
    }

    pub(super) fn write(&self, out: &mut String) {
        let tools = self.tools();
        if tools.is_empty() {
            return;
        }
        let mut counter = |name: &str, help: &str, value: fn(&Counts) -> f64| {
            head(out, name, "counter", help);
            for (tool, counts) in &*tools {
                let tool = label(tool);
                line(out, &format!("{name}{{tool=\"{tool}\"}}"), value(counts));
            }
        };
        counter(
            "gaia_tool_calls_total",
            "Calls of the node's tools.",
            |counts| counts.calls as f64,
        );
        counter(
            "gaia_tool_failures_total",
            "Calls of the node's tools without an answer.",
            |counts| counts.failures as f64,
        );
        counter(
            "gaia_tool_seconds_total",
            "Time that calls of the node's tools took.",
            |counts| counts.took.as_secs_f64(),
        );
    }

    fn tools(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name without what would end a label.
fn label(name: &str) -> String {
    let plain = |c: char| {
        if c == '"' || c == '\\' || c.is_control() {
            '_'
        } else {
            c
        }
    };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: &ToolCounts) -> String {
        let mut out = String::new();
        counts.write(&mut out);
        out
    }

    #[test]
    fn calls_are_counted_by_tool() {
        let counts = ToolCounts::default();
        assert_eq!(text(&counts), "");
        counts.called("weather", false, Duration::from_millis(1500));
        counts.called("weather", true, Duration::from_millis(500));
        counts.called("a\"\n", false, Duration::ZERO);
        let text = text(&counts);
        for expected in [
            "gaia_tool_calls_total{tool=\"weather\"} 2\n",
            "gaia_tool_failures_total{tool=\"weather\"} 1\n",
            "gaia_tool_seconds_total{tool=\"weather\"} 2\n",
            "gaia_tool_calls_total{tool=\"a__\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected} not in\n{text}");
        }
    }

    #[test]
    fn names_have_an_end() {
        let counts = ToolCounts::default();
        for index in 0..TOOLS_COUNTED_MAX + 5 {
            counts.called(&index.to_string(), false, Duration::ZERO);
        }
        assert!(text(&counts).contains("gaia_tool_calls_total{tool=\"other\"} 5\n"));
        assert_eq!(counts.tools().len(), TOOLS_COUNTED_MAX + 1);
    }
}
