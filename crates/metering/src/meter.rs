//! Eats an answer's bytes as they pass.

mod take;

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::frames::Frames;
use crate::skim::Skimmer;
use crate::wire::{Event, Reply, Response};
use crate::{Beyond, Kind, Metered};

/// What ends a stream of chat or of completions.
const DONE: &[u8] = b"[DONE]";

/// Reads one answer while it is forwarded.
#[derive(Debug)]
pub struct Meter {
    kind: Kind,
    body: Body,
    metered: Metered,
    /// Where in the texts each answer is, by its number.
    places: BTreeMap<u32, usize>,
    /// Whether calls come that are not kept.
    is_beyond_calls: bool,
    /// Bytes that are kept of what was written and cited.
    kept: usize,
    /// Whether a response said that it is over.
    has_ended: bool,
    /// Whether the chunk of usage is kept from the client, who did not ask for it.
    hides_usage: bool,
    /// The beginning of an event that is kept back until it is known whether the client is to see it.
    back: Vec<u8>,
}

#[derive(Debug)]
enum Body {
    Stream(Frames),
    Whole(Box<Skimmer>),
}

impl Meter {
    /// For an answer of this kind: a stream of events where `streamed`, else one JSON value.
    ///
    /// Whether it is one the reply's `Content-Type` says, not the request.
    #[must_use]
    pub fn new(kind: Kind, streamed: bool) -> Self {
        Self {
            kind,
            body: match streamed {
                true => Body::Stream(Frames::default()),
                false => Body::Whole(Box::new(Skimmer::new(kind))),
            },
            metered: Metered::default(),
            places: BTreeMap::new(),
            is_beyond_calls: false,
            kept: 0,
            has_ended: false,
            hides_usage: false,
            back: Vec::new(),
        }
    }

    /// The same, and [`Self::pass`] leaves out the chunk of usage: for requests that
    /// [`ask_for_usage`](crate::ask_for_usage) changed.
    #[must_use]
    pub fn hiding_usage(mut self) -> Self {
        self.hides_usage = matches!(self.body, Body::Stream(_));
        self
    }

    /// Takes the next piece of the answer, however it is cut.
    pub fn eat(&mut self, piece: &[u8]) {
        self.eat_marking(piece, |_, _| {});
    }

