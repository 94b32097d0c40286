//! A response body that is made while it is sent.
//!
//! The next bytes are made when the connection asks for them, so a client that does not read makes nothing pile up,
//! and one that goes away drops the state, and with it the answer being generated.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;

/// What a step of a stream brings.
pub(crate) enum Next<S> {
    /// These frames, and how to go on.
    More(VecDeque<Bytes>, S),
    /// These last frames.
    Last(VecDeque<Bytes>),
}

type Step<S> = Pin<Box<dyn Future<Output = Next<S>> + Send>>;

/// A body whose frames come from `step`, called with the state of the step before.
struct Stepped<S, F> {
    frames: VecDeque<Bytes>,
    state: Option<S>,
    running: Option<Step<S>>,
    step: F,
}

/// A response of server-sent events: `first` at once, then what `step` makes.
pub(crate) fn events<S, F, Fut>(first: Vec<u8>, state: S, mut step: F) -> Response
where
    S: Send + Unpin + 'static,
    F: FnMut(S) -> Fut + Send + Unpin + 'static,
    Fut: Future<Output = Next<S>> + Send + 'static,
{
    let body = Stepped {
        frames: VecDeque::from([Bytes::from(first)]),
        state: Some(state),
        running: None,
        step: move |state| -> Step<S> { Box::pin(step(state)) },
    };
    let mut response = Body::new(body).into_response();
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static(gaia_openai::sse::CONTENT_TYPE);
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl<S, F> hyper::body::Body for Stepped<S, F>
where
    S: Send + Unpin + 'static,
    F: FnMut(S) -> Step<S> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(frame))));
            }
            let this = &mut *self;
            if let Some(state) = this.state.take() {
                this.running = Some((this.step)(state));
            }
            let Some(running) = &mut this.running else {
                return Poll::Ready(None);
            };
            let next = std::task::ready!(running.as_mut().poll(cx));
            this.running = None;
            match next {
                Next::More(frames, state) => {
                    this.frames = frames;
                    this.state = Some(state);
                }
                Next::Last(frames) => this.frames = frames,
            }
        }
    }
}
