//! One client's connection: TLS where it is offered, HTTP/1.1 or HTTP/2.
//!
//! A connection in HTTP/1.1 may be upgraded: nodes open their tunnels so.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::shared::Shared;

/// The name of HTTP/2 in a TLS handshake.
const HTTP_2: &[u8] = b"h2";

/// Streams that a client may have open at a time.
const STREAMS_MAX: u32 = 256;

/// Streams taken back by the client that wait to be noticed; past it the connection ends.
const RESETS_MAX: usize = 20;

/// How often a silent client in HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What is kept of one answer for a client that reads slowly, in bytes.
const SEND_BYTES_MAX: usize = 64 << 10;

/// Smallest buffer that hyper works with, in bytes.
const BUFFER_BYTES_MIN: usize = 8192;

/// Serves a connection until it is closed, or idle while `draining`.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    draining: watch::Receiver<bool>,
) {
    // Tokens are small: without this each would wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return over_http1(shared, stream, draining).await;
    };
    let handshake = tls.accept(stream);
    match tokio::time::timeout(shared.config.limits.head_time_max, handshake).await {
        Ok(Ok(stream)) => match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => over_http2(shared, stream, draining).await,
            _ => over_http1(shared, stream, draining).await,
        },
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn over_http1<S>(shared: Arc<Shared>, stream: S, mut draining: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.config.limits.clone();
    let service = service_fn(move |request| Arc::clone(&shared).handle(request));
    // Room for a head that is too long by so much, so that its sender is told.
    let buffer = (limits.head_bytes_max * 2).max(BUFFER_BYTES_MIN);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time_max)
        .max_buf_size(buffer)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            _ = draining.wait_for(|draining| *draining), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn over_http2<S>(shared: Arc<Shared>, stream: S, mut draining: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let head_bytes_max = shared.config.limits.head_bytes_max * 2;
    let service = service_fn(move |request| Arc::clone(&shared).handle(request));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            _ = draining.wait_for(|draining| *draining), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
