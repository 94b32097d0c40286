//! The gateway's end: requests into a tunnel.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use crate::Body;
use crate::limits::{
    CONNECTION_WINDOW_BYTES, HEAD_BYTES_MAX, HEADS_WAITING_MAX, PING_INTERVAL, PING_TIMEOUT,
    RESETS_MAX, SEND_BYTES_MAX, STREAM_WINDOW_BYTES,
};

/// A multiplexed connection to a node. Clones are the same one; it ends with the last of them, once what runs in it
/// is over.
#[derive(Clone, Debug)]
pub struct Channel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sender: SendRequest<Body>,
    heads: Semaphore,
    closed: watch::Receiver<bool>,
    task: AbortHandle,
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The tunnel is closed. Nothing was sent: another node may be asked.
    #[error("the tunnel to the node is closed")]
    Closed,
    /// Nothing was sent either.
    #[error("{HEADS_WAITING_MAX} requests wait for this node to begin answering; no more are sent")]
    Full,
    /// It was sent, or may have been; no answer has begun.
    #[error("the tunnel broke before the node answered")]
    Broken(#[source] hyper::Error),
}

impl SendError {
    /// Whether the node has surely not seen the request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Closed | Self::Full)
    }
}

impl Channel {
    /// Speaks HTTP/2 over `io` as the client.
    ///
    /// # Errors
    /// When that cannot be begun.
    pub async fn over<T>(io: T) -> Result<Self, io::Error>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_send_buf_size(SEND_BYTES_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_concurrent_reset_streams(RESETS_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(io)
            .await
            .map_err(io::Error::other)?;
        let (ended, closed) = watch::channel(false);
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a tunnel ended");
            }
            // Dropped without this when the task is aborted, which its readers take for the same.
            ended.send_replace(true);
        });
        Ok(Self(Arc::new(Inner {
            sender,
            heads: Semaphore::new(HEADS_WAITING_MAX),
            closed,
            task: task.abort_handle(),
        })))
    }

    /// Sends a request and waits for the head of its answer. Dropped before, or the answer's body dropped later, the
    /// node sees the request taken back.
    ///
    /// # Errors
    /// When there is no answer; [`SendError::is_unsent`] says whether asking elsewhere asks twice.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        let _place = self.0.heads.try_acquire().map_err(|_| SendError::Full)?;
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        let sent = self.0.sender.clone().try_send_request(request).await;
        sent.map_err(|mut error| match error.take_message() {
            Some(_) => SendError::Closed,
            None => SendError::Broken(error.into_error()),
        })
    }

    /// Waits until the connection is no more, and all streams in it.
    pub async fn closed(&self) {
        let mut closed = self.0.closed.clone();
        // An error is a connection that was cut off.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Whether the connection is no more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.0.closed.borrow() || self.0.task.is_finished() || self.0.sender.is_closed()
    }

    /// Cuts the connection off, and all streams in it.
    pub fn close(&self) {
        self.0.task.abort();
    }
}
