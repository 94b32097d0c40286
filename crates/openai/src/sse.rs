//! Server-sent events: how a stream is framed.
//!
//! Invariant: an event's payload holds no raw line break, because JSON escapes them.

use serde::Serialize;

use crate::ApiError;

/// The content type of a stream.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// The last event of a stream that ended well, or was told why it did not.
pub const DONE: &[u8] = b"data: [DONE]\n\n";

/// A comment line that keeps a connection alive and that clients skip.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// One `data:` event.
pub fn event(payload: &impl Serialize) -> Vec<u8> {
    let mut bytes = b"data: ".to_vec();
    serde_json::to_writer(&mut bytes, payload).expect("wire types always serialise");
    bytes.extend_from_slice(b"\n\n");
    bytes
}

/// One event with a name, as streams of responses have them.
pub fn named_event(name: &str, payload: &impl Serialize) -> Vec<u8> {
    let mut bytes = format!("event: {name}\n").into_bytes();
    bytes.extend(event(payload));
    bytes
}

/// An event that tells a client in the middle of a stream what went wrong.
pub fn error_event(error: &ApiError) -> Vec<u8> {
    format!("data: {}\n\n", error.to_json()).into_bytes()
}

/// Takes a stream of bytes apart again, for clients.
#[derive(Debug, Default)]
pub struct EventReader {
    line: Vec<u8>,
    data: Vec<u8>,
}

/// More bytes in one event than any sane server sends.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// An event was larger than [`EVENT_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLarge;

impl std::fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "an event is larger than {EVENT_BYTES_MAX} bytes")
    }
}

impl std::error::Error for EventTooLarge {}

impl EventReader {
    /// Feeds bytes as they come in, gives the payloads of the events that are complete now.
    ///
    /// # Errors
    /// The sender puts more than [`EVENT_BYTES_MAX`] into one event.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, EventTooLarge> {
        let mut events = Vec::new();
        for &byte in bytes {
            match byte {
                b'\n' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > EVENT_BYTES_MAX {
                return Err(EventTooLarge);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty()).then_some(data);
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data
                .extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_is_one_data_line() {
        assert_eq!(event(&"a\nb"), b"data: \"a\\nb\"\n\n");
        assert_eq!(named_event("a.b", &1), b"event: a.b\ndata: 1\n\n");
    }

    #[test]
    fn comments_are_skipped_and_carriage_returns_dropped() {
        let mut reader = EventReader::default();
        let events = reader.feed(b": hi\r\n\r\ndata: 1\r\n\r\ndata:2\ndata: 3\n\n");
        assert_eq!(events, Ok(vec![b"1".to_vec(), b"2\n3".to_vec()]));
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut reader = EventReader::default();
        let line = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert_eq!(reader.feed(&line), Err(EventTooLarge));
    }

    proptest! {
        /// However the network cuts a stream, the same events come out.
        #[test]
        fn events_survive_any_cut(texts in prop::collection::vec(".*", 0..8), cut in 1usize..7) {
            let stream: Vec<u8> = texts.iter().flat_map(event).collect();
            let mut reader = EventReader::default();
            let mut out = Vec::new();
            for piece in stream.chunks(cut) {
                out.extend(reader.feed(piece).unwrap());
            }
            let back: Vec<String> = out.iter().map(|e| serde_json::from_slice(e).unwrap()).collect();
            prop_assert_eq!(back, texts);
        }
    }
}
