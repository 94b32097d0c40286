//! Arguments written as tags around each value.

use gaia_grammar::Kinds;

use super::json::escaped;
use super::sink::{Broken, Sink};
use super::step::Step;
use crate::CALL_ARGUMENTS_BYTES_MAX;
use crate::kinds;
use crate::marker::{Mark, Scanner, is_space};

/// The longest tag, in bytes.
const TAG_BYTES_MAX: usize = 512;

/// Whose tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `<parameter=name>`, a value on lines of its own, `</parameter>`; ends with `</function>`.
    Qwen,
    /// `<｜DSML｜parameter name="…" string="true">`; ends with `</｜DSML｜invoke>`.
    Dsml,
}

impl Dialect {
    fn closing(self) -> &'static [Mark] {
        const QWEN: &[Mark] = &[
            Mark::anywhere("\n</parameter>"),
            Mark::anywhere("</parameter>"),
        ];
        const DSML: &[Mark] = &[Mark::anywhere("</｜DSML｜parameter>")];
        match self {
            Self::Qwen => QWEN,
            Self::Dsml => DSML,
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Qwen => "</function>",
            Self::Dsml => "</｜DSML｜invoke>",
        }
    }

    /// The parameter that `tag` opens, and whether its value is a string; `None`: as its schema says.
    fn parameter(self, tag: &str) -> Option<(&str, Option<bool>)> {
        match self {
            Self::Qwen => {
                let name = tag.strip_prefix("<parameter=")?.strip_suffix('>')?;
                Some((name.trim(), None))
            }
            Self::Dsml => {
                let rest = tag.strip_prefix("<｜DSML｜parameter name=\"")?;
                let (name, rest) = rest.split_once('"')?;
                let string = match rest.trim_end_matches('>').trim() {
                    "string=\"true\"" => Some(true),
                    "string=\"false\"" => Some(false),
                    "" => None,
                    _ => return None,
                };
                Some((name, string))
            }
        }
    }
}

/// The parameters of one call.
#[derive(Debug, Clone)]
pub(crate) struct Tags {
    dialect: Dialect,
    place: Place,
    /// How many parameters there were.
    parameters: usize,
}

#[derive(Debug, Clone)]
enum Place {
    Between,
    Tag(String),
    Value(Value),
}

#[derive(Debug, Clone)]
struct Value {
    scanner: Scanner,
    kinds: Kinds,
    /// The value as far as it is known, unless it is a string, which is handed on as it comes: then
    /// what could not be.
    written: String,
    /// Whether nothing of it came yet.
    fresh: bool,
}

impl Value {
    fn is_string(&self) -> bool {
        self.kinds == Kinds::STRING
    }

    fn take(&mut self, text: &str, sink: &mut Sink) -> Result<(), Broken> {
        if self.is_string() {
            return sink.arguments(&escaped(text));
        }
        if self.written.len() + text.len() > CALL_ARGUMENTS_BYTES_MAX {
            return Err(Broken);
        }
        self.written.push_str(text);
        Ok(())
    }

    fn end(&self, sink: &mut Sink) -> Result<(), Broken> {
        match self.is_string() {
            true => sink.arguments("\""),
            false => sink.arguments(&kinds::read(self.kinds, &self.written).to_string()),
        }
    }
}

impl Tags {
    /// Behind the tag that names the tool.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            place: Place::Between,
            parameters: 0,
        }
    }

    /// Takes the next character.
    pub fn step(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        match &mut self.place {
            Place::Between if is_space(character) => Ok(Step::More),
            Place::Between if character == '<' => {
                self.place = Place::Tag("<".to_owned());
                Ok(Step::More)
            }
            Place::Between => Err(Broken),
            Place::Tag(tag) => {
                if character == '>' {
                    return self.tag_ended(sink);
                }
                if tag.len() >= TAG_BYTES_MAX {
                    return Err(Broken);
                }
                tag.push(character);
                Ok(Step::More)
            }
            Place::Value(value) => {
                // The line break behind the tag is the tag's.
                if value.fresh && character == '\n' && self.dialect == Dialect::Qwen {
                    value.fresh = false;
                    return Ok(Step::More);
                }
                value.fresh = false;
                let mut text = String::new();
                let found = value.scanner.push(character, &mut text);
                if value.take(&text, sink).is_err() {
                    value.written += &value.scanner.untaken(text, found);
                    return Err(Broken);
                }
                if found.is_some() {
                    value.end(sink)?;
                    self.place = Place::Between;
                }
                Ok(Step::More)
            }
        }
    }

    fn tag_ended(&mut self, sink: &mut Sink) -> Result<Step, Broken> {
        let Place::Tag(tag) = &self.place else {
            return Err(Broken);
        };
        let tag = format!("{tag}>");
        let separator = match self.parameters {
            0 => "{",
            _ => ", ",
        };
        if tag == self.dialect.end() {
            sink.arguments(match self.parameters {
                0 => "{}",
                _ => "}",
            })?;
            sink.end();
            return Ok(Step::Ends);
        }
        let (name, string) = self.dialect.parameter(&tag).ok_or(Broken)?;
        let kinds = match string {
            Some(true) => Kinds::STRING,
            _ => sink.kinds(name),
        };
        // What is said to be no string is none, whatever its schema says.
        let kinds = match string {
            Some(false) if kinds == Kinds::STRING => Kinds::ALL,
            _ => kinds,
        };
        self.parameters += 1;
        let quote = if kinds == Kinds::STRING { "\"" } else { "" };
        sink.arguments(&format!("{separator}\"{}\": {quote}", escaped(name)))?;
        self.place = Place::Value(Value {
            scanner: Scanner::new(self.dialect.closing().iter().copied()),
            kinds,
            written: String::new(),
            fresh: true,
        });
        Ok(Step::More)
    }

    /// What was taken and not handed on.
    pub fn leftover(&mut self) -> String {
        match &mut self.place {
            Place::Between => String::new(),
            Place::Tag(tag) => std::mem::take(tag),
            Place::Value(value) => {
                let held = value.scanner.flush();
                std::mem::take(&mut value.written) + &held
            }
        }
    }
}
