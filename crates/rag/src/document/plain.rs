//! Plain text: a blank line ends a paragraph.

use super::{BlockKind, Cut, Document, blocks};

pub(super) fn parse(source: &str) -> Document {
    let mut cuts = Vec::new();
    let mut at = 0;
    let mut blank = false;
    for line in source.split_inclusive('\n') {
        let empty = line.trim().is_empty();
        if blank && !empty {
            cuts.push(Cut {
                at,
                kind: BlockKind::Prose,
            });
        }
        blank = empty;
        at += line.len();
    }
    Document {
        text: source.to_owned(),
        blocks: blocks(source, cuts),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outline;
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        assert_eq!(outline(&parse(source)), expected);
    }

    #[test]
    fn blank_lines_separate() {
        check("", &[]);
        check(" \n\t\n", &[]);
        check("one", &["p  | one"]);
        check(
            "one\ntwo\n\n \nthree\r\n\r\nfour",
            &["p  | one⏎two", "p  | three", "p  | four"],
        );
    }
}
