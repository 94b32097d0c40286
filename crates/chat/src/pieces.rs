//! Mends the pieces of an engine that knows no stop strings and cuts characters in half.

/// Joins bytes to whole characters.
#[derive(Debug, Default)]
pub struct Utf8Joiner {
    /// The start of a character, at most three bytes.
    rest: Vec<u8>,
}

impl Utf8Joiner {
    /// Takes bytes, gives the characters that are whole now. What can never become one is replaced.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut out = String::new();
        loop {
            match std::str::from_utf8(&self.rest) {
                Ok(text) => {
                    out.push_str(text);
                    self.rest.clear();
                    return out;
                }
                Err(error) => {
                    let (good, bad) = self.rest.split_at(error.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(good));
                    let Some(len) = error.error_len() else {
                        self.rest = bad.to_vec();
                        return out;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    self.rest = bad[len..].to_vec();
                }
            }
        }
    }

    /// What is left when nothing more comes.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.rest).into_owned()
    }
}

/// Finds stop strings in text that comes in pieces, also across their borders.
#[derive(Debug)]
pub struct StopFilter {
    stops: Vec<String>,
    /// Text that may still turn out to be the start of a stop string.
    held: String,
    stopped: bool,
}

impl StopFilter {
    /// Looks for any of `stops`.
    pub fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            held: String::new(),
            stopped: false,
        }
    }

    /// Takes text, gives what certainly belongs to the answer.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        // The one that is complete first, as if the text had come byte by byte.
        let found = self.stops.iter().filter_map(|stop| {
            let at = self.held.find(stop)?;
            Some((at + stop.len(), at))
        });
        let first = found.min().map(|(_, at)| at);
        if let Some(at) = first {
            self.stopped = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let kept = self.held.len() - self.possible_start();
        let rest = self.held.split_off(kept);
        std::mem::replace(&mut self.held, rest)
    }

    /// Whether a stop string came.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// What was held back, when nothing more comes.
    pub fn finish(self) -> String {
        self.held
    }

    /// Length of the longest end of the text that a stop string starts with.
    fn possible_start(&self) -> usize {
        let longest = |stop: &String| {
            (1..stop.len())
                .rev()
                .filter(|len| stop.is_char_boundary(*len))
                .find(|len| self.held.ends_with(&stop[..*len]))
        };
        self.stops.iter().filter_map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(stops: &[&str], pieces: &[&str], expected: &str, stopped: bool) {
        let mut filter = StopFilter::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        assert_eq!(filter.stopped(), stopped);
        out.push_str(&filter.finish());
        assert_eq!(out, expected);
    }

    #[test]
    fn stops_are_found_across_pieces() {
        check(&[], &["a", "b"], "ab", false);
        check(&["b"], &["a", "b", "c"], "a", true);
        check(&["END"], &["xE", "N", "Dy"], "x", true);
        check(&["END"], &["xE", "N"], "xEN", false);
        check(&["aab"], &["aaa", "b"], "a", true);
        check(&["b", "aba"], &["ab", "a"], "a", true);
        check(&["b", "aba"], &["aba"], "a", true);
        check(&["\n\n", "Q:"], &["x\n", "Q", ":"], "x\n", true);
        check(&["é!"], &["né", "é", "!"], "né", true);
    }

    proptest! {
        /// The same text comes out as when it had come in one piece.
        #[test]
        fn borders_do_not_matter(pieces in prop::collection::vec("[ab]{0,3}", 0..8), stops in prop::collection::vec("[ab]{1,3}", 0..3)) {
            let text = pieces.concat();
            let found = stops.iter().filter_map(|stop| text.find(stop).map(|at| (at + stop.len(), at)));
            let end = found.min().map(|(_, at)| at);
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            check(&stops, &pieces, &text[..end.unwrap_or(text.len())], end.is_some());
        }

        /// However bytes are cut, the text is what the whole would have been.
        #[test]
        fn characters_survive_any_cut(text in ".*", cut in 1usize..4) {
            let mut joiner = Utf8Joiner::default();
            let mut out: String = text.as_bytes().chunks(cut).map(|piece| joiner.push(piece)).collect();
            out.push_str(&joiner.finish());
            prop_assert_eq!(out, text);
        }

        #[test]
        fn any_bytes_become_text(bytes: Vec<u8>, cut in 1usize..4) {
            let mut joiner = Utf8Joiner::default();
            let mut out: String = bytes.chunks(cut).map(|piece| joiner.push(piece)).collect();
            out.push_str(&joiner.finish());
            prop_assert_eq!(out, String::from_utf8_lossy(&bytes));
        }
    }
}
