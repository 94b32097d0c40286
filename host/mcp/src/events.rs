//! Server-sent events, read from bytes as they come.
//!
//! Invariant: between two events no more is kept than one event may have.

use std::collections::VecDeque;

use sse_stream::Sse;

/// The longest event id that is given back to a server, in bytes.
const ID_BYTES_MAX: usize = 256;
/// The shortest and the longest pause before coming back that a server can ask for, in milliseconds.
const RETRY_MS: std::ops::RangeInclusive<u64> = 1_000..=60_000;

/// An event longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {max} bytes")]
pub(crate) struct TooLong {
    max: usize,
}

/// Reads events.
#[derive(Debug)]
pub(crate) struct Events {
    bytes_max: usize,
    line: Vec<u8>,
    event: Sse,
    /// Bytes of the event so far, lines that say nothing included.
    bytes: usize,
    after_return: bool,
    read: VecDeque<Sse>,
}

impl Events {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            line: Vec::new(),
            event: Sse::default(),
            bytes: 0,
            after_return: false,
            read: VecDeque::new(),
        }
    }

    /// The next event that is whole.
    pub(crate) fn next(&mut self) -> Option<Sse> {
        self.read.pop_front()
    }

    /// Takes some more bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        for &byte in bytes {
            let second_half = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                _ if second_half => {}
                b'\n' | b'\r' => self.end_line(),
                _ => {
                    self.bytes += 1;
                    if self.bytes > self.bytes_max {
                        let max = self.bytes_max;
                        return Err(TooLong { max });
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            self.bytes = 0;
            let event = std::mem::take(&mut self.event);
            if event != Sse::default() {
                self.read.push_back(event);
            }
            return;
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.event.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.event.data = Some(value.to_owned()),
            },
            "event" => self.event.event = Some(value.to_owned()),
            "id" if is_id(value) => self.event.id = Some(value.to_owned()),
            "retry" => {
                let asked = value.parse::<u64>().ok();
                self.event.retry = asked.map(|ms| ms.clamp(*RETRY_MS.start(), *RETRY_MS.end()));
            }
            // Comments keep a connection open; what is unknown is none of ours.
            _ => {}
        }
    }
}

/// Whether an id can be sent back in a header.
fn is_id(id: &str) -> bool {
    id.len() <= ID_BYTES_MAX
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, pieces: usize) -> Vec<Sse> {
        let mut events = Events::new(64);
        for piece in text.as_bytes().chunks(pieces) {
            events.push(piece).unwrap();
        }
        std::iter::from_fn(|| events.next()).collect()
    }

    fn check(text: &str, expected: &[Sse]) {
        for pieces in [1, 2, 3, 7, 1000] {
            assert_eq!(read(text, pieces), expected, "{text:?} in {pieces}s");
        }
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let data = |text: &str| Sse::default().data(text);
        check("data: a\n\ndata:b\r\n\r\n", &[data("a"), data("b")]);
        check("data: a\ndata: b\r\rdata: c", &[data("a\nb")]);
        check(": ping\n\nnonsense\nfoo: bar\n\n", &[]);
        check(
            "event: endpoint\ndata: /x?y=1:2\nid: 7\n\n",
            &[data("/x?y=1:2").event("endpoint").id("7")],
        );
    }

    #[test]
    fn a_server_chooses_neither_long_ids_nor_short_pauses() {
        check("retry: 0\n\n", &[Sse::default().retry(1_000)]);
        check("retry: 99999999\n\n", &[Sse::default().retry(60_000)]);
        check("retry: soon\n\n", &[]);
        check("data: a\nid: \u{e4}\n\n", &[Sse::default().data("a")]);
        let long = "x".repeat(ID_BYTES_MAX);
        assert!(is_id(&long) && !is_id(&format!("{long}x")));
    }

    #[test]
    fn the_longest_event_is_reached() {
        let mut events = Events::new(10);
        let two = format!("data:{}\n\n", "x".repeat(5)).repeat(2);
        assert_eq!(events.push(two.as_bytes()), Ok(()));
        assert_eq!(events.push(b"data:xxxxxx"), Err(TooLong { max: 10 }));
        let mut events = Events::new(10);
        // Lines that say nothing count as well.
        assert_eq!(events.push(b":1234\n:12345"), Err(TooLong { max: 10 }));
    }
}