    /// As [`Self::eat`], and gives what of it the client is to see now: mostly the piece itself, without a copy.
    ///
    /// With [`Self::hiding_usage`] events go on whole: the beginning of one waits for its end, or for
    /// [`Self::rest`]. Past [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX) everything passes as it is.
    pub fn pass<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.hides_usage || self.is_beyond_frames() {
            self.eat(piece);
            return Cow::Borrowed(piece);
        }
        // Where events end that are left out, and where the last event ends.
        let (mut hidden, mut start, mut whole) = (Vec::new(), 0, 0);
        self.eat_marking(piece, |end, is_usage| {
            if is_usage {
                hidden.push(start..end);
            }
            (start, whole) = (end, end);
        });
        if self.is_beyond_frames() {
            whole = piece.len();
        }
        if self.back.is_empty() && hidden.is_empty() && whole == piece.len() {
            return Cow::Borrowed(piece);
        }
        Cow::Owned(self.shown(piece, &hidden, whole))
    }

    /// What [`Self::pass`] has kept back; to be sent when the node's bytes have ended.
    #[must_use]
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.back)
    }

    /// Whether something of the answer came: in a stream the first text, thought or call, else the first byte.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.metered.has_begun
    }

    /// What there is so far. [`Metered::is_complete`] is only said, and the order of the texts is only right, after
    /// [`Self::finish`].
    #[must_use]
    pub fn so_far(&self) -> &Metered {
        &self.metered
    }

    /// What the bytes said, now that there are no more.
    #[must_use]
    pub fn finish(mut self) -> Metered {
        match std::mem::replace(&mut self.body, Body::Stream(Frames::default())) {
            // What no empty line ended is no event.
            Body::Stream(frames) => {
                if frames.is_beyond() {
                    self.beyond(Beyond::Event);
                }
            }
            Body::Whole(skimmer) => match skimmer.finish() {
                Ok(body) => self.read_whole(&body),
                Err(beyond) => self.beyond(beyond),
            },
        }
        self.metered.is_complete = self.is_complete();
        self.metered.texts.sort_by_key(|text| text.index);
        self.metered
    }

    fn is_complete(&self) -> bool {
        let metered = &self.metered;
        let all_ended = match self.kind {
            Kind::Chat | Kind::Completion => {
                !metered.texts.is_empty() && metered.texts.iter().all(|text| text.ended.is_some())
            }
            Kind::Responses | Kind::Embeddings | Kind::Rerank => self.has_ended,
        };
        all_ended && metered.error.is_none()
    }

    /// `event`: where an event ended, and whether it is the chunk of usage.
    fn eat_marking(&mut self, piece: &[u8], mut event: impl FnMut(usize, bool)) {
        let mut frames = match &mut self.body {
            Body::Whole(skimmer) => {
                skimmer.feed(piece);
                self.metered.has_begun |= !piece.is_empty();
                return;
            }
            Body::Stream(frames) => std::mem::take(frames),
        };
        frames.feed(piece, |data, end| {
            let is_usage = self.read_event(data);
            event(end, is_usage);
        });
        self.body = Body::Stream(frames);
    }

    fn is_beyond_frames(&self) -> bool {
        matches!(&self.body, Body::Stream(frames) if frames.is_beyond())
    }

    fn shown(&mut self, piece: &[u8], hidden: &[std::ops::Range<usize>], whole: usize) -> Vec<u8> {
        let mut shown = Vec::with_capacity(self.back.len() + piece.len());
        // What was kept back is the beginning of the first event that ends here.
        if whole > 0 {
            shown.append(&mut self.back);
        }
        let mut at = 0;
        for range in hidden {
            match range.start {
                0 => shown.clear(),
                start => shown.extend_from_slice(&piece[at..start]),
            }
            at = range.end;
        }
        shown.extend_from_slice(&piece[at..whole]);
        self.back.extend_from_slice(&piece[whole..]);
        shown
    }

    /// Whether it is the chunk of usage: one that says what was taken, and nothing else.
    fn read_event(&mut self, data: &[u8]) -> bool {
        if data.is_empty() || data == DONE {
            return false;
        }
        let read = match self.kind {
            Kind::Responses => serde_json::from_slice::<Event<'_>>(data).map(|event| {
                self.take_event(event);
                false
            }),
            _ => serde_json::from_slice::<Reply<'_>>(data).map(|chunk| {
                let is_bare = chunk.choices.as_ref().is_some_and(Vec::is_empty);
                let is_usage = is_bare && chunk.usage.is_some() && chunk.error.is_none();
                self.take_reply(chunk);
                is_usage
            }),
        };
        read.unwrap_or_else(|_| {
            self.unread();
            false
        })
    }

    fn read_whole(&mut self, body: &[u8]) {
        let read = match self.kind {
            Kind::Responses => serde_json::from_slice::<Response<'_>>(body)
                .map(|response| self.take_whole_response(response)),
            // Hugging Face's form of a ranking says nothing of what it took.
            Kind::Rerank if body.trim_ascii_start().starts_with(b"[") => {
                serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(body)
                    .map(|_| self.has_ended = true)
            }
            _ => serde_json::from_slice::<Reply<'_>>(body).map(|reply| {
                self.has_ended = reply.error.is_none();
                self.take_reply(reply);
            }),
        };
        if read.is_err() {
            self.unread();
        }
    }

    fn unread(&mut self) {
        self.metered.unread = self.metered.unread.saturating_add(1);
    }

    fn beyond(&mut self, which: Beyond) {
        self.metered.beyond.get_or_insert(which);
    }
}
