//! One HTTP/1 request to a loopback service, over a connection of its own.
//!
//! It exists for the vector store: bounded in time and in bytes, IPv4, no TLS, no redirects, no pool. A request
//! that is dropped closes its connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Response};

use crate::{TcpStream, spawn, timeout};

/// Why [`send_request`] has no response.
#[derive(Debug)]
pub enum RequestError {
    /// Nobody answered the connect.
    Connect(io::Error),
    /// The exchange broke off or was not HTTP.
    Exchange(hyper::Error),
    /// The body is longer than allowed, in bytes.
    TooLarge(usize),
    /// It took longer than allowed.
    TimedOut(Duration),
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(_) => f.write_str("could not connect"),
            Self::Exchange(_) => f.write_str("the exchange failed"),
            Self::TooLarge(max) => write!(f, "the response is longer than {max} bytes"),
            Self::TimedOut(limit) => write!(f, "no response within {} s", limit.as_secs_f32()),
        }
    }
}

impl std::error::Error for RequestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(source) => Some(source),
            Self::Exchange(source) => Some(source),
            Self::TooLarge(_) | Self::TimedOut(_) => None,
        }
    }
}

/// Sends `request` (with a relative URI and a `host` header) to `address` and reads the whole response, at most
/// `body_bytes_max` of body, within `time_max`.
///
/// # Errors
/// See [`RequestError`]; a status that is not a success is a response like any other.
pub async fn send_request(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
    time_max: Duration,
) -> Result<Response<Bytes>, RequestError> {
    timeout(time_max, exchange(address, request, body_bytes_max))
        .await
        .unwrap_or(Err(RequestError::TimedOut(time_max)))
}

async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    body_bytes_max: usize,
) -> Result<Response<Bytes>, RequestError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(RequestError::Connect)?;
    let (mut sender, connection) = http1::Builder::new()
        .writev(false)
        .handshake(stream)
        .await
        .map_err(RequestError::Exchange)?;
    spawn(async move {
        // What goes wrong here is reported by the sender below.
        let _reported = connection.await;
    });
    let response = sender
        .send_request(request)
        .await
        .map_err(RequestError::Exchange)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, body_bytes_max)
        .collect()
        .await
        .map_err(|error| broken_body(error, body_bytes_max))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

fn broken_body(error: Box<dyn std::error::Error + Send + Sync>, max: usize) -> RequestError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => RequestError::Exchange(*error),
        Err(error) => {
            debug_assert!(error.is::<LengthLimitError>());
            RequestError::TooLarge(max)
        }
    }
}
