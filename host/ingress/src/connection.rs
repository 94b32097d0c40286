//! One client's connection: TLS, the version of HTTP that the two agree on, and for HTTP/1.1 a word to
//! clients that are too slow.

mod http2;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaia_openai::ApiError;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::Limits;
use crate::handler::Shared;
use crate::tls::HTTP_2;

/// Smallest buffer hyper works with, in bytes.
const BUFFER_BYTES_MIN: usize = 8192;

/// How long saying goodbye to a connection may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a connection until it is closed, or idle while `draining`.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    draining: watch::Receiver<bool>,
) {
    // Tokens are small: without this each would wait for the acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let Some(tls) = tls else {
        return http(shared, stream, peer, draining).await;
    };
    let handshake = tls.accept(stream);
    match tokio::time::timeout(shared.config.limits.header_timeout, handshake).await {
        Ok(Ok(stream)) => match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => http2::serve(shared, stream, peer.ip(), draining).await,
            _ => http(shared, stream, peer, draining).await,
        },
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// How much of a head is read: room for one that is too large by so much, so that its sender gets an answer
/// with a reason.
fn head_bytes_read_max(limits: &Limits) -> usize {
    limits.head_bytes_max.saturating_mul(2)
}

async fn http<S>(
    shared: Arc<Shared>,
    stream: S,
    peer: SocketAddr,
    mut draining: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.config.limits.clone();
    let buffer_bytes_max = head_bytes_read_max(&limits);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            Ok::<_, std::convert::Infallible>(shared.handle(peer.ip(), request).await)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(buffer_bytes_max.max(BUFFER_BYTES_MIN))
        .serve_connection(TokioIo::new(stream), service);
    let mut closing = false;
    let ended = loop {
        tokio::select! {
            ended = std::future::poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            _ = draining.wait_for(|draining| *draining), if !closing => {
                closing = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let goodbye = async {
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended");
            // Only somebody who has begun to ask is told.
            if error.is_timeout() && !parts.read_buf.is_empty() {
                stream.write_all(&timeout_reply()).await?;
            }
        }
        stream.shutdown().await
    };
    // The client may be gone: then there is nobody to say goodbye to.
    let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
}

fn timeout_reply() -> Vec<u8> {
    let body = ApiError::request_timeout().to_json();
    let length = body.len();
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
