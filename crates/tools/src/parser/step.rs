//! What follows an opening mark: a few items, one after the other.

use super::envelope::{Envelope, List};
use super::gemma::Gemma;
use super::json::{Json, Progress};
use super::sink::{Broken, Sink};
use super::tags::{Dialect, Tags};
use crate::NAME_BYTES_MAX;
use crate::marker::is_space;

/// What may stand between a name and its end besides: an id, line breaks.
const BESIDE_NAME_BYTES_MAX: usize = 64;

/// What a character did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is a part, and more follows.
    More,
    /// It is the last.
    Ends,
}

/// A part of how calls are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// Exactly this.
    Text(&'static str),
    /// The tool's name, up to `until`; what follows `cut` in it is not the name's.
    Name {
        until: &'static str,
        cut: Option<&'static str>,
    },
    /// The arguments as a JSON object.
    Arguments,
    /// A JSON object that holds name and arguments.
    Envelope,
    /// A JSON array of such objects, or one of them alone.
    List,
    /// The arguments as tags.
    Tags(Dialect),
    /// The arguments as Gemma writes them, behind their opening brace.
    Gemma,
}

/// The place in one call, or in a list of calls.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    items: &'static [Item],
    now: Now,
}

#[derive(Debug, Clone)]
enum Now {
    /// How much of the text there was.
    Text(usize),
    Name(String),
    /// `None`: the object has not begun.
    Arguments(Option<Json>),
    Envelope(Envelope),
    List(List),
    Tags(Tags),
    Gemma(Gemma),
}

impl Now {
    fn at(item: Item) -> Self {
        match item {
            Item::Text(_) => Self::Text(0),
            Item::Name { .. } => Self::Name(String::new()),
            Item::Arguments => Self::Arguments(None),
            Item::Envelope => Self::Envelope(Envelope::new()),
            Item::List => Self::List(List::new()),
            Item::Tags(dialect) => Self::Tags(Tags::new(dialect)),
            Item::Gemma => Self::Gemma(Gemma::new()),
        }
    }
}

impl Script {
    /// Before `items`, of which there is one at least.
    pub fn new(items: &'static [Item]) -> Self {
        Self {
            items,
            now: Now::at(items[0]),
        }
    }

    /// Takes the next character.
    pub fn step(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        let step = match (&mut self.now, self.items[0]) {
            (Now::Text(at), Item::Text(text)) => {
                let rest = text
                    .get(*at..)
                    .and_then(|rest| rest.strip_prefix(character));
                *at += character.len_utf8();
                match rest.ok_or(Broken)? {
                    "" => Step::Ends,
                    _ => Step::More,
                }
            }
            (Now::Name(name), Item::Name { until, cut }) => {
                name.push(character);
                in_name(name, until, cut, sink)?
            }
            (Now::Arguments(json), _) => in_arguments(json, character, sink)?,
            (Now::Envelope(envelope), _) => envelope.step(character, sink)?,
            (Now::List(list), _) => list.step(character, sink)?,
            (Now::Tags(tags), _) => tags.step(character, sink)?,
            (Now::Gemma(gemma), _) => gemma.step(character, sink)?,
            _ => return Err(Broken),
        };
        match (step, self.items) {
            (Step::Ends, [_, rest @ ..]) if !rest.is_empty() => {
                self.items = rest;
                self.now = Now::at(rest[0]);
                Ok(Step::More)
            }
            _ => Ok(step),
        }
    }

    /// What was taken of an open call and not handed on.
    pub fn leftover(&mut self) -> String {
        match &mut self.now {
            Now::Tags(tags) => tags.leftover(),
            Now::Gemma(gemma) => gemma.leftover(),
            _ => String::new(),
        }
    }
}

fn in_name(name: &str, until: &str, cut: Option<&str>, sink: &mut Sink) -> Result<Step, Broken> {
    let Some(name) = name.strip_suffix(until) else {
        return match name.len() > NAME_BYTES_MAX + BESIDE_NAME_BYTES_MAX + until.len() {
            true => Err(Broken),
            false => Ok(Step::More),
        };
    };
    let name = cut.and_then(|cut| name.split(cut).next()).unwrap_or(name);
    sink.begin(name.trim())?;
    Ok(Step::Ends)
}

fn in_arguments(json: &mut Option<Json>, character: char, sink: &mut Sink) -> Result<Step, Broken> {
    let json = match json {
        Some(json) => json,
        None if is_space(character) => return Ok(Step::More),
        None if character == '{' => json.insert(Json::new()),
        None => return Err(Broken),
    };
    let mut written = String::new();
    let progress = json.push(character, &mut written);
    sink.arguments(&written)?;
    match progress {
        Progress::More => Ok(Step::More),
        Progress::Ends => {
            sink.end();
            Ok(Step::Ends)
        }
        Progress::Ended | Progress::Wrong => Err(Broken),
    }
}
