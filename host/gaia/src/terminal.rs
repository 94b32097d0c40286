//! How things are shown: colours only on a terminal, JSON for machines, nothing fancy elsewhere.

use std::io::{self, IsTerminal, Write};

/// What the person or program at the other end can take.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Answer in JSON on standard output.
    pub json: bool,
    colour_out: bool,
    colour_err: bool,
}

/// A way to set text apart.
#[derive(Debug, Clone, Copy)]
pub enum Tint {
    /// Good news.
    Green,
    /// Look here.
    Yellow,
    /// Bad news.
    Red,
    /// Less important.
    Dim,
    /// More important.
    Bold,
}

impl Tint {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Dim => "2",
            Self::Bold => "1",
        }
    }
}

impl Terminal {
    /// Looks at what standard output and error are; `plain` switches colours off.
    pub fn new(json: bool, plain: bool) -> Self {
        Self {
            json,
            colour_out: !plain && !json && io::stdout().is_terminal(),
            colour_err: !plain && io::stderr().is_terminal(),
        }
    }

    /// Whether standard output takes colours.
    pub fn has_colour(&self) -> bool {
        self.colour_out
    }

    /// `text` in `tint` for standard output.
    pub fn out(&self, tint: Tint, text: &str) -> String {
        paint(self.colour_out, tint, text)
    }

    /// `text` in `tint` for standard error.
    pub fn err(&self, tint: Tint, text: &str) -> String {
        paint(self.colour_err, tint, text)
    }

    /// A remark for a person, on standard error, so that standard output stays clean.
    pub fn note(&self, text: &str) {
        if !self.json {
            eprintln!("{text}");
        }
    }

    /// Shows `json()` to a machine or `text()` to a person.
    pub fn answer(
        &self,
        json: impl FnOnce() -> serde_json::Value,
        text: impl FnOnce(&Self) -> String,
    ) {
        let text = if self.json {
            format!("{:#}", json())
        } else {
            text(self)
        };
        if !text.is_empty() {
            // Not `println!`: it panics where the reader has left, as in `gaia … | head`.
            let _ = writeln!(io::stdout(), "{}", text.trim_end());
        }
    }
}

fn paint(colour: bool, tint: Tint, text: &str) -> String {
    if colour {
        format!("\x1b[{}m{text}\x1b[0m", tint.code())
    } else {
        text.to_owned()
    }
}

/// Bytes for people: `98.4 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A span for people: `2 h 5 min`, the two largest units.
pub fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|(size, _)| seconds >= *size) else {
        return "0 s".to_owned();
    };
    let (size, name) = units[first];
    let mut text = format!("{} {name}", seconds / size);
    if let Some((next_size, next_name)) = units.get(first + 1) {
        let rest = seconds % size / next_size;
        if rest > 0 {
            text.push_str(&format!(" {rest} {next_name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        let check = |count, expected: &str| assert_eq!(bytes(count), expected);
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1.0 kB");
        check(98_362_432, "98.4 MB");
        check(999_960_000, "1.0 GB");
        check(u64::MAX, "18446744.1 TB");
    }

    #[test]
    fn spans_for_people() {
        let check = |seconds, expected: &str| assert_eq!(span(seconds), expected);
        check(0, "0 s");
        check(59, "59 s");
        check(60, "1 min");
        check(7_500, "2 h 5 min");
        check(7_200, "2 h");
        check(90_061, "1 d 1 h");
    }

    #[test]
    fn no_colour_means_no_escape() {
        assert_eq!(paint(false, Tint::Red, "x"), "x");
        assert_eq!(paint(true, Tint::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
