//! Cuts a stream of events at the borders of events.
//!
//! When a worker dies, its last event may be half sent. Only whole events are passed on, so that
//! the event that says what happened can follow. Nothing waits for more than its own end.

use hyper::body::Bytes;

/// An unfinished event larger than this is passed on as it comes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// The unfinished end of a stream.
#[derive(Debug, Default)]
pub(crate) struct EventTail {
    unfinished: Vec<u8>,
}

impl EventTail {
    /// Takes bytes, gives what can go on; may be empty.
    pub(crate) fn push(&mut self, bytes: Bytes) -> Bytes {
        if self.unfinished.is_empty() && bytes.ends_with(b"\n\n") {
            return bytes;
        }
        let seen = self.unfinished.len();
        self.unfinished.extend_from_slice(&bytes);
        let end = match self.unfinished.len() > EVENT_BYTES_MAX {
            true => self.unfinished.len(),
            false => end_of_events(&self.unfinished, seen),
        };
        if end == 0 {
            return Bytes::new();
        }
        let rest = self.unfinished.split_off(end);
        Bytes::from(std::mem::replace(&mut self.unfinished, rest))
    }

    /// What is left when the stream has ended well.
    pub(crate) fn finish(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.unfinished))
    }
}

/// Where the last whole event ends; none does in the first `seen` bytes.
fn end_of_events(bytes: &[u8], seen: usize) -> usize {
    let ends = |at: &usize| {
        let before = &bytes[..*at];
        before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n")
    };
    (seen..=bytes.len()).rev().find(ends).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Were each byte looked at again with each piece, this would take minutes.
    #[test]
    fn a_long_event_in_small_pieces_is_looked_at_once() {
        let mut tail = EventTail::default();
        for _ in 0..EVENT_BYTES_MAX - 2 {
            assert!(tail.push(Bytes::from_static(b"x")).is_empty());
        }
        assert!(tail.push(Bytes::from_static(b"\n")).is_empty());
        let whole = tail.push(Bytes::from_static(b"\n"));
        assert_eq!(whole.len(), EVENT_BYTES_MAX);
    }

    fn check(pieces: &[&'static str], passed: &str, left: &str) {
        let mut tail = EventTail::default();
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&tail.push(Bytes::from_static(piece.as_bytes())));
        }
        assert_eq!(String::from_utf8_lossy(&out), passed);
        assert_eq!(String::from_utf8_lossy(&tail.finish()), left);
    }

    #[test]
    fn only_whole_events_go_on() {
        check(&["data: 1\n\n"], "data: 1\n\n", "");
        check(&["data: 1\n\ndata: 2"], "data: 1\n\n", "data: 2");
        check(
            &["data: 1", "\n", "\ndata", ": 2\n\n"],
            "data: 1\n\ndata: 2\n\n",
            "",
        );
        check(&["data: 1\r\n", "\r\nx"], "data: 1\r\n\r\n", "x");
    }

    #[test]
    fn an_endless_event_is_not_held_for_ever() {
        let mut tail = EventTail::default();
        let passed = tail.push(Bytes::from(vec![b'x'; EVENT_BYTES_MAX + 1]));
        assert_eq!(passed.len(), EVENT_BYTES_MAX + 1);
    }
}
