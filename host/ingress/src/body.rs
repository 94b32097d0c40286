//! Bodies of answers: streamed from the worker without delay, and never ending in silence.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gaia_openai::{ApiError, sse};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use crate::access::Access;
use crate::charge::Charge;
use crate::counts::Counts;
use crate::event::EventTail;
use crate::forward::Lease;
use crate::places::Place;

/// What every answer's body is.
pub(crate) type ReplyBody = BoxBody<Bytes, io::Error>;

/// A body that is all there.
pub(crate) fn full(bytes: impl Into<Bytes>) -> ReplyBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// Ready once the node stops waiting for running requests.
pub(crate) type Closing = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// From the signal to a future that is ready when it is given.
pub(crate) fn closing(mut signal: watch::Receiver<bool>) -> Closing {
    Box::pin(async move {
        // A lost sender means that the server is gone: the same.
        let _ = signal.wait_for(|closing| *closing).await;
    })
}

/// What a request has up to its end.
#[derive(Debug, Default)]
pub(crate) struct Held {
    #[expect(dead_code, reason = "it is free again when dropped")]
    pub(crate) place: Option<Place>,
    pub(crate) charge: Option<Charge>,
}

/// The worker's answer on its way to the client.
pub(crate) struct WorkerBody {
    inner: Incoming,
    /// Goes back to the pool when the answer has come to its end.
    lease: Option<Lease>,
    /// There where the answer is a stream of events.
    events: Option<EventTail>,
    silence: Pin<Box<Sleep>>,
    silence_max: Duration,
    closing: Closing,
    ended: bool,
    /// The place among running requests, taken up to the end of the answer; and what the key is charged for it.
    _held: Held,
}

impl WorkerBody {
    pub(crate) fn new(
        inner: Incoming,
        lease: Lease,
        is_events: bool,
        silence_max: Duration,
        closing: Closing,
        held: Held,
    ) -> Self {
        let mut body = Self {
            inner,
            lease: Some(lease),
            events: is_events.then(EventTail::default),
            silence: Box::pin(tokio::time::sleep(silence_max)),
            silence_max,
            closing,
            ended: false,
            _held: held,
        };
        body.give_back_if_done();
        body
    }

    /// A body of known length is not asked for its end: the connection is free with the last byte.
    fn give_back_if_done(&mut self) {
        if self.inner.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    /// Ends a stream of events with the reason, anything else with a broken connection.
    fn fail(&mut self, error: &ApiError) -> io::Result<Frame<Bytes>> {
        self.ended = true;
        self.lease = None;
        match self.events {
            Some(_) => Ok(Frame::data(sse::error_event(error).into())),
            None => Err(io::Error::other(error.message.clone())),
        }
    }

    fn interrupted(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.closing.as_mut().poll(context).is_ready() {
            let error = ApiError::unavailable("The node is shutting down.", 5);
            return Poll::Ready(Some(self.fail(&error)));
        }
        ready!(self.silence.as_mut().poll(context));
        let error = ApiError::bad_gateway("The worker has said nothing for too long.");
        Poll::Ready(Some(self.fail(&error)))
    }

    /// Bytes that can go on now; may be empty.
    fn pass(&mut self, bytes: Bytes) -> Bytes {
        self.give_back_if_done();
        let deadline = Instant::now() + self.silence_max;
        self.silence.as_mut().reset(deadline);
        match &mut self.events {
            Some(tail) => tail.push(bytes),
            None => bytes,
        }
    }

    /// The worker's answer is complete; what was held back goes on.
    fn end(&mut self) -> Option<io::Result<Frame<Bytes>>> {
        self.ended = true;
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
        let rest = self.events.as_mut().map(EventTail::finish)?;
        (!rest.is_empty()).then(|| Ok(Frame::data(rest)))
    }
}

impl Body for WorkerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(context) else {
                return this.interrupted(context);
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                None => return Poll::Ready(this.end()),
                Some(Ok(Ok(bytes))) => {
                    let bytes = this.pass(bytes);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                // Trailers: nobody here uses them.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => {
                    tracing::warn!(%error, "the worker broke off an answer");
                    let error =
                        ApiError::bad_gateway("The worker stopped in the middle of the answer.");
                    return Poll::Ready(Some(this.fail(&error)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.events.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self.events {
            Some(_) => SizeHint::default(),
            None => self.inner.size_hint(),
        }
    }
}

/// A body that writes the access log when it ends.
pub(crate) struct LoggedBody {
    inner: ReplyBody,
    access: Access,
    counts: Arc<Counts>,
    /// Dropped with the body.
    _kept: Option<Box<dyn Any + Send>>,
}

impl LoggedBody {
    pub(crate) fn new(inner: ReplyBody, access: Access, counts: Arc<Counts>) -> Self {
        Self {
            inner,
            access,
            counts,
            _kept: None,
        }
    }

    /// The same body, which keeps `what` until its end.
    pub(crate) fn keeping(self, what: impl Any + Send) -> Self {
        Self {
            _kept: Some(Box::new(what)),
            ..self
        }
    }
}

impl Body for LoggedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(context));
        match &frame {
            None => this.access.completed(),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                this.access.sent(bytes);
                this.counts.sent(bytes);
            }
            Some(Err(_)) => {}
        }
        // A body of known length is not asked for its end.
        if this.inner.is_end_stream() {
            this.access.completed();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
