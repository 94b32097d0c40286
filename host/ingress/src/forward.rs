//! Connections to the worker: pooled, on loopback, with acknowledgements that never wait.
//!
//! The worker cannot switch Nagle's algorithm off. Its small writes go out only when the one before
//! was acknowledged, and Linux delays that by up to 40 ms unless told otherwise, after every read.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Idle connections that are kept.
const IDLE_MAX: usize = 64;

/// How long a connection may idle: shorter than the worker's own patience, so that a request is
/// never sent into a connection that is being closed.
const IDLE_AGE_MAX: Duration = Duration::from_secs(3);

/// How long a connection on loopback may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

type Sender = SendRequest<Full<Bytes>>;

/// Why a request got no answer from the worker.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It was not sent: the worker is not there.
    #[error("failed to connect to the worker")]
    Connect(#[source] io::Error),
    /// It was sent, or may have been.
    #[error("the worker did not answer")]
    Send(#[source] hyper::Error),
}

/// Idle connections to the worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    address: SocketAddr,
    since: Instant,
}

/// A connection in use. Dropped, it is closed, and the worker notices.
#[derive(Debug)]
pub(crate) struct Lease {
    sender: Sender,
    address: SocketAddr,
    pool: Arc<Pool>,
}

impl Lease {
    /// Puts the connection back for the next request.
    pub(crate) fn give_back(self) {
        let mut idle = self
            .pool
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !self.sender.is_closed() {
            idle.push(Idle {
                sender: self.sender,
                address: self.address,
                since: Instant::now(),
            });
        }
    }
}

impl Pool {
    /// Sends a request to the worker at `address` and waits for the head of its answer.
    ///
    /// # Errors
    /// [`SendError::Connect`] if nothing was sent; only then is it safe to try again.
    pub(crate) async fn send(
        self: &Arc<Self>,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Lease), SendError> {
        let mut request = request;
        loop {
            let (mut sender, fresh) = match self.take(address).await {
                Some(sender) => (sender, false),
                None => (connect(address).await.map_err(SendError::Connect)?, true),
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let pool = Arc::clone(self);
                    let lease = Lease {
                        sender,
                        address,
                        pool,
                    };
                    return Ok((response, lease));
                }
                Err(mut error) => match error.take_message() {
                    // The connection had been closed before: nothing was sent.
                    Some(unsent) if !fresh => request = unsent,
                    _ => return Err(SendError::Send(error.into_error())),
                },
            }
        }
    }

    /// An idle connection that is still open; stale ones are dropped.
    async fn take(&self, address: SocketAddr) -> Option<Sender> {
        loop {
            let mut sender = self.pop(address)?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn pop(&self, address: SocketAddr) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| idle.address == address && idle.since.elapsed() < IDLE_AGE_MAX);
        idle.pop().map(|idle| idle.sender)
    }
}

async fn connect(address: SocketAddr) -> io::Result<Sender> {
    let stream = open(address).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the worker ended");
        }
    });
    Ok(sender)
}

async fn open(address: SocketAddr) -> io::Result<QuickAck> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(QuickAck(stream))
}

/// A connection that acknowledges at once. The kernel forgets the wish, so it is renewed at each read.
struct QuickAck(TcpStream);

impl AsyncRead for QuickAck {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = &mut self.get_mut().0;
        let read = ready!(Pin::new(&mut *stream).poll_read(context, buffer));
        acknowledge_at_once(stream);
        Poll::Ready(read)
    }
}

#[cfg(target_os = "linux")]
fn acknowledge_at_once(stream: &TcpStream) {
    // Slower without, never wrong.
    let _ = stream.set_quickack(true);
}

#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_: &TcpStream) {}

impl AsyncWrite for QuickAck {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Nagle on the worker's side and delayed acknowledgements on ours would make each small piece of an answer
    /// wait 40 ms for the one before. A test that measures them would measure the machine too: this asks the
    /// kernel for what it was told.
    #[tokio::test]
    async fn small_pieces_of_the_worker_are_acknowledged_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = open(listener.local_addr().unwrap()).await.unwrap();
        let (mut worker, _) = listener.accept().await.unwrap();
        assert!(stream.0.nodelay().unwrap());
        for piece in *b"abc" {
            // What the kernel falls back to by itself once a connection goes back and forth.
            stream.0.set_quickack(false).unwrap();
            worker.write_all(&[piece]).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), piece);
            assert!(stream.0.quickack().unwrap());
        }
    }
}
