//! What earlier runs found, kept with each row of `docs/performance.json`: a bar that holds once may not hold again.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::page::rounded;
use super::{Row, Section};

/// The last runs that are kept.
const RUNS_MAX: usize = 10;

/// The runs of a row, oldest first, this one last. `before` is the file as it was; a run that is in it already is
/// not counted again.
pub fn of(before: &Value, row: &Row, section: &Section) -> Vec<Value> {
    let old = before["rows"].as_array().into_iter().flatten();
    let mut runs: Vec<Value> = old
        .filter(|old| old["name"] == row.name.as_str())
        .filter_map(|old| old["history"].as_array().cloned())
        .flatten()
        .filter(|run| run["begun"] != section.begun)
        .collect();
    runs.push(json!({
        "begun": section.begun,
        "commit": section.machine.commit,
        "rounds": section.rounds,
        "ratio": rounded(row.found.median),
        "interval": [rounded(row.found.low), rounded(row.found.high)],
        "holds": row.holds(),
    }));
    runs.split_off(runs.len().saturating_sub(RUNS_MAX))
}

/// How many of them reached the bar.
pub fn count_held(runs: &[Value]) -> usize {
    runs.iter().filter(|run| run["holds"] == true).count()
}

/// A line for those who want to know more than the last run; `rows` as in the file.
pub fn held(rows: &[Value]) -> String {
    let repeated = rows
        .iter()
        .filter(|row| !row["bar"].is_null() && row["runs"].as_u64().unwrap_or(0) > 1);
    let mut out = String::new();
    for row in repeated {
        if out.is_empty() {
            out.push_str("Runs in which a bar held, of those that are kept:\n\n");
        }
        let _ = writeln!(
            out,
            "* {}: {} of {}",
            row["name"].as_str().unwrap_or_default(),
            row["held"],
            row["runs"]
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Bar;

    fn run(before: &Value, begun: u64, found: f64) -> Value {
        let mut section = Section {
            begun,
            ..Section::default()
        };
        section.hold("speed", "", &[found], Bar::AtLeast(1.0));
        json!({"rows": [{"name": "speed", "history": of(before, &section.rows[0], &section)}]})
    }

    fn runs(file: &Value) -> &[Value] {
        file["rows"][0]["history"].as_array().unwrap()
    }

    #[test]
    fn runs_are_counted_once_each() {
        let first = run(&Value::Null, 1, 2.0);
        let again = run(&first, 1, 2.0);
        assert_eq!(runs(&again).len(), 1);
        let second = run(&again, 2, 0.5);
        assert_eq!((runs(&second).len(), count_held(runs(&second))), (2, 1));
    }

    #[test]
    fn only_the_last_runs_are_kept() {
        let mut file = Value::Null;
        for begun in 0..RUNS_MAX as u64 + 3 {
            file = run(&file, begun, 2.0);
        }
        assert_eq!(runs(&file).len(), RUNS_MAX);
        assert_eq!(runs(&file)[0]["begun"], 3);
    }
}
