//! Writes a page of `docs`: its numbers as JSON, its plots, and the part of its text that numbers fill.
//!
//! The page's other words are written by people: what stands between its two marks is replaced, nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Bar, Row, Section, history, plot};
use crate::machine::Machine;
use crate::statistics::Summary;

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Everything in one table, as printed and as put into the page.
pub fn table(sections: &[Section]) -> String {
    let mut out = String::from("| | found | 95 % | to reach | |\n|---|--:|--:|--:|---|\n");
    for row in sections.iter().flat_map(|section| &section.rows) {
        let unit = if row.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", row.unit)
        };
        let to_reach = match row.bar {
            Some(Bar::AtLeast(least)) => format!("≥ {least}{unit}"),
            Some(Bar::AtMost(most)) => format!("≤ {most}{unit}"),
            None => String::new(),
        };
        let verdict = match row.holds() {
            Some(true) => "holds",
            Some(false) => "**missed**",
            None => "",
        };
        let _ = writeln!(
            out,
            "| {} | {}{unit} | {} | {to_reach} | {verdict} |",
            row.name,
            number(row.found.median),
            interval(&row.found),
        );
    }
    out
}

/// Who could not be measured, each once.
pub fn absent(sections: &[Section]) -> String {
    let mut lines: Vec<_> = sections
        .iter()
        .flat_map(|section| &section.absent)
        .collect();
    lines.sort();
    lines.dedup();
    lines.iter().fold(String::new(), |out, line| {
        format!("{out}Not measured: {line}.\n\n")
    })
}

/// The numbers behind the table.
pub fn figures(sections: &[Section]) -> String {
    let mut out = String::from("| | who | found | 95 % | values |\n|---|---|--:|--:|--:|\n");
    for figure in sections.iter().flat_map(|section| &section.figures) {
        let _ = writeln!(
            out,
            "| {} | {} | {} {} | {} | {} |",
            figure.what,
            figure.who,
            number(figure.found.median),
            figure.unit,
            interval(&figure.found),
            figure.found.values
        );
    }
    out
}

/// Writes all files of the page `name` under `docs`.
///
/// # Errors
/// A file cannot be written, or the page has lost its marks.
pub fn write(docs: &Path, name: &str, sections: &[Section]) -> anyhow::Result<()> {
    let machine = sections
        .first()
        .map(|section| section.machine.clone())
        .unwrap_or_default();
    let path = docs.join(format!("{name}.json"));
    let before = fs::read(&path).ok();
    let before = before.and_then(|text| serde_json::from_slice(&text).ok());
    let before: Value = before.unwrap_or_default();
    let rows: Vec<_> = sections
        .iter()
        .flat_map(|section| {
            section
                .rows
                .iter()
                .map(|row| in_json(row, section, history::of(&before, row, section)))
        })
        .collect();
    let mut middle = format!(
        "{}\n\n{}\n{}{}\n",
        machine_text(&machine),
        table(sections),
        absent(sections),
        history::held(&rows)
    );
    let text = serde_json::to_string_pretty(&json!({"machine": machine, "rows": rows}))?;
    fs::write(path, text + "\n").with_context(|| format!("writing {name}.json"))?;
    for plotted in sections.iter().flat_map(|section| &section.plots) {
        let file = format!("images/perf-{}.svg", plotted.file);
        fs::create_dir_all(docs.join("images"))?;
        fs::write(docs.join(&file), plot::svg(plotted))
            .with_context(|| format!("writing {file}"))?;
        let _ = writeln!(middle, "![{}]({file})\n", plotted.title);
    }
    let _ = write!(
        middle,
        "<details><summary>The numbers behind it</summary>\n\n{}\n{}\n</details>\n",
        figures(sections),
        runs(sections)
    );
    let page = docs.join(format!("{name}.md"));
    let old = fs::read_to_string(&page).with_context(|| format!("reading {}", page.display()))?;
    fs::write(
        &page,
        filled(&old, &middle).with_context(|| format!("filling {}", page.display()))?,
    )
    .with_context(|| format!("writing {}", page.display()))
}

