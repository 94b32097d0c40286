//! Patterns of ECMAScript in the words of `regex_syntax`, which mean other things here and there.

/// `pattern` in those words.
///
/// # Errors
/// What it has that cannot be held to.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len()),
    };
    while let Some(c) = translator.next() {
        translator.character(c)?;
    }
    Ok(translator.out)
}

/// Where in a pattern something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    InClass,
    InNegatedClass,
}

/// A set by its letter: what all validators take for it. Where it is `negated`, what any of them does.
fn set(letter: char, negated: bool) -> Option<&'static str> {
    Some(match (letter, negated) {
        ('d', false) => "0-9",
        ('w', false) => "A-Za-z0-9_",
        ('s', false) => r"\t\n\x0B\x0C\r ",
        ('d', true) => r"\d",
        ('w', true) => r"\w",
        ('s', true) => r"\s\u{FEFF}",
        ('D', false) => r"\D",
        ('W', false) => r"\W",
        ('S', false) => r"[^\s\u{FEFF}]",
        ('D', true) => "[^0-9]",
        ('W', true) => "[^A-Za-z0-9_]",
        ('S', true) => r"[^\t\n\x0B\x0C\r ]",
        _ => return None,
    })
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
}

pub(super) fn not_supported<T>(what: &str) -> Result<T, String> {
    Err(format!("is not supported: {what}"))
}

impl Translator<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn character(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => self.escape(Place::Outside),
            '.' => {
                self.out.push_str(r"[^\n\r\u{2028}\u{2029}]");
                Ok(())
            }
            '(' if self.peek() == Some('?') => self.group(),
            '[' => self.class(),
            c => {
                self.out.push(c);
                Ok(())
            }
        }
    }

    fn group(&mut self) -> Result<(), String> {
        self.next();
        match (self.next(), self.peek()) {
            (Some(':'), _) => {}
            (Some('='), _) | (Some('!'), _) | (Some('<'), Some('=' | '!')) => {
                return not_supported("look-around");
            }
            (Some('<'), _) => {
                let Some((_, rest)) = self.rest.split_once('>') else {
                    return not_supported("a group without an end of its name");
                };
                self.rest = rest;
            }
            _ => return not_supported("flags"),
        }
        self.out.push_str("(?:");
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        let mut place = Place::InClass;
        if self.peek() == Some('^') {
            self.next();
            self.out.push('^');
            place = Place::InNegatedClass;
        }
        if self.peek() == Some(']') {
            return not_supported("an empty class");
        }
        loop {
            match self.next() {
                None => return not_supported("a class without an end"),
                Some(']') => {
                    self.out.push(']');
                    return Ok(());
                }
                Some('\\') => self.escape(place)?,
                // Here these would be sets within sets, and their differences.
                Some('-') if self.peek() == Some('-') => return not_supported("`--` in a class"),
                Some(c @ ('[' | '&' | '~')) => self.out.extend(['\\', c]),
                Some(c) => self.out.push(c),
            }
        }
    }

    fn escape(&mut self, place: Place) -> Result<(), String> {
        let Some(c) = self.next() else {
            return not_supported("a `\\` at its end");
        };
        if let Some(set) = set(c, place == Place::InNegatedClass) {
            match place {
                Place::Outside => self.out.extend(["[", set, "]"]),
                Place::InClass | Place::InNegatedClass => self.out.push_str(set),
            }
            return Ok(());
        }
        match c {
            'b' if place != Place::Outside => self.out.push_str(r"\x08"),
            'b' | 'B' => return not_supported("word boundaries"),
            '1'..='9' | 'k' => return not_supported("references back"),
            '0' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.out.push_str(r"\x00");
            }
            'n' | 'r' | 't' | 'f' | 'v' | 'x' | 'u' => self.out.extend(['\\', c]),
            c if c.is_ascii_alphanumeric() => {
                return Err(format!("is not supported: `\\{c}`"));
            }
            c if c.is_ascii_punctuation() && c != '<' && c != '>' => {
                self.out.extend(['\\', c]);
            }
            c => self.out.push(c),
        }
        Ok(())
    }
}
