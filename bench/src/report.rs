//! What was found, as numbers that can be kept, put together and shown.

mod history;
pub mod page;
pub mod plot;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::statistics::{Summary, ratios, summary};

/// A value that should be reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Bar {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bar {
    /// Its number.
    pub fn value(self) -> f64 {
        match self {
            Self::AtLeast(value) | Self::AtMost(value) => value,
        }
    }

    /// Whether `found` reaches it. NaN never does.
    pub fn holds(self, found: f64) -> bool {
        match self {
            Self::AtLeast(value) => found >= value,
            Self::AtMost(value) => found <= value,
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is compared.
    pub name: String,
    /// What `found` is counted in; empty for a plain ratio.
    pub unit: String,
    /// What was found.
    pub found: Summary,
    /// What is to be reached; nothing where the line is for orientation.
    pub bar: Option<Bar>,
    /// What it was summed up from, in the order in which it was measured; none for what is no number.
    pub values: Vec<Option<f64>>,
}

impl Row {
    /// Whether what was found reaches the bar, if there is one.
    pub fn holds(&self) -> Option<bool> {
        self.bar.map(|bar| bar.holds(self.found.median))
    }
}

/// A number worth showing that has no bar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is.
    pub what: String,
    /// Whose it is.
    pub who: String,
    /// What it is counted in.
    pub unit: String,
    /// The number.
    pub found: Summary,
}

/// A plot: one line for each contender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// The file's name, without folder and ending.
    pub file: String,
    /// Its heading.
    pub title: String,
    /// Its axes.
    pub x: String,
    /// See `x`.
    pub y: String,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Whose it is.
    pub who: String,
    /// Its points from left to right.
    pub points: Vec<(f64, Summary)>,
}

/// What one part of the measurement found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its part's name.
    pub part: String,
    /// What it was measured on.
    pub machine: Machine,
    /// When it began, in seconds since 1970: what tells one run from another.
    pub begun: u64,
    /// How long it took.
    pub seconds: f64,
    /// How often each contender was measured.
    pub rounds: usize,
    /// Lines of the table.
    pub rows: Vec<Row>,
    /// The numbers behind them, and others.
    pub figures: Vec<Figure>,
    /// Plots.
    pub plots: Vec<Plot>,
    /// Who could not be measured, and why.
    #[serde(default)]
    pub absent: Vec<String>,
}

impl Section {
    /// Compares what was measured in the same rounds.
    pub fn compare(&mut self, name: &str, ours: &[f64], theirs: &[f64], bar: Bar) {
        self.hold(name, "", &ratios(ours, theirs), bar);
    }

    /// Holds values against a bar.
    pub fn hold(&mut self, name: &str, unit: &str, values: &[f64], bar: Bar) {
        self.add(name, unit, values, Some(bar));
    }

    /// Compares what was measured in the same rounds, for orientation.
    pub fn show(&mut self, name: &str, ours: &[f64], theirs: &[f64]) {
        self.add(name, "", &ratios(ours, theirs), None);
    }

    fn add(&mut self, name: &str, unit: &str, values: &[f64], bar: Option<Bar>) {
        self.rows.push(Row {
            name: name.to_owned(),
            unit: unit.to_owned(),
            found: summary(values),
            bar,
            values: values.iter().map(|value| Some(*value)).collect(),
        });
    }

    /// Notes a number.
    pub fn note(&mut self, what: &str, who: &str, unit: &str, values: &[f64]) {
        self.note_found(what, who, unit, summary(values));
    }

    /// Notes a number that is summed up already.
    pub fn note_found(&mut self, what: &str, who: &str, unit: &str, found: Summary) {
        self.figures.push(Figure {
            what: what.to_owned(),
            who: who.to_owned(),
            unit: unit.to_owned(),
            found,
        });
    }

    /// Says that it was found with another model than the one that the bars are about.
    pub fn label(&mut self, label: &str) {
        self.part = format!("{}-{label}", self.part);
        for row in std::mem::take(&mut self.rows) {
            self.note_found(&row.name, "", &row.unit, row.found);
        }
        for figure in &mut self.figures {
            figure.what = format!("{}, model {label}", figure.what);
        }
        for plot in &mut self.plots {
            plot.file = format!("{}-{label}", plot.file);
            plot.title = format!("{}, model {label}", plot.title);
        }
    }

    /// All that was kept in `folder`.
    ///
    /// # Errors
    /// A file cannot be read: of another version of this program, for example.
    pub fn all_kept(folder: &Path) -> anyhow::Result<Vec<Self>> {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let read = |path: PathBuf| {
            let text = fs::read(&path)?;
            let name = || format!("{} is not what this program keeps", path.display());
            serde_json::from_slice(&text).with_context(name)
        };
        files.map(|file| read(file.path())).collect()
    }

    /// Keeps it in `folder` until all parts are there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.part));
        fs::write(&path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_a_side() {
        assert!(Bar::AtLeast(1.0).holds(1.0) && !Bar::AtLeast(1.0).holds(0.9));
        assert!(Bar::AtMost(1.0).holds(0.9) && !Bar::AtMost(1.0).holds(f64::NAN));
    }

    #[test]
    fn another_model_reaches_no_bar() {
        let mut section = Section {
            part: "speed".to_owned(),
            ..Section::default()
        };
        section.hold("ratio", "", &[1.0], Bar::AtLeast(1.0));
        section.label("tiny");
        assert_eq!(section.part, "speed-tiny");
        assert!(section.rows.is_empty());
        assert_eq!(section.figures[0].what, "ratio, model tiny");
    }

    #[test]
    fn what_is_kept_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut section = Section {
            part: "part".to_owned(),
            ..Section::default()
        };
        section.compare("a", &[2.0, 4.0], &[1.0, 2.0], Bar::AtLeast(1.5));
        section.show("b", &[2.0, 4.0], &[1.0, 2.0]);
        section.keep(folder.path()).unwrap();
        assert_eq!(Section::all_kept(folder.path()).unwrap(), [section]);
    }

    #[test]
    fn what_is_no_number_is_kept_as_missed() {
        let folder = tempfile::tempdir().unwrap();
        let mut section = Section::default();
        section.hold("broken", "", &[f64::NAN], Bar::AtLeast(1.0));
        section.keep(folder.path()).unwrap();
        let kept = Section::all_kept(folder.path()).unwrap();
        assert!(kept[0].rows[0].found.median.is_nan() && kept[0].rows[0].holds() == Some(false));
    }
}
