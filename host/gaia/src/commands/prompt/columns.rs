//! Two texts side by side, as wide as the terminal.

use std::io;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Where nobody says how wide it is.
const WIDTH_DEFAULT: usize = 100;
/// Less than this is no column.
const COLUMN_MIN: usize = 16;
const BETWEEN: &str = " │ ";

/// How wide the terminal is; a usual width where standard output is none.
pub fn terminal_width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => WIDTH_DEFAULT,
    }
}

/// `left` and `right` beside each other in `width` columns.
pub fn side_by_side(left: &str, right: &str, width: usize) -> String {
    let column = (width.saturating_sub(BETWEEN.width()) / 2).max(COLUMN_MIN);
    let (left, right) = (wrapped(left, column), wrapped(right, column));
    let line = |lines: &[String], at: usize| lines.get(at).cloned().unwrap_or_default();
    let rows = (0..left.len().max(right.len())).map(|at| {
        let (left, right) = (line(&left, at), line(&right, at));
        let space = " ".repeat(column.saturating_sub(left.width()));
        format!("{left}{space}{BETWEEN}{right}")
            .trim_end()
            .to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// The lines of `text`, none wider than `column`. Words are kept whole where they fit.
fn wrapped(text: &str, column: usize) -> Vec<String> {
    text.trim()
        .lines()
        .flat_map(|line| wrapped_line(line.trim_end(), column))
        .collect()
}

fn wrapped_line(line: &str, column: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        // The space behind a word may hang over the edge.
        let fits = |line: &str| line.width() + word.trim_end().width() <= column;
        if lines
            .last()
            .is_some_and(|last| !last.is_empty() && !fits(last))
        {
            lines.push(String::new());
        }
        for letter in word.chars().map(printable) {
            let wide = |line: &String| line.width() + letter.width().unwrap_or(0) > column;
            if letter != ' ' && lines.last().is_some_and(wide) {
                lines.push(String::new());
            }
            if let Some(last) = lines.last_mut() {
                last.push(letter);
            }
        }
    }
    let trimmed = lines.into_iter().map(|line| line.trim_end().to_owned());
    trimmed.collect()
}

/// What a model writes must not steer the terminal.
fn printable(letter: char) -> char {
    if letter.is_control() { ' ' } else { letter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, column: usize, expected: &[&str]) {
        assert_eq!(wrapped(text, column), expected);
    }

    #[test]
    fn words_are_kept_where_they_fit() {
        check("one two three", 7, &["one two", "three"]);
        check("a\n\nb", 7, &["a", "", "b"]);
        check("abcdefghij k", 4, &["abcd", "efgh", "ij k"]);
        check("", 4, &[]);
        check("日本語です", 4, &["日本", "語で", "す"]);
        check("x\u{1b}[31my", 20, &["x [31my"]);
    }

    #[test]
    fn columns_have_one_width() {
        assert_eq!(
            side_by_side("one two three four five", "日本", 35),
            "one two three    │ 日本\nfour five        │"
        );
        assert_eq!(
            side_by_side("a", "b", 0),
            format!("a{} │ b", " ".repeat(15))
        );
    }

    proptest::proptest! {
        /// Nothing is lost and nothing is too wide.
        #[test]
        fn lines_fit(text in "[a-z 日\n]{0,80}", column in 2usize..20) {
            let lines = wrapped(&text, column);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            proptest::prop_assert_eq!(letters(&lines.concat()), letters(&text));
            for line in lines {
                proptest::prop_assert!(line.width() <= column);
            }
        }
    }
}
