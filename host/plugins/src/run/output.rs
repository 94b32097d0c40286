//! What the runtime writes behind a program's own output, on the same stream.
//!
//! `wasmedge` logs there: statistics, and why it ended a program. Such a line begins with a time in
//! brackets, on the program's last line if that was not ended.

/// Why the runtime ended a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its time was over.
    Time,
    /// Its instructions were.
    Instructions,
    /// Its memory was too small.
    Memory,
}

/// What the runtime says, in both versions that are in use, and what it means.
const SAYINGS: [(&str, Cause); 4] = [
    ("execution interrupted", Cause::Time),
    ("cost limit exceeded", Cause::Instructions),
    ("Cost exceeded limit", Cause::Instructions),
    ("Memory grow page failed", Cause::Memory),
];

impl Cause {
    /// The cause that the runtime's `log` names.
    pub fn of(log: &[u8]) -> Option<Self> {
        let log = String::from_utf8_lossy(log);
        let found = SAYINGS.iter().find(|(saying, _)| log.contains(saying));
        found.map(|(_, cause)| *cause)
    }
}

/// `[2026-11-21 20:29:55.156] [`, digits as 0.
const STAMP: &[u8] = b"[0000-00-00 00:00:00.000] [";

/// The program's output, and the runtime's log behind it.
pub fn split_log(output: &[u8]) -> (&[u8], &[u8]) {
    let mut begin = output.len();
    loop {
        // Line by line from the end, as long as lines hold a stamp.
        let before = output[..begin]
            .strip_suffix(b"\n")
            .unwrap_or(&output[..begin]);
        let line = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        match stamp(&before[line..]) {
            Some(0) if line > 0 => begin = line,
            Some(at) => return output.split_at(line + at),
            None => return output.split_at(begin),
        }
    }
}

fn stamp(line: &[u8]) -> Option<usize> {
    line.windows(STAMP.len()).rposition(|window| {
        window
            .iter()
            .zip(STAMP)
            .all(|(byte, expected)| match expected {
                b'0' => byte.is_ascii_digit(),
                _ => byte == expected,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[2026-11-21 20:29:55.156] [info] ====  Statistics  ====\n[2026-11-21 20:29:55.157] [info]  Gas costs: 5209\n";

    fn check(answer: &str, log: &str) {
        let output = format!("{answer}{log}");
        let (found, rest) = split_log(output.as_bytes());
        assert_eq!(String::from_utf8_lossy(found), answer);
        assert_eq!(String::from_utf8_lossy(rest), log);
    }

    #[test]
    fn the_log_is_cut_off() {
        for answer in [
            "",
            "one line\n",
            "no end",
            "two\nlines\n",
            "two\nno end",
            "\n",
            "[2026] [info]\n",
        ] {
            check(answer, LOG);
            check(answer, "");
        }
    }

    #[test]
    fn causes_are_told_apart() {
        let cause = |text: &str| Cause::of(text.as_bytes());
        assert_eq!(
            cause("[x] [error] Cost exceeded limit. Force"),
            Some(Cause::Instructions)
        );
        assert_eq!(
            cause("failed: cost limit exceeded, Code"),
            Some(Cause::Instructions)
        );
        assert_eq!(cause("failed: execution interrupted"), Some(Cause::Time));
        assert_eq!(
            cause("Memory grow page failed, exceeded"),
            Some(Cause::Memory)
        );
        assert_eq!(cause("unreachable"), None);
    }
}
