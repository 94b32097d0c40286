//! Replies that are read piece by piece, such as streams of events.
//!
//! Invariant: as of whole replies, every piece is without the secrets that went out, wherever the
//! server cut it; and bytes, silence and time have an end.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::HeaderName;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::fetch::Reached;
use crate::{Ask, Egress, Refusal};

/// How long and how much one stream may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLimits {
    /// From the first look at the name to the reply's head.
    pub head_time_max: Duration,
    /// Between two pieces.
    pub silence_max: Duration,
    /// From the head to the last piece.
    pub time_max: Duration,
    /// All pieces together.
    pub bytes_max: usize,
}

/// A reply that is still coming. Dropped, its connection is closed.
pub struct Opened {
    reached: Reached,
    limits: StreamLimits,
    ends: Instant,
    bytes: usize,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("origin", &self.reached.origin)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Egress {
    /// Asks as [`Egress::fetch`] does, and gives the reply as it comes. It counts for no turn: see
    /// [`Egress::count`].
    ///
    /// # Errors
    /// See [`Refusal`]: the place may not be reached, it cannot be, or a limit was.
    pub async fn open(&self, ask: Ask, limits: StreamLimits) -> Result<Opened, Refusal> {
        let place = self.take_stream_place()?;
        let max = limits.head_time_max;
        let reached = timeout(max, self.reach(ask)).await;
        let reached = reached.unwrap_or(Err(Refusal::TooSlow { max }))?;
        Ok(Opened {
            reached,
            ends: Instant::now() + limits.time_max,
            limits,
            bytes: 0,
            held: Vec::new(),
            _place: place,
        })
    }
}

impl Opened {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.reached.response.status().as_u16()
    }

    /// A header of the reply, named in small letters; none where it is not there, no text, or too long.
    pub fn header(&self, name: &'static str) -> Option<String> {
        self.reached.header(&HeaderName::from_static(name))
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It broke off, or a limit was reached.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let Some(data) = self.data().await? else {
                let (cleaned, _) = self.reached.redaction.clean(&self.held, true);
                self.held.clear();
                return Ok((!cleaned.is_empty()).then(|| cleaned.into()));
            };
            self.held.extend_from_slice(&data);
            let (cleaned, used) = self.reached.redaction.clean(&self.held, false);
            self.held.drain(..used);
            if !cleaned.is_empty() {
                return Ok(Some(cleaned.into()));
            }
        }
    }

    /// All that is left, up to `max` bytes.
    ///
    /// # Errors
    /// As [`Opened::chunk`], or there is more.
    pub async fn rest(&mut self, max: usize) -> Result<Vec<u8>, Refusal> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > max - bytes.len() {
                return Err(Refusal::TooLong { max });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The next piece as the server sent it.
    async fn data(&mut self) -> Result<Option<Bytes>, Refusal> {
        let silence_max = self.limits.silence_max;
        let quiet = Instant::now() + silence_max;
        loop {
            let frame = self.reached.response.body_mut().frame();
            let frame = timeout_at(quiet.min(self.ends), frame).await;
            let frame = frame.map_err(|_| match quiet < self.ends {
                true => Refusal::Silent { max: silence_max },
                false => Refusal::TooSlow {
                    max: self.limits.time_max,
                },
            })?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|source| Refusal::Http {
                origin: self.reached.origin.clone(),
                source,
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.bytes = self.bytes.saturating_add(data.len());
            match self.bytes > self.limits.bytes_max {
                true => {
                    let max = self.limits.bytes_max;
                    return Err(Refusal::TooLong { max });
                }
                false => return Ok(Some(data)),
            }
        }
    }
}
