//! Cuts a stream into its events.
//!
//! An event that lies whole in a piece is read where it lies; only what is cut is kept: a line and the data before it,
//! each up to [`EVENT_BYTES_MAX`].

use memchr::memchr;

/// The most bytes of one event's data, and of one line: a first chunk carries passages, the last event of a response
/// carries all of it.
pub const EVENT_BYTES_MAX: usize = 2 << 20;

/// Of what was kept for one event, so much stays reserved for the next.
const SPARE_BYTES_MAX: usize = 16 << 10;

/// A reader of server-sent events, with LF or CRLF.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The beginning of a line that is not there whole.
    line: Vec<u8>,
    /// The data of the event so far, without the line that ends it.
    data: Vec<u8>,
    /// Whether there was any.
    has_data: bool,
    /// Whether an event was too long. Nothing is read after that.
    is_beyond: bool,
}

impl Frames {
    /// Takes a piece. `event` is told of every event's end: its data (empty: none), and where in the piece it ended,
    /// the line break included.
    pub fn feed(&mut self, piece: &[u8], mut event: impl FnMut(&[u8], usize)) {
        let mut at = 0;
        while !self.is_beyond && at < piece.len() {
            let Some(len) = memchr(b'\n', &piece[at..]) else {
                self.keep_line(&piece[at..]);
                return;
            };
            let (line, next) = (&piece[at..at + len], at + len + 1);
            if line.len() > EVENT_BYTES_MAX {
                return self.give_up();
            }
            if self.line.is_empty()
                && !self.has_data
                && let Some((data, end)) = whole(piece, line, next)
            {
                event(data, end);
                at = end;
                continue;
            }
            self.end_line(line, next, &mut event);
            at = next;
        }
    }

    pub fn is_beyond(&self) -> bool {
        self.is_beyond
    }

    fn keep_line(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > EVENT_BYTES_MAX {
            return self.give_up();
        }
        self.line.extend_from_slice(part);
    }

    fn end_line(&mut self, part: &[u8], end: usize, event: &mut impl FnMut(&[u8], usize)) {
        if self.line.is_empty() {
            return self.take_line(part, end, event);
        }
        self.keep_line(part);
        if self.is_beyond {
            return;
        }
        let mut line = std::mem::take(&mut self.line);
        self.take_line(&line, end, event);
        line.clear();
        line.shrink_to(SPARE_BYTES_MAX);
        self.line = line;
    }

    fn take_line(&mut self, line: &[u8], end: usize, event: &mut impl FnMut(&[u8], usize)) {
        let line = without_return(line);
        if line.is_empty() {
            self.has_data = false;
            event(&self.data, end);
            self.data.clear();
            self.data.shrink_to(SPARE_BYTES_MAX);
            return;
        }
        let Some(value) = data(line) else { return };
        if self.data.len() + usize::from(self.has_data) + value.len() > EVENT_BYTES_MAX {
            return self.give_up();
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        self.data.extend_from_slice(value);
    }

    fn give_up(&mut self) {
        *self = Self {
            is_beyond: true,
            ..Self::default()
        };
    }
}

/// The data of an event of one line that ends here, and where it ends.
fn whole<'a>(piece: &[u8], line: &'a [u8], next: usize) -> Option<(&'a [u8], usize)> {
    let data = data(without_return(line))?;
    match piece.get(next..) {
        Some([b'\n', ..]) => Some((data, next + 1)),
        Some([b'\r', b'\n', ..]) => Some((data, next + 2)),
        _ => None,
    }
}

fn data(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
