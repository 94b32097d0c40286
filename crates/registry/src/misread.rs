//! Where a TOML text is wrong, and why, in one line: for terminals, logs and notices.

use std::fmt;
use std::ops::Range;

/// What stands against a TOML text, by line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// The line, from one; `None` where it is none in particular.
    pub line: Option<usize>,
    /// The column in characters, from one.
    pub column: usize,
    /// Why.
    pub why: String,
}

impl Misread {
    /// From what a parser says: `message` of the bytes `span` of `text`. Bytes that are not there are the end's.
    #[must_use]
    pub fn at(text: &str, span: Option<Range<usize>>, message: &str) -> Self {
        let before = span.map(|span| &text[..text.floor_char_boundary(span.start)]);
        let lines: Vec<&str> = message.lines().map(str::trim).collect();
        Self {
            line: before.map(|before| before.matches('\n').count() + 1),
            column: before.map_or(0, |before| {
                let line = before.rsplit('\n').next().unwrap_or_default();
                line.chars().count() + 1
            }),
            why: lines.join(", ").trim_matches([',', ' ']).to_owned(),
        }
    }

    /// What `toml` says of `text`.
    #[must_use]
    pub fn of(text: &str, error: &toml::de::Error) -> Self {
        Self::at(text, error.span(), error.message())
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, column {}: ", self.column)?;
        }
        f.write_str(&self.why)
    }
}

impl std::error::Error for Misread {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let error = toml::from_str::<toml::Table>(text).unwrap_err();
        let said = Misread::of(text, &error).to_string();
        assert!(said.starts_with(expected), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }

    #[test]
    fn a_misread_text_is_one_line_with_line_and_column() {
        check("a = 1\nb = [1, 2\n", "line 2, column 10: unclosed array");
        check("ü = 1", "line 1, column 1: ");
        check("\"ü\" = x", "line 1, column 7: ");
        check("a = 1\na = 2", "line 2, column 1: ");
    }

    #[test]
    fn a_span_behind_the_end_is_no_panic() {
        assert_eq!(Misread::at("ü", Some(9..12), "no\nmore").why, "no, more");
        assert_eq!(Misread::at("ü", Some(1..2), "x").column, 1);
        assert_eq!(
            Misread::at("", None, "missing `a`\n").to_string(),
            "missing `a`"
        );
    }
}
