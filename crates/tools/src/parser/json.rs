//! Follows one JSON value, character by character, to know where it ends.

use crate::marker::is_space;

/// How deep values may nest.
pub(crate) const JSON_DEPTH_MAX: usize = 64;

/// What a character did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The value goes on.
    More,
    /// The value ends with this character.
    Ends,
    /// The value, a number, has ended before this character.
    Ended,
    /// This is no JSON.
    Wrong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    String {
        key: bool,
        escape: Escape,
    },
    /// What is left of `true`, `false` or `null`.
    Word(&'static str),
    Number(Number),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// So many hexadecimal digits are to come.
    Digits(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

/// The place in a value.
#[derive(Debug, Clone)]
pub(crate) struct Json {
    open: Vec<Container>,
    place: Place,
}

impl Json {
    /// Before a value.
    pub fn new() -> Self {
        Self {
            open: Vec::new(),
            place: Place::Value,
        }
    }

    /// Takes the next character. What becomes of it is added to `written`: a line break within a
    /// string, which models write and JSON forbids, is escaped.
    pub fn push(&mut self, character: char, written: &mut String) -> Progress {
        let in_string = matches!(self.place, Place::String { .. });
        let progress = self.step(character);
        if matches!(progress, Progress::More | Progress::Ends) {
            match in_string && character < ' ' {
                true => written.push_str(&format!("\\u{:04x}", u32::from(character))),
                false => written.push(character),
            }
        }
        progress
    }

    fn step(&mut self, character: char) -> Progress {
        match self.place {
            Place::String { key, escape } => self.in_string(character, key, escape),
            Place::Word(rest) => self.in_word(character, rest),
            Place::Number(number) => self.in_number(character, number),
            _ if is_space(character) => Progress::More,
            Place::Value => self.value(character),
            Place::ValueOrEnd if character == ']' => self.close(Container::Array),
            Place::ValueOrEnd => self.value(character),
            Place::KeyOrEnd if character == '}' => self.close(Container::Object),
            Place::Key | Place::KeyOrEnd if character == '"' => self.go(Place::String {
                key: true,
                escape: Escape::None,
            }),
            Place::Key | Place::KeyOrEnd => Progress::Wrong,
            Place::Colon if character == ':' => self.go(Place::Value),
            Place::Colon => Progress::Wrong,
            Place::CommaOrEnd => self.after_value(character),
        }
    }

    fn go(&mut self, place: Place) -> Progress {
        self.place = place;
        Progress::More
    }

    fn value(&mut self, character: char) -> Progress {
        match character {
            '{' => self.open(Container::Object, Place::KeyOrEnd),
            '[' => self.open(Container::Array, Place::ValueOrEnd),
            '"' => self.go(Place::String {
                key: false,
                escape: Escape::None,
            }),
            't' => self.go(Place::Word("rue")),
            'f' => self.go(Place::Word("alse")),
            'n' => self.go(Place::Word("ull")),
            '-' => self.go(Place::Number(Number::Minus)),
            '0' => self.go(Place::Number(Number::Zero)),
            '1'..='9' => self.go(Place::Number(Number::Whole)),
            _ => Progress::Wrong,
        }
    }

    fn open(&mut self, container: Container, place: Place) -> Progress {
        if self.open.len() >= JSON_DEPTH_MAX {
            return Progress::Wrong;
        }
        self.open.push(container);
        self.go(place)
    }

    fn close(&mut self, container: Container) -> Progress {
        match self.open.pop() {
            Some(open) if open == container => self.ended(),
            _ => Progress::Wrong,
        }
    }

    fn ended(&mut self) -> Progress {
        self.place = Place::CommaOrEnd;
        match self.open.is_empty() {
            true => Progress::Ends,
            false => Progress::More,
        }
    }

    fn after_value(&mut self, character: char) -> Progress {
        match (character, self.open.last()) {
            (',', Some(Container::Object)) => self.go(Place::Key),
            (',', Some(Container::Array)) => self.go(Place::Value),
            ('}', _) => self.close(Container::Object),
            (']', _) => self.close(Container::Array),
            _ => Progress::Wrong,
        }
    }

    fn in_string(&mut self, character: char, key: bool, escape: Escape) -> Progress {
        let escape = match (escape, character) {
            (Escape::None, '"') if key => return self.go(Place::Colon),
            (Escape::None, '"') => return self.ended(),
            (Escape::None, '\\') => Escape::Begun,
            (Escape::None, _) => Escape::None,
            (Escape::Begun, 'u') => Escape::Digits(4),
            (Escape::Begun, '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => Escape::None,
            (Escape::Digits(1), digit) if digit.is_ascii_hexdigit() => Escape::None,
            (Escape::Digits(left), digit) if digit.is_ascii_hexdigit() => Escape::Digits(left - 1),
            (Escape::Begun | Escape::Digits(_), _) => return Progress::Wrong,
        };
        self.go(Place::String { key, escape })
    }

    fn in_word(&mut self, character: char, rest: &'static str) -> Progress {
        match rest.strip_prefix(character) {
            Some("") => self.ended(),
            Some(rest) => self.go(Place::Word(rest)),
            None => Progress::Wrong,
        }
    }

    fn in_number(&mut self, character: char, number: Number) -> Progress {
        use Number::{Exponent, Fraction, Minus, Point, Power, Sign, Whole, Zero};
        let next = match (number, character) {
            (Minus, '0') => Zero,
            (Minus, '1'..='9') | (Whole, '0'..='9') => Whole,
            (Zero | Whole, '.') => Point,
            (Point | Fraction, '0'..='9') => Fraction,
            (Zero | Whole | Fraction, 'e' | 'E') => Exponent,
            (Exponent, '+' | '-') => Sign,
            (Exponent | Sign | Power, '0'..='9') => Power,
            (Zero | Whole | Fraction | Power, _) => return self.number_ended(character),
            _ => return Progress::Wrong,
        };
        self.go(Place::Number(next))
    }

    fn number_ended(&mut self, character: char) -> Progress {
        match self.ended() {
            Progress::Ends => Progress::Ended,
            _ => self.step(character),
        }
    }
}

/// `text` as it stands within the quotes of a JSON string.
pub(crate) fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written of the value and what was left of the text.
    fn follow(text: &str) -> Result<(String, &str), &str> {
        let mut json = Json::new();
        let mut written = String::new();
        for (at, character) in text.char_indices() {
            let rest = &text[at..];
            match json.push(character, &mut written) {
                Progress::More => {}
                Progress::Ends => return Ok((written, &rest[character.len_utf8()..])),
                Progress::Ended => return Ok((written, rest)),
                Progress::Wrong => return Err(rest),
            }
        }
        Err("")
    }

    #[test]
    fn a_value_ends_where_it_ends() {
        for value in [
            r#"{}"#,
            r#"[]"#,
            r#""a\"}é\u00e9""#,
            r#"{"a": [1, -2.5e+3, 0, true, false, null], "b": {"c": "]"}}"#,
            "[ [ ] , { } ]",
            "true",
        ] {
            let text = format!("{value}, rest}}");
            assert_eq!(follow(&text), Ok((value.to_owned(), ", rest}")), "{value}");
            assert!(serde_json::from_str::<serde_json::Value>(value).is_ok());
        }
        assert_eq!(follow("-12.5e3 x"), Ok(("-12.5e3".to_owned(), " x")));
    }

    #[test]
    fn what_is_no_json_is_seen_at_once() {
        for (text, rest) in [
            ("{a", "a"),
            ("{\"a\" 1", "1"),
            ("[1 2", "2"),
            ("[1}", "}"),
            ("{,", ","),
            ("[,", ","),
            ("01", "1"),
            ("tru ", " "),
            ("\"\\x", "x"),
            ("\"\\u00g", "g"),
            ("-a", "a"),
            ("1.}", "}"),
            ("]", "]"),
            ("{\"a\":1,}", "}"),
        ] {
            // A bare number followed by a digit has ended, which its reader sees.
            let expected = match text {
                "01" => Ok(("0".to_owned(), "1")),
                _ => Err(rest),
            };
            assert_eq!(follow(text), expected, "{text}");
        }
    }

    #[test]
    fn line_breaks_in_strings_are_escaped() {
        let (written, _) = follow("{ \"a\":\n\"b\nc\td\" }").unwrap();
        assert_eq!(written, "{ \"a\":\n\"b\\u000ac\\u0009d\" }");
        assert!(serde_json::from_str::<serde_json::Value>(&written).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(follow(&nested(JSON_DEPTH_MAX)).is_ok());
        assert!(follow(&nested(JSON_DEPTH_MAX + 1)).is_err());
    }
}
