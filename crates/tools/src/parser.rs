//! Takes an answer apart while it comes: text, reasoning, calls.

use crate::{Format, Tool};

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
#[derive(Debug)]
pub struct Parser {
    _format: Format,
    _tools: Vec<Tool>,
    _reasoning_open: bool,
}

impl Parser {
    /// For an answer in `format`. Calls of `tools` are recognised, nothing else is a call; without
    /// tools only reasoning is told from text. `reasoning_open` as in [`Calls`](crate::Calls).
    pub fn new(format: Format, tools: &[Tool], reasoning_open: bool) -> Self {
        Self {
            _format: format,
            _tools: tools.to_vec(),
            _reasoning_open: reasoning_open,
        }
    }

    /// Takes the next piece of the answer, however it is cut. Gives what is certain by now: a
    /// beginning of what may become a marker is kept back.
    pub fn push(&mut self, piece: &str) -> Vec<Part> {
        match piece.is_empty() {
            true => Vec::new(),
            false => vec![Part::Text(piece.to_owned())],
        }
    }

    /// The answer has ended. Gives what was kept back; a call that is open ends.
    pub fn finish(&mut self) -> Vec<Part> {
        Vec::new()
    }
}
