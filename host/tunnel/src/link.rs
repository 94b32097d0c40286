//! The node's end: requests out of a tunnel.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::Body;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, HEAD_BYTES_MAX, PING_INTERVAL, PING_TIMEOUT, RESETS_MAX,
    SEND_BYTES_MAX, STREAM_WINDOW_BYTES, STREAMS_MAX,
};

/// An open tunnel on the node's side.
#[derive(Debug)]
pub struct Link(Upgraded);

/// How a tunnel ended.
#[derive(Debug)]
pub enum Ended {
    /// The gateway closed it.
    Closed,
    /// It broke.
    Broken(io::Error),
    /// This side was told to go, and what ran is over or out of time.
    Asked,
}

impl Link {
    /// Over a connection that was upgraded.
    #[must_use]
    pub fn over(upgraded: Upgraded) -> Self {
        Self(upgraded)
    }

    /// Answers the gateway's requests by `answer` until the tunnel ends. When `shutdown` is ready, no new ones are
    /// taken, and those that run have `drain` to finish.
    pub async fn serve<F, R>(
        self,
        answer: F,
        shutdown: impl Future<Output = ()>,
        drain: Duration,
    ) -> Ended
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let mut connection = pin!(builder().serve_connection(self.0, service));
        tokio::select! {
            ended = connection.as_mut() => return ended_by_peer(ended),
            () = shutdown => connection.as_mut().graceful_shutdown(),
        }
        // What is not over by then is broken off.
        let _ = tokio::time::timeout(drain, connection).await;
        Ended::Asked
    }
}

fn ended_by_peer(ended: Result<(), hyper::Error>) -> Ended {
    match ended {
        Ok(()) => Ended::Closed,
        Err(error) => Ended::Broken(io::Error::other(error)),
    }
}

fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
