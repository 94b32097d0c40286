//! One client's connection in HTTP/2: many requests at a time, each under the limits of one.
//!
//! What bounds a request (places, sizes, patience with its body) is counted where requests are handled, so
//! it holds for each stream. Bounded here is what a connection of this version can do beside: open
//! streams and take them back, send endless heads, and be silent.
//!
//! Invariant: a connection without an open stream ends, whatever its client says on it.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::{GOODBYE_TIMEOUT, head_bytes_read_max};
use crate::handler::Shared;

/// Streams that a client may have open at a time; further ones are refused, to be asked for again.
const STREAMS_MAX: u32 = 64;

/// Streams taken back by the client that wait to be noticed; past it the connection ends.
const RESETS_MAX: usize = 20;

/// What a stream, and all of a connection, may have sent that nobody has read yet, in bytes.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;

/// What is kept of one answer for a client that reads slowly, in bytes.
const SEND_BYTES_MAX: usize = 64 << 10;

/// Serves a connection until it is closed, or idle for too long or while `draining`.
pub(super) async fn serve<S>(
    shared: Arc<Shared>,
    stream: S,
    peer: IpAddr,
    mut draining: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let idle_max = shared.config.limits.header_timeout;
    let builder = builder(&shared);
    let streams = Streams::default();
    let counted = streams.clone();
    let service = service_fn(move |request| {
        let (shared, open) = (Arc::clone(&shared), counted.open());
        Box::pin(async move {
            let response = shared.handle(peer, request).await;
            Ok::<_, Infallible>(response.map(|body| body.keeping(open)))
        })
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut closing = false;
    loop {
        let patience = if closing { GOODBYE_TIMEOUT } else { idle_max };
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            _ = draining.wait_for(|draining| *draining), if !closing => {}
            // A client that says goodbye itself is quicker than this.
            () = streams.none_for(patience) => if closing { return },
        }
        closing = true;
        connection.as_mut().graceful_shutdown();
    }
}

fn builder(shared: &Shared) -> http2::Builder<TokioExecutor> {
    let limits = &shared.config.limits;
    let head_bytes_max = u32::try_from(head_bytes_read_max(limits)).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_header_list_size(head_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_interval);
    builder
}

/// How many streams of a connection are open.
#[derive(Debug, Clone, Default)]
struct Streams(Arc<watch::Sender<usize>>);

impl Streams {
    fn open(&self) -> Open {
        self.0.send_modify(|open| *open += 1);
        Open(self.clone())
    }

    /// Ready once there has been no stream for so long.
    async fn none_for(&self, patience: Duration) {
        let mut open = self.0.subscribe();
        loop {
            // The sender is in `self`.
            let _ = open.wait_for(|open| *open == 0).await;
            // Also one that is over already starts the time anew.
            if tokio::time::timeout(patience, open.changed())
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

/// A stream, open until this is dropped.
#[derive(Debug)]
struct Open(Streams);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the real clock; in each race the earlier timer is looked at first, so that a slow machine changes nothing.
    #[tokio::test]
    async fn a_connection_is_idle_only_while_no_stream_is_open() {
        let patience = Duration::from_millis(200);
        let streams = Streams::default();
        let first = streams.open();
        let idle = streams.none_for(patience);
        let mut idle = pin!(idle);
        let within = |time| tokio::time::timeout(time, std::future::pending::<()>());
        tokio::select! {
            biased;
            _ = within(patience * 2) => {}
            () = &mut idle => panic!("a stream is open"),
        }
        drop(first);
        tokio::select! {
            biased;
            _ = within(patience / 2) => {}
            () = &mut idle => panic!("it was open a moment ago"),
        }
        drop(streams.open());
        tokio::select! {
            biased;
            _ = within(patience * 3 / 4) => {}
            () = &mut idle => panic!("another one was open a moment ago"),
        }
        idle.await;
    }
}
