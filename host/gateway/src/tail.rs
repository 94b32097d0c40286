//! Keeps back the end of a stream of events until it is paid for.
//!
//! A stream ends with an event that clients take for the end. It and what follows waits; everything before goes on at
//! once, but for a line's beginning that could become that event.

use gaia_metering::Kind;
use hyper::body::Bytes;

/// The most bytes that are kept back: a response's last event repeats all of it.
pub(crate) const TAIL_BYTES_MAX: usize = 8 << 20;

const DONE: &[&[u8]] = &[b"data: [DONE]", b"data:[DONE]"];

const RESPONSE_OVER: &[&[u8]] = &[
    b"event: response.completed",
    b"event: response.incomplete",
    b"event: response.failed",
];

/// The end of a stream.
#[derive(Debug)]
pub(crate) struct Tail {
    marks: &'static [&'static [u8]],
    held: Vec<u8>,
    /// The mark has come: everything waits.
    is_over: bool,
    /// Whether what comes next begins a line.
    at_line: bool,
}

impl Tail {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            marks: match kind {
                Kind::Responses => RESPONSE_OVER,
                Kind::Chat | Kind::Completion | Kind::Embeddings | Kind::Rerank => DONE,
            },
            held: Vec::new(),
            is_over: false,
            at_line: true,
        }
    }

    /// What of `piece` and of what was held may go on.
    pub(crate) fn push(&mut self, piece: Bytes) -> Bytes {
        if self.is_over {
            self.held.extend_from_slice(&piece);
            return Bytes::new();
        }
        let piece = match self.held.is_empty() {
            true => piece,
            false => {
                self.held.extend_from_slice(&piece);
                std::mem::take(&mut self.held).into()
            }
        };
        let (keep_from, is_over) = self.find(&piece);
        self.is_over = is_over;
        self.held = piece[keep_from..].to_vec();
        if let Some(last) = piece[..keep_from].last() {
            self.at_line = *last == b'\n';
        }
        piece.slice(..keep_from)
    }

    /// Whether more is held than may be.
    pub(crate) fn is_beyond(&self) -> bool {
        self.held.len() > TAIL_BYTES_MAX
    }

    /// What is held.
    pub(crate) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    /// From where on `piece` is kept, and whether that is the mark itself.
    fn find(&self, piece: &[u8]) -> (usize, bool) {
        let ends = memchr::memchr_iter(b'\n', piece).map(|end| end + 1);
        let starts = self.at_line.then_some(0).into_iter().chain(ends);
        for start in starts {
            let line = &piece[start..];
            if self.marks.iter().any(|mark| line.starts_with(mark)) {
                return (start, true);
            }
            if !line.is_empty() && self.marks.iter().any(|mark| mark.starts_with(line)) {
                return (start, false);
            }
        }
        (piece.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, stream: &str, passed: &str) {
        for size in 1..=stream.len() {
            let mut tail = Tail::new(kind);
            let mut out = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                out.extend_from_slice(&tail.push(Bytes::copy_from_slice(piece)));
            }
            assert_eq!(String::from_utf8_lossy(&out), passed, "pieces of {size}");
            out.extend_from_slice(&tail.take());
            assert_eq!(String::from_utf8_lossy(&out), stream, "pieces of {size}");
        }
    }

    #[test]
    fn the_last_event_waits_however_the_stream_is_cut() {
        check(Kind::Chat, "data: {}\n\ndata: [DONE]\n\n", "data: {}\n\n");
        check(Kind::Chat, "data: [DONE]\n\n: after", "");
        check(
            Kind::Responses,
            "event: response.created\ndata: 1\n\nevent: response.completed\ndata: 2\n\n",
            "event: response.created\ndata: 1\n\n",
        );
    }

    #[test]
    fn a_text_that_looks_like_the_end_is_none() {
        let stream = "data: {\"content\":\"data: [DONE]\"}\n\ndata: [DOS]\n\n";
        check(Kind::Chat, stream, stream);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut tail = Tail::new(Kind::Chat);
        tail.push(Bytes::from_static(b"data: [DONE]\n\n"));
        assert!(!tail.is_beyond());
        tail.push(vec![b' '; TAIL_BYTES_MAX].into());
        assert!(tail.is_beyond());
    }
}
