//! Finds marks in a text that comes a character at a time.
//!
//! Invariant: what is given out as text was no part of a mark, and what may become one is kept back.

/// A text that opens or closes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// A space stands for any white space, or none. The last character is no space.
    pub text: &'static str,
    /// Whether only white space may stand before it.
    pub first: bool,
}

impl Mark {
    /// Found wherever it stands.
    pub const fn anywhere(text: &'static str) -> Self {
        Self { text, first: false }
    }

    /// Found only at the beginning.
    pub const fn first(text: &'static str) -> Self {
        Self { text, first: true }
    }

    /// Where in `text` one is after `character`, from `at`; `None`: it is another text.
    pub fn step(&self, mut at: usize, character: char) -> Option<usize> {
        loop {
            let next = self.text[at..].chars().next()?;
            if next != ' ' {
                return (next == character).then_some(at + next.len_utf8());
            }
            if is_space(character) {
                return Some(at);
            }
            at += 1;
        }
    }
}

/// White space as JSON has it.
pub(crate) fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// A mark that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of the marks.
    pub mark: usize,
    /// As it was written.
    pub written: String,
}

/// Looks for several marks at a time.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    marks: Vec<Mark>,
    tries: Vec<Try>,
    /// Holds the beginning of every try.
    held: String,
    /// Whether there was only white space as yet.
    beginning: bool,
}

/// A mark that may be on its way.
#[derive(Debug, Clone, Copy)]
struct Try {
    mark: usize,
    /// How far in its text.
    at: usize,
    /// Where in `held` it begins.
    start: usize,
}

impl Scanner {
    pub fn new(marks: impl IntoIterator<Item = Mark>) -> Self {
        Self {
            marks: marks.into_iter().collect(),
            tries: Vec::new(),
            held: String::new(),
            beginning: true,
        }
    }

    /// Takes the next character. What is no mark for certain goes to `text`. Of marks that end
    /// together the one that began first is found.
    pub fn push(&mut self, character: char, text: &mut String) -> Option<Found> {
        let start = self.held.len();
        self.held.push(character);
        self.begin_tries(start);
        let marks = &self.marks;
        self.tries.retain_mut(|one| {
            let next = marks[one.mark].step(one.at, character);
            one.at = next.unwrap_or(0);
            next.is_some()
        });
        self.beginning &= is_space(character);
        let ended = |one: &&Try| one.at == marks[one.mark].text.len();
        let found = self.tries.iter().filter(ended).min_by_key(|one| one.start);
        if let Some(found) = found.copied() {
            let written = self.held.split_off(found.start);
            text.push_str(&self.flush());
            let mark = found.mark;
            return Some(Found { mark, written });
        }
        let keep = self.tries.iter().map(|one| one.start).min();
        let free = keep.unwrap_or(self.held.len());
        text.extend(self.held.drain(..free));
        for one in &mut self.tries {
            one.start -= free;
        }
        None
    }

    fn begin_tries(&mut self, start: usize) {
        for (mark, wanted) in self.marks.iter().enumerate() {
            if self.beginning || !wanted.first {
                self.tries.push(Try { mark, at: 0, start });
            }
        }
    }

    /// What was taken since `text` was empty, but for the last character: for who cannot take it. The
    /// search begins anew, not at the beginning.
    pub fn untaken(&mut self, text: String, found: Option<Found>) -> String {
        let mut all = text + &found.map_or_else(|| self.flush(), |found| found.written);
        all.pop();
        all
    }

    /// What was kept back; the search begins anew, not at the beginning.
    pub fn flush(&mut self) -> String {
        self.tries.clear();
        self.beginning = false;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text before each mark, the marks, and the rest.
    fn scan(marks: &[Mark], text: &str) -> Vec<String> {
        let mut scanner = Scanner::new(marks.iter().copied());
        let mut parts = Vec::new();
        let mut free = String::new();
        for character in text.chars() {
            if let Some(found) = scanner.push(character, &mut free) {
                parts.push(std::mem::take(&mut free));
                parts.push(format!("{}:{}", found.mark, found.written));
            }
        }
        free.push_str(&scanner.flush());
        parts.push(free);
        parts
    }

    #[test]
    fn marks_are_found_among_their_own_beginnings() {
        let marks = [Mark::anywhere("<a>"), Mark::anywhere("<ab>")];
        let check = |text: &str, parts: &[&str]| assert_eq!(scan(&marks, text), parts);
        check("x<a>y", &["x", "0:<a>", "y"]);
        check("<<a<ab><", &["<<a", "1:<ab>", "<"]);
        check("<a", &["<a"]);
        check("", &[""]);
    }

    #[test]
    fn a_space_is_any_white_space() {
        let marks = [Mark::anywhere("{ \"a\" :"), Mark::anywhere("\"a\"x")];
        let check = |text: &str, parts: &[&str]| assert_eq!(scan(&marks, text), parts);
        check("-{\"a\":1", &["-", "0:{\"a\":", "1"]);
        check("-{\n\t \"a\" \n:", &["-", "0:{\n\t \"a\" \n:", ""]);
        check("{ {\"a\":", &["{ ", "0:{\"a\":", ""]);
        check("{\"a\"x", &["{", "1:\"a\"x", ""]);
    }

    #[test]
    fn some_marks_stand_only_first() {
        let marks = [Mark::first("<a>"), Mark::first("<b>")];
        let check = |text: &str, parts: &[&str]| assert_eq!(scan(&marks, text), parts);
        check(" \n<b>c<a>", &[" \n", "1:<b>", "c<a>"]);
        check(". <b>", &[". <b>"]);
    }

    #[test]
    fn of_marks_that_end_together_the_longer_is_found() {
        let marks = [Mark::anywhere("</x>"), Mark::anywhere("\n</x>")];
        assert_eq!(scan(&marks, "a\n</x>"), ["a", "1:\n</x>", ""]);
        assert_eq!(scan(&marks, "a\n\n</x>"), ["a\n", "1:\n</x>", ""]);
        assert_eq!(scan(&marks, "a</x>"), ["a", "0:</x>", ""]);
    }
}
