//! Turns the bytes of sampled tokens into text that can be shown.
//!
//! Two things make that more than appending: a token may end inside a UTF-8 character, and a stop
//! string may span tokens. Bytes are held back while either is possible.
//!
//! Invariant: what leaves is whole UTF-8 and holds no stop string nor anything after one; a token's
//! event leaves with the last of its bytes.

use std::collections::VecDeque;

use crate::outbox::{Piece, TokenEvent};

/// Bytes and events that wait until it is clear that they may leave.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    stops: Vec<String>,
    held: Vec<u8>,
    /// How many bytes have left.
    left: usize,
    /// How many bytes have come.
    come: usize,
    events: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    start: usize,
    end: usize,
    event: TokenEvent,
}

/// What [`Assembler::push`] saw.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Assembled {
    pub piece: Piece,
    /// The stop string that ended the text.
    pub stopped_by: Option<String>,
}

impl Assembler {
    /// An assembler that ends the text before any of `stops`.
    pub fn new(stops: Vec<String>) -> Self {
        Self {
            stops,
            ..Self::default()
        }
    }

    /// Takes a token's bytes; gives what may leave now.
    pub fn push(&mut self, bytes: &[u8], event: Option<TokenEvent>) -> Assembled {
        let start = self.come;
        self.come += bytes.len();
        self.held.extend_from_slice(bytes);
        if let Some(event) = event {
            let end = self.come;
            self.events.push_back(Waiting { start, end, event });
        }
        match self.find_stop() {
            Some((at, stop)) => {
                self.held.truncate(at);
                let end = self.left + at;
                self.events.retain(|waiting| waiting.start < end);
                Assembled {
                    piece: self.flush(),
                    stopped_by: Some(stop),
                }
            }
            None => Assembled {
                piece: self.release(self.held.len() - self.stop_prefix_len(), false),
                stopped_by: None,
            },
        }
    }

    /// Gives everything that was held back; the text is over.
    pub fn flush(&mut self) -> Piece {
        let mut piece = self.release(self.held.len(), true);
        let rest = self.events.drain(..).map(|waiting| waiting.event);
        piece.events.extend(rest);
        piece
    }

    fn release(&mut self, len: usize, last: bool) -> Piece {
        let (text, used) = decode(&self.held[..len], last);
        self.held.drain(..used);
        self.left += used;
        let mut events = Vec::new();
        while self
            .events
            .front()
            .is_some_and(|next| next.end <= self.left)
        {
            events.extend(self.events.pop_front().map(|waiting| waiting.event));
        }
        Piece { text, events }
    }

    fn find_stop(&self) -> Option<(usize, String)> {
        self.stops
            .iter()
            .filter_map(|stop| {
                let at = self
                    .held
                    .windows(stop.len())
                    .position(|window| window == stop.as_bytes())?;
                Some((at, stop.clone()))
            })
            .min_by_key(|(at, _)| *at)
    }

    /// The length of the longest end of the held bytes that could become a stop string.
    fn stop_prefix_len(&self) -> usize {
        self.stops
            .iter()
            .filter_map(|stop| {
                let stop = stop.as_bytes();
                (1..stop.len())
                    .rev()
                    .find(|len| self.held.ends_with(&stop[..*len]))
            })
            .max()
            .unwrap_or(0)
    }
}

/// Decodes whole characters; gives the text and how many bytes it took. Bytes that can never become
/// a character turn into U+FFFD; an unfinished last character is left unless this is the `last` call.
fn decode(bytes: &[u8], last: bool) -> (String, usize) {
    let mut text = String::new();
    let mut used = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        used += chunk.valid().len();
        let invalid = chunk.invalid();
        let unfinished = used + invalid.len() == bytes.len()
            && str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if unfinished && !last {
            break;
        }
        if !invalid.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            used += invalid.len();
        }
    }
    (text, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `tokens`; gives the pieces and what stopped it, the last piece by a flush if nothing did.
    fn check(stops: &[&str], tokens: &[&[u8]], pieces: &[&str], stopped_by: Option<&str>) {
        let mut text = Assembler::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
        let mut found = Vec::new();
        let mut stop = None;
        for token in tokens {
            let assembled = text.push(token, None);
            found.push(assembled.piece.text);
            stop = assembled.stopped_by;
            if stop.is_some() {
                break;
            }
        }
        if stop.is_none() {
            found.push(text.flush().text);
        }
        assert_eq!(found, pieces);
        assert_eq!(stop.as_deref(), stopped_by);
    }

    #[test]
    fn text_leaves_at_once_when_nothing_speaks_against_it() {
        check(&[], &[b"Hello", b" world"], &["Hello", " world", ""], None);
    }

    #[test]
    fn characters_leave_whole() {
        check(
            &[],
            &[b"a\xf0\x9f", b"\xa6", b"\x80b"],
            &["a", "", "🦀b", ""],
            None,
        );
        check(&[], &["né".as_bytes()], &["né", ""], None);
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        check(&[], &[b"a\xffb"], &["a\u{fffd}b", ""], None);
        check(&[], &[b"a\xf0\x9f"], &["a", "\u{fffd}"], None);
        check(&[], &[b"\xf0\x9f", b"x"], &["", "\u{fffd}x", ""], None);
    }

    #[test]
    fn stop_strings_end_the_text() {
        check(&["END"], &[b"oneENDtwo"], &["one"], Some("END"));
        check(
            &["END"],
            &[b"oneE", b"N", b"Dtwo"],
            &["one", "", ""],
            Some("END"),
        );
        check(&["two", "one"], &[b"one two"], &[""], Some("one"));
        check(
            &["END"],
            &[b"oneE", b"N", b"d"],
            &["one", "", "ENd", ""],
            None,
        );
        check(&["END"], &[b"oneEN"], &["one", "EN"], None);
        check(
            &["aab"],
            &[b"a", b"a", b"a", b"b"],
            &["", "", "a", ""],
            Some("aab"),
        );
        check(&["é"], &[b"x\xc3", b"\xa9y"], &["x", ""], Some("é"));
    }

    #[test]
    fn events_leave_with_their_bytes_and_not_after_a_stop() {
        let event = |id| TokenEvent {
            id,
            ..TokenEvent::default()
        };
        let ids = |piece: &Piece| {
            piece
                .events
                .iter()
                .map(|event| event.id)
                .collect::<Vec<_>>()
        };
        let mut text = Assembler::new(vec!["END".to_owned()]);
        assert_eq!(ids(&text.push(b"a", Some(event(1))).piece), [1]);
        assert!(ids(&text.push(b"\xf0\x9f", Some(event(2))).piece).is_empty());
        assert_eq!(ids(&text.push(b"\xa6\x80", Some(event(3))).piece), [2, 3]);
        assert!(ids(&text.push(b"bE", Some(event(4))).piece).is_empty());
        let end = text.push(b"ND", Some(event(5)));
        assert_eq!((ids(&end.piece), end.piece.text.as_str()), (vec![4], ""));
        assert!(end.stopped_by.is_some());
    }
}
