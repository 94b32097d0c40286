//! The client's end of an answer: it waits for the head, reads pieces, or is gone.

use std::io;
use std::time::Duration;

use gaia_openai::{ApiError, sse};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::HeaderName;
use hyper::http::response::Parts;
use tokio::sync::{mpsc, oneshot};

use crate::reply::{self, Reply};

/// Says which request it was: its receipt is found by it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-gaia-request-id");

/// Pieces that wait for a client; then the node waits, too.
const PIECES_WAITING_MAX: usize = 4;

/// Where a client's answer goes.
pub(crate) struct Client {
    state: State,
    id: hyper::header::HeaderValue,
    silence_max: Duration,
}

enum State {
    /// Nothing was said yet.
    Waits(oneshot::Sender<Response<Reply>>),
    Reads {
        pieces: mpsc::Sender<Result<Bytes, io::Error>>,
        is_events: bool,
    },
    Gone,
}

/// The client is not there any more, or takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl Client {
    pub(crate) fn new(
        head: oneshot::Sender<Response<Reply>>,
        id: hyper::header::HeaderValue,
        silence_max: Duration,
    ) -> Self {
        Self {
            state: State::Waits(head),
            id,
            silence_max,
        }
    }

    /// Ready when the client is gone.
    pub(crate) async fn gone(&mut self) {
        match &mut self.state {
            State::Waits(head) => head.closed().await,
            State::Reads { pieces, .. } => pieces.closed().await,
            State::Gone => {}
        }
    }

    /// Begins an answer that comes in pieces.
    pub(crate) fn begin(&mut self, head: Parts, is_events: bool) -> Result<(), Gone> {
        let (pieces, reader) = mpsc::channel(PIECES_WAITING_MAX);
        let response = Response::from_parts(head, Reply::Pieces(reader));
        self.reply(response)?;
        self.state = State::Reads { pieces, is_events };
        Ok(())
    }

    /// The next piece; waits for a client that reads slowly, but not for ever.
    pub(crate) async fn send(&mut self, piece: Bytes) -> Result<(), Gone> {
        if piece.is_empty() {
            return Ok(());
        }
        let State::Reads { pieces, .. } = &self.state else {
            return Err(Gone);
        };
        // Nearly always there is room, and no timer is needed.
        let piece = match pieces.try_send(Ok(piece)) {
            Ok(()) => return Ok(()),
            Err(mpsc::error::TrySendError::Full(piece)) => piece,
            Err(mpsc::error::TrySendError::Closed(_)) => return self.is_gone(),
        };
        match tokio::time::timeout(self.silence_max, pieces.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            _ => self.is_gone(),
        }
    }

    /// A whole answer.
    pub(crate) fn whole(&mut self, response: Response<Reply>) {
        // Who is gone needs none.
        let _ = self.reply(response);
        self.state = State::Gone;
    }

    /// Says what went wrong, as far as can still be said.
    pub(crate) async fn fail(&mut self, error: &ApiError) {
        match &self.state {
            State::Waits(_) => self.whole(reply::error(error)),
            State::Reads { is_events, pieces } => {
                let last = match is_events {
                    true => Ok(Bytes::from(sse::error_event(error))),
                    false => Err(io::Error::other(error.message.clone())),
                };
                let _ = tokio::time::timeout(self.silence_max, pieces.send(last)).await;
                self.state = State::Gone;
            }
            State::Gone => {}
        }
    }

    fn reply(&mut self, mut response: Response<Reply>) -> Result<(), Gone> {
        response.headers_mut().insert(REQUEST_ID, self.id.clone());
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Waits(head) => head.send(response).map_err(|_| Gone),
            State::Reads { .. } | State::Gone => Err(Gone),
        }
    }

    fn is_gone(&mut self) -> Result<(), Gone> {
        self.state = State::Gone;
        Err(Gone)
    }
}
