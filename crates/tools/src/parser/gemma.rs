//! Arguments as Gemma writes them: objects whose keys have no quotes, and strings between `<|"|>`.

use gaia_grammar::Kinds;

use super::json::escaped;
use super::sink::{Broken, Sink};
use super::step::Step;
use crate::kinds;
use crate::marker::{Mark, Scanner, is_space};

/// What stands around a string.
pub(crate) const QUOTE: &str = "<|\"|>";

/// How deep values may nest.
const DEPTH_MAX: usize = super::json::JSON_DEPTH_MAX;

/// The longest key or bare value, in bytes.
const BARE_BYTES_MAX: usize = 4096;

/// The arguments of one call.
#[derive(Debug, Clone)]
pub(crate) struct Gemma {
    /// The closing characters of what is open, the innermost last.
    open: Vec<char>,
    place: Place,
    /// Whether the opening brace was handed on.
    begun: bool,
}

#[derive(Debug, Clone)]
enum Place {
    /// Behind the brace or a comma of an object; the flag says that the object may end here.
    Key {
        written: String,
        may_end: bool,
    },
    Value {
        written: String,
        may_end: bool,
    },
    Text(Scanner),
    CommaOrEnd,
}

impl Gemma {
    /// Behind the brace that opens the arguments.
    pub fn new() -> Self {
        Self {
            open: vec!['}'],
            place: Place::Key {
                written: String::new(),
                may_end: true,
            },
            begun: false,
        }
    }

    /// Takes the next character.
    pub fn step(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        if !self.begun {
            sink.arguments("{")?;
            self.begun = true;
        }
        match &mut self.place {
            Place::Text(scanner) => {
                let mut text = String::new();
                let found = scanner.push(character, &mut text);
                if sink.arguments(&escaped(&text)).is_err() {
                    let written = scanner.untaken(text, found);
                    let may_end = false;
                    self.place = Place::Value { written, may_end };
                    return Err(Broken);
                }
                if found.is_some() {
                    sink.arguments("\"")?;
                    self.place = Place::CommaOrEnd;
                }
                Ok(Step::More)
            }
            Place::Key { written, .. } | Place::Value { written, .. }
                if written.is_empty() && is_space(character) =>
            {
                Ok(Step::More)
            }
            Place::Key { written, may_end } => match character {
                '}' if *may_end && written.is_empty() => self.close(character, sink),
                ':' => self.key_ended(sink),
                _ => bare(written, character),
            },
            Place::Value { .. } => self.in_value(character, sink),
            Place::CommaOrEnd if is_space(character) => Ok(Step::More),
            Place::CommaOrEnd => self.after_value(character, sink),
        }
    }

    fn key_ended(&mut self, sink: &mut Sink) -> Result<Step, Broken> {
        let Place::Key { written, .. } = &self.place else {
            return Err(Broken);
        };
        let key = written.trim();
        let quoted = key
            .strip_prefix(QUOTE)
            .and_then(|key| key.strip_suffix(QUOTE));
        let plain = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
        let key = quoted.or(plain).unwrap_or(key);
        if key.is_empty() {
            return Err(Broken);
        }
        sink.arguments(&format!("\"{}\": ", escaped(key)))?;
        self.place = Place::Value {
            written: String::new(),
            may_end: false,
        };
        Ok(Step::More)
    }

    fn in_value(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        let Place::Value { written, may_end } = &mut self.place else {
            return Err(Broken);
        };
        match character {
            '{' | '[' if written.is_empty() => self.open(character, sink),
            ']' if written.is_empty() && *may_end => self.close(character, sink),
            ',' | '}' | ']' if !written.is_empty() => {
                let value = kinds::read(Kinds::ALL, written.trim());
                sink.arguments(&value.to_string())?;
                self.place = Place::CommaOrEnd;
                self.after_value(character, sink)
            }
            ',' | '}' | ']' => Err(Broken),
            _ => {
                bare(written, character)?;
                if written == QUOTE {
                    sink.arguments("\"")?;
                    self.place = Place::Text(Scanner::new([Mark::anywhere(QUOTE)]));
                }
                Ok(Step::More)
            }
        }
    }

    fn open(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Broken);
        }
        sink.arguments(if character == '{' { "{" } else { "[" })?;
        self.open.push(if character == '{' { '}' } else { ']' });
        self.item(true);
        Ok(Step::More)
    }

    /// Before an object's key or an array's item.
    fn item(&mut self, may_end: bool) {
        let written = String::new();
        self.place = match self.open.last() {
            Some('}') => Place::Key { written, may_end },
            _ => Place::Value { written, may_end },
        };
    }

    fn after_value(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        match character {
            ',' => {
                sink.arguments(", ")?;
                self.item(false);
                Ok(Step::More)
            }
            '}' | ']' => self.close(character, sink),
            _ => Err(Broken),
        }
    }

    fn close(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        if self.open.pop() != Some(character) {
            return Err(Broken);
        }
        sink.arguments(if character == '}' { "}" } else { "]" })?;
        self.place = Place::CommaOrEnd;
        if !self.open.is_empty() {
            return Ok(Step::More);
        }
        sink.end();
        Ok(Step::Ends)
    }

    /// What was taken and not handed on.
    pub fn leftover(&mut self) -> String {
        match &mut self.place {
            Place::Text(scanner) => scanner.flush(),
            Place::Key { written, .. } | Place::Value { written, .. } => std::mem::take(written),
            Place::CommaOrEnd => String::new(),
        }
    }
}

fn bare(written: &mut String, character: char) -> Result<Step, Broken> {
    if written.len() >= BARE_BYTES_MAX {
        return Err(Broken);
    }
    written.push(character);
    Ok(Step::More)
}
