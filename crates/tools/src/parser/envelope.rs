//! Calls written as JSON objects that hold the name and the arguments.

use super::json::{Json, Progress};
use super::sink::{Broken, Sink};
use super::step::Step;
use crate::marker::is_space;
use crate::{CALL_ARGUMENTS_BYTES_MAX, NAME_BYTES_MAX};

/// `{"name": …, "arguments": …}`, with its members in any order and others among them.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    place: Place,
    /// The key of the member that is being read.
    key: String,
    name: String,
    /// Where the arguments are, once they have begun.
    arguments: Option<Json>,
    /// Arguments that came before the name.
    early: String,
}

#[derive(Debug, Clone)]
enum Place {
    Brace,
    KeyOrEnd,
    Key,
    InKey,
    Colon,
    Value,
    InName,
    InArguments,
    InOther(Json),
    CommaOrEnd,
}

impl Envelope {
    /// Before the brace.
    pub fn new() -> Self {
        Self {
            place: Place::Brace,
            key: String::new(),
            name: String::new(),
            arguments: None,
            early: String::new(),
        }
    }

    /// Takes the next character.
    pub fn step(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        match &mut self.place {
            Place::InKey => self.in_key(character),
            Place::InName => self.in_name(character, sink),
            Place::InArguments => self.in_arguments(character, sink),
            Place::InOther(json) => match json.push(character, &mut String::new()) {
                Progress::More => Ok(Step::More),
                Progress::Ends => self.go(Place::CommaOrEnd),
                Progress::Ended => {
                    self.place = Place::CommaOrEnd;
                    self.step(character, sink)
                }
                Progress::Wrong => Err(Broken),
            },
            _ if is_space(character) => Ok(Step::More),
            Place::Brace if character == '{' => self.go(Place::KeyOrEnd),
            Place::KeyOrEnd | Place::Key if character == '"' => {
                self.key.clear();
                self.go(Place::InKey)
            }
            Place::KeyOrEnd | Place::CommaOrEnd if character == '}' => self.end(sink),
            Place::CommaOrEnd if character == ',' => self.go(Place::Key),
            Place::Colon if character == ':' => self.go(Place::Value),
            Place::Value => self.value(character, sink),
            _ => Err(Broken),
        }
    }

    fn go(&mut self, place: Place) -> Result<Step, Broken> {
        self.place = place;
        Ok(Step::More)
    }

    fn in_key(&mut self, character: char) -> Result<Step, Broken> {
        match character {
            '"' => self.go(Place::Colon),
            '\\' => Err(Broken),
            _ if self.key.len() >= NAME_BYTES_MAX => Err(Broken),
            _ => {
                self.key.push(character);
                Ok(Step::More)
            }
        }
    }

    fn value(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        match self.key.as_str() {
            "name" if character == '"' && self.name.is_empty() => self.go(Place::InName),
            "arguments" | "parameters" if character == '{' && self.arguments.is_none() => {
                self.arguments = Some(Json::new());
                self.place = Place::InArguments;
                self.in_arguments(character, sink)
            }
            "name" | "arguments" | "parameters" => Err(Broken),
            _ => {
                self.place = Place::InOther(Json::new());
                self.step(character, sink)
            }
        }
    }

    fn in_name(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        match character {
            '"' => {
                sink.begin(&self.name)?;
                sink.arguments(&std::mem::take(&mut self.early))?;
                self.go(Place::CommaOrEnd)
            }
            '\\' => Err(Broken),
            _ if self.name.len() >= NAME_BYTES_MAX => Err(Broken),
            _ => {
                self.name.push(character);
                Ok(Step::More)
            }
        }
    }

    fn in_arguments(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        let json = self.arguments.as_mut().ok_or(Broken)?;
        let mut written = String::new();
        let progress = json.push(character, &mut written);
        match sink.is_open() {
            true => sink.arguments(&written)?,
            false if self.early.len() >= CALL_ARGUMENTS_BYTES_MAX => return Err(Broken),
            false => self.early.push_str(&written),
        }
        match progress {
            Progress::More => Ok(Step::More),
            Progress::Ends => self.go(Place::CommaOrEnd),
            Progress::Ended | Progress::Wrong => Err(Broken),
        }
    }

    fn end(&self, sink: &mut Sink) -> Result<Step, Broken> {
        if !sink.is_open() {
            return Err(Broken);
        }
        if self.arguments.is_none() {
            sink.arguments("{}")?;
        }
        sink.end();
        Ok(Step::Ends)
    }
}

/// `[{…}, {…}]`, or one object without the brackets.
#[derive(Debug, Clone)]
pub(crate) struct List {
    call: Option<Envelope>,
    place: ListPlace,
    has_brackets: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ListPlace {
    Bracket,
    Call,
    CommaOrEnd,
}

impl List {
    /// Before the bracket.
    pub fn new() -> Self {
        Self {
            call: None,
            place: ListPlace::Bracket,
            has_brackets: true,
        }
    }

    /// Takes the next character.
    pub fn step(&mut self, character: char, sink: &mut Sink) -> Result<Step, Broken> {
        if let Some(call) = &mut self.call {
            let step = call.step(character, sink)?;
            if step == Step::Ends && self.has_brackets {
                self.call = None;
                self.place = ListPlace::CommaOrEnd;
                return Ok(Step::More);
            }
            return Ok(step);
        }
        match (self.place, character) {
            (_, space) if is_space(space) => {}
            (ListPlace::Bracket, '[') | (ListPlace::CommaOrEnd, ',') => {
                self.place = ListPlace::Call;
            }
            (ListPlace::CommaOrEnd, ']') => return Ok(Step::Ends),
            (ListPlace::Call | ListPlace::Bracket, '{') => {
                self.has_brackets &= self.place == ListPlace::Call;
                self.call.insert(Envelope::new()).step(character, sink)?;
            }
            _ => return Err(Broken),
        }
        Ok(Step::More)
    }
}
