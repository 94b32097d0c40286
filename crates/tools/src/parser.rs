//! Takes an answer apart while it comes: text, reasoning, calls.
//!
//! It goes character by character, so that how the answer is cut cannot matter. What looks like a call
//! and is none becomes text again; what follows the mistake is read anew.

mod channel;
mod envelope;
mod gemma;
mod json;
mod sink;
mod step;
mod tags;

pub(crate) use gemma::QUOTE;
pub(crate) use step::Item;
pub(crate) use tags::Dialect;

use crate::format::syntax::{HARMONY, Opener};
use crate::marker::{Found, Mark, Scanner};
use crate::{CALL_ARGUMENTS_BYTES_MAX, Family, Format, Tool};
use channel::{Header, Message};
use sink::{Sink, Voice};
use step::{Script, Step};

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What the reader sees.
    Text(String),
    /// What the model thought before.
    Reasoning(String),
    /// A call begins; its arguments follow.
    CallBegins {
        /// Which of the answer's calls, from 0.
        index: usize,
        /// The tool; always one of those the parser was told of.
        name: String,
    },
    /// The next piece of a call's arguments. The pieces of a call put together are the text of a JSON
    /// object, unless the answer broke off or the model, held by no grammar, wrote something else.
    Arguments {
        /// Which call: the one that began last.
        index: usize,
        /// Some of the text.
        piece: String,
    },
    /// Nothing more comes of this call.
    CallEnds {
        /// Which call.
        index: usize,
    },
}

/// Reads one answer.
#[derive(Debug, Clone)]
pub struct Parser {
    family: Family,
    sink: Sink,
    state: State,
    must_call: bool,
}

#[derive(Debug, Clone)]
enum State {
    Said(Passage),
    /// A call, and what was written of it before it was certain to be one.
    Call {
        script: Script,
        written: String,
    },
    /// A header of harmony.
    Header(Header),
}

/// Text or reasoning.
#[derive(Debug, Clone)]
struct Passage {
    voice: Voice,
    scanner: Scanner,
    /// What each of the scanner's marks means.
    meanings: Vec<Meaning>,
}

#[derive(Debug, Clone, Copy)]
enum Meaning {
    Call(&'static Opener),
    /// It says nothing, and what follows is as if it were not there.
    Closer,
    Thinks,
    HasThought,
    EndsMessage,
    BeginsHeader,
}

/// What a text follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Reasoning,
    Call,
    /// What looked like a mark.
    Mistake,
}

impl Parser {
    /// For an answer in `format`. Calls of `tools` are recognised, nothing else is a call; without
    /// tools only reasoning is told from text. `reasoning_open` as in [`Calls`](crate::Calls).
    pub fn new(format: Format, tools: &[Tool], reasoning_open: bool) -> Self {
        let family = format.family();
        let mut sink = Sink::new(tools);
        if reasoning_open {
            sink.turn();
        }
        let state = match (family, reasoning_open) {
            (Family::GptOss, _) => State::Header(Header::new()),
            (_, true) => State::Said(reasoning(family)),
            (_, false) => State::Said(text(family, &sink, After::Nothing)),
        };
        Self {
            family,
            sink,
            state,
            must_call: false,
        }
    }

    /// The answer is calls and nothing else: what is left of one that was cut off is no text.
    #[must_use]
    pub fn must_call(self) -> Self {
        Self {
            must_call: true,
            ..self
        }
    }

    /// Takes the next piece of the answer, however it is cut. Gives what is certain by now: a
    /// beginning of what may become a mark is kept back, and so is white space, which is dropped
    /// around calls and reasoning.
    pub fn push(&mut self, piece: &str) -> Vec<Part> {
        for character in piece.chars() {
            self.take(character);
        }
        self.sink.take()
    }

    /// The answer has ended. Gives what was kept back; a call that is open ends.
    pub fn finish(&mut self) -> Vec<Part> {
        let end = State::Said(text(self.family, &self.sink, After::Mistake));
        let mut voice = Voice::Text;
        match std::mem::replace(&mut self.state, end) {
            State::Said(mut passage) => {
                voice = passage.voice;
                self.sink.say(voice, &passage.scanner.flush());
            }
            State::Call { script, written } => self.give_up(script, &written),
            State::Header(header) => self.sink.say(voice, header.rest()),
        }
        self.sink.rest(voice);
        let mut parts = self.sink.take();
        if self.must_call {
            parts.retain(|part| !matches!(part, Part::Text(_)));
        }
        parts
    }

    fn take(&mut self, character: char) {
        match &mut self.state {
            State::Said(passage) => {
                let mut said = String::new();
                let found = passage.scanner.push(character, &mut said);
                self.sink.say(passage.voice, &said);
                if let Some(found) = found {
                    let meaning = passage.meanings[found.mark];
                    self.found(meaning, found);
                }
            }
            State::Call { .. } => self.take_of_call(character),
            State::Header(header) => match header.push(character) {
                Message::Undecided => {}
                message => self.begin_message(message),
            },
        }
    }

