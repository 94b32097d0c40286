//! A whole reply without what it is large by: vectors, scores, probabilities.
//!
//! The bytes go by one after the other; only what is read afterwards is kept, up to [`BODY_BYTES_MAX`].

use memchr::memchr2;

use crate::{Beyond, Kind};

/// The most bytes of a reply that are kept: what is left of it without its vectors, scores and probabilities.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// The deepest that values of a reply may be nested.
pub const DEPTH_MAX: usize = 100;

/// A reply that loses the values of some keys as it comes: each becomes `null`.
#[derive(Debug)]
pub(crate) struct Skimmer {
    skipped: &'static [&'static str],
    kept: Vec<u8>,
    /// What is open: whether each is an object.
    open: Vec<bool>,
    in_string: bool,
    is_escaped: bool,
    /// Where in `kept` the name begins that is being read, or was read last.
    name: Option<usize>,
    /// Whether a string that begins now is a name.
    before_name: bool,
    /// How much was open when what is left out began.
    skipping: Option<usize>,
    beyond: Option<Beyond>,
}

impl Skimmer {
    pub fn new(kind: Kind) -> Self {
        Self {
            skipped: match kind {
                Kind::Chat | Kind::Completion | Kind::Responses => &["logprobs"],
                Kind::Embeddings => &["data"],
                Kind::Rerank => &["results"],
            },
            kept: Vec::new(),
            open: Vec::new(),
            in_string: false,
            is_escaped: false,
            name: None,
            before_name: false,
            skipping: None,
            beyond: None,
        }
    }

    pub fn feed(&mut self, mut piece: &[u8]) {
        while self.beyond.is_none() && !piece.is_empty() {
            let taken = match self.in_string && !self.is_escaped {
                true => self.take_text(piece),
                false => self.take_byte(piece[0]),
            };
            piece = &piece[taken..];
            if self.kept.len() > BODY_BYTES_MAX {
                self.give_up(Beyond::Body);
            }
        }
    }

    /// What is left of the reply, or which maximum it exceeded.
    pub fn finish(self) -> Result<Vec<u8>, Beyond> {
        match self.beyond {
            Some(beyond) => Err(beyond),
            None => Ok(self.kept),
        }
    }

    fn give_up(&mut self, beyond: Beyond) {
        self.beyond = Some(beyond);
        self.kept = Vec::new();
    }

    /// Text as far as nothing in it has a meaning.
    fn take_text(&mut self, piece: &[u8]) -> usize {
        let len = memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
        if self.skipping.is_none() {
            let room = (BODY_BYTES_MAX + 1).saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&piece[..len.min(room)]);
        }
        match piece.get(len) {
            Some(byte) => len + self.take_byte(*byte),
            None => len,
        }
    }

    fn take_byte(&mut self, byte: u8) -> usize {
        if self.in_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            self.keep(byte);
            return 1;
        }
        if self.skipping == Some(self.open.len()) && matches!(byte, b',' | b'}' | b']') {
            self.skipping = None;
        }
        self.structure(byte);
        1
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                self.name =
                    (self.before_name && self.skipping.is_none()).then_some(self.kept.len());
                self.before_name = false;
            }
            b'{' | b'[' if self.open.len() >= DEPTH_MAX => return self.give_up(Beyond::Depth),
            b'{' | b'[' => {
                self.open.push(byte == b'{');
                self.before_name = byte == b'{';
            }
            b'}' | b']' => {
                self.open.pop();
                self.before_name = false;
            }
            b',' => self.before_name = self.open.last() == Some(&true),
            b':' if self.is_skipped() => {
                self.kept.extend_from_slice(b":null");
                self.skipping = Some(self.open.len());
                return;
            }
            _ => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        if self.skipping.is_none() {
            self.kept.push(byte);
        }
    }

    fn is_skipped(&mut self) -> bool {
        let Some(start) = self.name.take() else {
            return false;
        };
        let name = self.kept[start..].trim_ascii_end();
        let name = name
            .strip_prefix(b"\"")
            .and_then(|name| name.strip_suffix(b"\""));
        name.is_some_and(|name| self.skipped.iter().any(|one| one.as_bytes() == name))
    }
}
