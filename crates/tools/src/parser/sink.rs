//! Collects the parts of an answer and keeps its bounds.

use gaia_grammar::Kinds;

use super::Part;
use crate::kinds::ParameterKinds;
use crate::marker::is_space;
use crate::{CALL_ARGUMENTS_BYTES_MAX, CALLS_MAX, Tool};

/// A bound was reached, or the text is not what it should be: it is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// What has been found of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    tools: Vec<ParameterKinds>,
    parts: Vec<Part>,
    calls: usize,
    /// The tool of the call that is open.
    open: Option<usize>,
    /// Of the call that is open.
    arguments_bytes: usize,
    /// White space that is text only if more text follows.
    blank: String,
    /// Whether white space that comes next is no text.
    skips: bool,
    /// Whether there was text already.
    has_text: bool,
}

/// Whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Text,
    Reasoning,
}

impl Sink {
    pub fn new(tools: &[Tool]) -> Self {
        Self {
            tools: tools.iter().map(ParameterKinds::of).collect(),
            parts: Vec::new(),
            calls: 0,
            open: None,
            arguments_bytes: 0,
            blank: String::new(),
            skips: false,
            has_text: false,
        }
    }

    /// Whether there is anything to call.
    pub fn has_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    /// Whether a call more is one too many.
    pub fn is_full(&self) -> bool {
        self.calls >= CALLS_MAX
    }

    /// Whether a call has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What was found since the last look.
    pub fn take(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    /// A passage of another kind begins: the white space around it is neither's.
    pub fn turn(&mut self) {
        self.blank.clear();
        self.skips = true;
    }

    /// As [`Self::turn`], where a text goes on that had ended.
    pub fn new_paragraph(&mut self) {
        self.turn();
        if self.has_text {
            self.blank.push_str("\n\n");
        }
    }

    /// Text or reasoning. White space at its end waits for what follows.
    pub fn say(&mut self, voice: Voice, text: &str) {
        let text = match self.skips {
            true => text.trim_start_matches(is_space),
            false => text,
        };
        let end = text.trim_end_matches(is_space).len();
        if end > 0 {
            let said = std::mem::take(&mut self.blank) + &text[..end];
            self.skips = false;
            self.add(voice, said);
        }
        self.blank.push_str(&text[end..]);
    }

    /// The white space that waits: nothing follows.
    pub fn rest(&mut self, voice: Voice) {
        let blank = std::mem::take(&mut self.blank);
        if !blank.is_empty() && !self.skips {
            self.add(voice, blank);
        }
    }

    fn add(&mut self, voice: Voice, said: String) {
        match (voice, self.parts.last_mut()) {
            (Voice::Text, Some(Part::Text(text)))
            | (Voice::Reasoning, Some(Part::Reasoning(text))) => {
                text.push_str(&said);
            }
            (Voice::Text, _) => self.parts.push(Part::Text(said)),
            (Voice::Reasoning, _) => self.parts.push(Part::Reasoning(said)),
        }
        self.has_text |= voice == Voice::Text;
    }

    /// A call of the tool `name` begins.
    pub fn begin(&mut self, name: &str) -> Result<(), Broken> {
        let tool = self.tools.iter().position(|tool| tool.name == name);
        if self.is_full() || self.is_open() || tool.is_none() {
            return Err(Broken);
        }
        self.turn();
        self.open = tool;
        self.arguments_bytes = 0;
        let index = self.calls;
        self.calls += 1;
        let name = name.to_owned();
        self.parts.push(Part::CallBegins { index, name });
        Ok(())
    }

    /// More of the open call's arguments.
    pub fn arguments(&mut self, text: &str) -> Result<(), Broken> {
        self.arguments_bytes += text.len();
        if self.open.is_none() || self.arguments_bytes > CALL_ARGUMENTS_BYTES_MAX {
            return Err(Broken);
        }
        let now = self.calls - 1;
        match self.parts.last_mut() {
            Some(Part::Arguments { index, piece }) if *index == now => piece.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Arguments {
                index: now,
                piece: text.to_owned(),
            }),
        }
        Ok(())
    }

    /// The open call ends, if there is one.
    pub fn end(&mut self) {
        if self.open.take().is_some() {
            let index = self.calls - 1;
            self.parts.push(Part::CallEnds { index });
        }
    }

    /// What the parameter `name` of the open call's tool may be.
    pub fn kinds(&self, name: &str) -> Kinds {
        let tool = self.open.and_then(|tool| self.tools.get(tool));
        tool.map_or(Kinds::ALL, |tool| tool.kinds(name))
    }
}