fn filled(page: &str, middle: &str) -> anyhow::Result<String> {
    let parts = page.split_once(BEGIN).zip(page.split_once(END));
    ensure!(parts.is_some(), "the page has lost `{BEGIN}` or `{END}`");
    let ((before, _), (_, after)) = parts.unwrap_or_default();
    Ok(format!("{before}{BEGIN}\n{middle}{END}{after}"))
}

/// When and on which commit each part was measured. Says first if the commits differ.
pub fn runs(sections: &[Section]) -> String {
    let mut commits: Vec<_> = sections
        .iter()
        .map(|section| &section.machine.commit)
        .collect();
    commits.sort();
    commits.dedup();
    let mut out = String::new();
    if commits.len() > 1 {
        out.push_str(
            "**The parts were measured on different commits**, so this is not one run.\n\n",
        );
    }
    out.push_str("| part | commit | rounds | s |\n|---|---|--:|--:|\n");
    for section in sections {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.0} |",
            section.part, section.machine.commit, section.rounds, section.seconds
        );
    }
    out
}

fn in_json(row: &Row, section: &Section, history: Vec<Value>) -> Value {
    json!({
        "name": row.name,
        "ratio": rounded(row.found.median),
        "unit": row.unit,
        "bar": row.bar.map(Bar::value),
        "side": row.bar.map(|bar| match bar { Bar::AtLeast(_) => "at least", Bar::AtMost(_) => "at most" }),
        "holds": row.holds(),
        "rounds": section.rounds,
        "values": row.found.values,
        "interval": [rounded(row.found.low), rounded(row.found.high)],
        "commit": section.machine.commit,
        "held": history::count_held(&history),
        "runs": history.len(),
        "history": history,
    })
}

fn machine_text(machine: &Machine) -> String {
    format!(
        "{}, {} cores, {}; {:.0} GiB; Linux {}. Gaia {} with llama.cpp {}; measured against {}.",
        machine.processor,
        machine.cores,
        machine.instructions.join(" "),
        machine.memory_gib,
        machine.kernel,
        machine.commit,
        machine.engine,
        machine.peer
    )
}

fn interval(found: &Summary) -> String {
    format!("{}–{}", number(found.low), number(found.high))
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_only_what_is_between_the_marks() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let found = filled(&page, "new\n").unwrap();
        assert_eq!(found, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert!(filled("no marks", "new").is_err());
    }

    #[test]
    fn writes_rows_with_their_bar() {
        let docs = tempfile::tempdir().unwrap();
        fs::write(docs.path().join("performance.md"), format!("{BEGIN}{END}")).unwrap();
        let mut section = Section::default();
        section.compare("speed", &[1.0, 1.0], &[2.0, 2.0], Bar::AtLeast(0.98));
        write(docs.path(), "performance", &[section]).unwrap();
        let text = fs::read_to_string(docs.path().join("performance.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["rows"][0]["ratio"], 0.5);
        assert_eq!(json["rows"][0]["holds"], false);
        assert!(
            fs::read_to_string(docs.path().join("performance.md"))
                .unwrap()
                .contains("**missed**")
        );
    }

    #[test]
    fn a_row_without_a_bar_neither_holds_nor_misses() {
        let mut section = Section::default();
        section.show("speed", &[1.0], &[2.0]);
        let table = table(std::slice::from_ref(&section));
        assert!(
            table.ends_with("| speed | 0.50 | 0.50–0.50 |  |  |\n"),
            "{table}"
        );
        let json = in_json(&section.rows[0], &section, Vec::new());
        assert!(json["bar"].is_null() && json["holds"].is_null());
    }

    #[test]
    fn the_absent_are_named_once() {
        let section = Section {
            absent: vec!["a: no Python".to_owned()],
            ..Section::default()
        };
        let text = absent(&[section.clone(), section]);
        assert_eq!(text, "Not measured: a: no Python.\n\n");
    }

    #[test]
    fn three_digits() {
        assert_eq!(
            [number(0.01234), number(0.98), number(12.34), number(262.4)],
            ["0.012", "0.98", "12.3", "262"]
        );
    }
}