    fn take_of_call(&mut self, character: char) {
        let State::Call { script, written } = &mut self.state else {
            return;
        };
        let step = match written.len() > CALL_ARGUMENTS_BYTES_MAX {
            true => Err(sink::Broken),
            false => script.step(character, &mut self.sink),
        };
        match step {
            Ok(Step::More) if self.sink.is_open() => written.clear(),
            Ok(Step::More) => written.push(character),
            Ok(Step::Ends) => self.go_on(After::Call),
            Err(sink::Broken) => {
                let (script, written) = (script.clone(), std::mem::take(written));
                let had_begun = self.sink.is_open();
                self.give_up(script, &written);
                self.go_on(match had_begun {
                    true => After::Call,
                    false => After::Mistake,
                });
                self.take(character);
            }
        }
    }

    /// The call is none, or breaks off: what is left of it is text.
    fn give_up(&mut self, mut script: Script, written: &str) {
        self.sink.end();
        self.sink.say(Voice::Text, written);
        self.sink.say(Voice::Text, &script.leftover());
    }

    /// Text may follow.
    fn go_on(&mut self, after: After) {
        self.state = match (self.family, after) {
            (Family::GptOss, After::Call) => State::Header(Header::new()),
            _ => State::Said(text(self.family, &self.sink, after)),
        };
    }

    fn found(&mut self, meaning: Meaning, found: Found) {
        match meaning {
            Meaning::Call(opener) => {
                let mut script = Script::new(opener.items);
                for character in opener.feed.chars() {
                    // What the table feeds is always a beginning of what the table says follows.
                    let _ = script.step(character, &mut self.sink);
                }
                let written = found.written;
                self.state = State::Call { script, written };
            }
            Meaning::Closer => self.go_on(After::Call),
            Meaning::Thinks => {
                self.sink.turn();
                self.state = State::Said(reasoning(self.family));
            }
            Meaning::HasThought => {
                self.sink.turn();
                self.go_on(After::Reasoning);
            }
            Meaning::EndsMessage => self.state = State::Header(Header::new()),
            Meaning::BeginsHeader => self.state = State::Header(Header::begun(found.written)),
        }
    }

    fn begin_message(&mut self, message: Message) {
        match message {
            Message::Reasoning => {
                self.sink.turn();
                self.state = State::Said(reasoning(self.family));
            }
            Message::Call(name) if self.sink.begin(&name).is_ok() => {
                self.state = State::Call {
                    script: Script::new(HARMONY),
                    written: String::new(),
                };
            }
            Message::Text | Message::Call(_) | Message::Undecided => {
                self.sink.new_paragraph();
                self.go_on(After::Nothing);
            }
            Message::None(written) => {
                self.go_on(After::Mistake);
                // What begins with a mark would begin the same header again.
                match channel::begins(&written) {
                    true => self.sink.say(Voice::Text, &written),
                    false => written.chars().for_each(|character| self.take(character)),
                }
            }
        }
    }
}

fn reasoning(family: Family) -> Passage {
    let mut marks: Vec<(Mark, Meaning)> = Vec::new();
    if family == Family::GptOss {
        marks.extend(channel::marks());
    } else {
        let thinking = family.thinking();
        marks.push((Mark::anywhere(thinking.close), Meaning::HasThought));
        // The prompt opened it, and the model does so again.
        let open = Mark::first(thinking.open.text);
        marks.push((open, Meaning::Thinks));
    }
    passage(Voice::Reasoning, marks)
}

fn text(family: Family, sink: &Sink, after: After) -> Passage {
    let mut marks = Vec::new();
    if sink.has_tools() && !sink.is_full() {
        let openers = family.openers().iter();
        marks.extend(openers.map(|opener| (opener.mark, Meaning::Call(opener))));
    }
    if after == After::Call {
        let closers = family.closers().iter();
        marks.extend(closers.map(|closer| (*closer, Meaning::Closer)));
    }
    match family {
        Family::GptOss => marks.extend(channel::marks()),
        _ => {
            let open = family.thinking().open;
            if after == After::Nothing || !open.first {
                marks.push((open, Meaning::Thinks));
            }
        }
    }
    let mut passage = passage(Voice::Text, marks);
    if after == After::Mistake {
        // Nothing stands first any more.
        passage.scanner.flush();
    }
    passage
}

fn passage(voice: Voice, marks: Vec<(Mark, Meaning)>) -> Passage {
    Passage {
        voice,
        scanner: Scanner::new(marks.iter().map(|(mark, _)| *mark)),
        meanings: marks.iter().map(|(_, meaning)| *meaning).collect(),
    }
}
