//! What the operator looks at, on a loopback port of its own: `/metrics` and `/health`, without a key.
//!
//! Whoever can connect is on this machine; pages in his browser are kept out by their `Host` and `Origin`.
//!
//! Invariant: nothing here asks a model or changes anything, and nothing here is reached from outside.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gaia_openai::ApiError;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::body::{ReplyBody, full};
use crate::gate;
use crate::handler::{Shared, error_response};
use crate::routes::METRICS;
use crate::{Ingress, StartError};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 16;

/// How long a request's head may take, and a connection stay open without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The bound port of the operator.
pub struct Admin {
    listener: TcpListener,
    local: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("local_addr", &self.local)
            .finish_non_exhaustive()
    }
}

impl Ingress {
    /// Binds the operator's port on loopback; 0 takes any that is free.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn admin(&self, port: u16) -> Result<Admin, StartError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let failed = |source| StartError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Admin {
            listener,
            local,
            shared: self.shared(),
        })
    }
}

impl Admin {
    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until it is dropped.
    pub async fn serve(self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection to the admin port");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            let shared = Arc::clone(&self.shared);
            connections.spawn(async move {
                serve_connection(shared, stream).await;
                drop(place);
            });
        }
    }
}

async fn serve_connection(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let answered = answer(&shared, &request).await;
            Ok::<_, Infallible>(answered.unwrap_or_else(|error| error_response(&error)))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the admin port ended");
    }
}

async fn answer(
    shared: &Shared,
    request: &Request<Incoming>,
) -> Result<Response<ReplyBody>, ApiError> {
    let path = request.uri().path();
    if !gate::is_loopback_request(request) || request.headers().contains_key(ORIGIN) {
        let message = "The admin port answers to programs on this machine only.";
        return Err(ApiError::forbidden(message));
    }
    match (request.method(), path) {
        (&Method::GET | &Method::HEAD, METRICS) => Ok(shared.metrics().await),
        (&Method::GET | &Method::HEAD, "/health") => {
            let mut response = Response::new(full(r#"{"status":"ok"}"#));
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            Ok(response)
        }
        (_, METRICS | "/health") => Err(ApiError::method_not_allowed(
            request.method().as_str(),
            path,
        )),
        _ => Err(ApiError::not_found(request.method().as_str(), path)),
    }
}
