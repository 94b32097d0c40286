//! The back port: what the worker asks its host for, since it can do little by itself.
//!
//! One HTTP/1 listener on loopback, on any port that is free, with a key that is made at each start and told
//! to the worker alone; for a worker that somebody else keeps, on the same port with the same key. Whoever has no key is turned away before a byte of a body is read.
//!
//! Invariant: the worker asks and the host judges: what is reached, how often and how much of it does not
//! depend on the worker being well.

mod library;
mod records;
mod tools;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gaia_ingress::ApiKey;
use gaia_records::Records;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{Instrument as _, debug, info_span, warn};

pub use self::library::KeptLibrary;
use self::records::KeptRecords;
use self::tools::Tools;
use super::state::{Seat, Service};
use crate::toolbox::{LiveTools, TRACEPARENT};

/// Connections at a time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's head may take, and its body.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the worker cannot ask for anything.
#[derive(Debug, thiserror::Error)]
pub enum OpenBackError {
    /// No port on loopback.
    #[error("failed to listen for the worker on loopback{}", port_hint(*port))]
    Listen {
        /// The port that it has to be; 0: any.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn port_hint(port: u16) -> String {
    match port {
        0 => String::new(),
        port => format!(" at port {port}, the one behind worker_url's"),
    }
}

/// The listening back port. Closed when dropped.
#[derive(Debug)]
pub struct Back {
    service: Service,
    serving: JoinHandle<()>,
}

/// What is behind it.
#[derive(Debug)]
pub struct Routes {
    tools: Tools,
    records: KeptRecords,
    library: KeptLibrary,
}

/// A request with the right key, read whole.
#[derive(Debug)]
struct Asked {
    method: Method,
    path: String,
    /// What stands after the path's `?`.
    query: String,
    content_type: String,
    body: Bytes,
}

type Reply = Response<Full<Bytes>>;

impl Back {
    /// Listens at `seat`, and answers from now on.
    pub async fn open(routes: Routes, seat: Seat) -> Result<Self, OpenBackError> {
        let Seat { port, key } = seat;
        let failed = |source| OpenBackError::Listen { port, source };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let door = Arc::new(Door {
            key: ApiKey::new(key.as_str()),
            routes,
        });
        Ok(Self {
            service: Service {
                url: format!("http://{address}"),
                key,
            },
            serving: tokio::spawn(serve(listener, door)),
        })
    }

    /// Where it is, and its key: for the worker alone.
    pub fn service(&self) -> &Service {
        &self.service
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Routes {
    /// The routes of a node with these tools, which keeps records and files there.
    pub fn new(tools: LiveTools, records: Arc<Records>, library: KeptLibrary) -> Self {
        Self {
            tools: Tools::new(tools),
            records: KeptRecords::new(records),
            library,
        }
    }

    /// The longest body that is read for `path`.
    fn body_bytes_max(&self, path: &str) -> usize {
        match first_segment(path) {
            "call" => tools::CALL_BYTES_MAX,
            "prompt" => tools::PROMPT_BYTES_MAX,
            "records" => self.records.body_bytes_max(),
            "library" => library::BODY_BYTES_MAX,
            _ => 0,
        }
    }

    async fn answer(&self, asked: Asked) -> Reply {
        match first_segment(&asked.path) {
            "call" | "prompt" | "tools" => self.tools.answer(&asked).await,
            "records" => self.records.answer(asked).await,
            "library" => library::answer(self.library.clone(), asked).await,
            _ => refused(StatusCode::NOT_FOUND, "there is nothing here"),
        }
    }
}

fn first_segment(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// Who may come in, and what is behind.
#[derive(Debug)]
struct Door {
    key: ApiKey,
    routes: Routes,
}

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Reply {
        if !self.key.matches(shown_key(request.headers())) {
            return refused(StatusCode::UNAUTHORIZED, "the key is wrong");
        }
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let content_type = head.headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|kind| kind.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let max = self.routes.body_bytes_max(&path);
        let body = match timeout(READ_TIMEOUT, Limited::new(body, max).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return refused(StatusCode::PAYLOAD_TOO_LARGE, &error.to_string()),
            Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "the body takes too long"),
        };
        let method = head.method;
        let asked = Asked {
            method,
            path,
            query,
            content_type,
            body,
        };
        // So that what is written down on the way can be found by the request's id.
        let request = text(&head.headers, "x-request-id").map(str::to_owned);
        let span = info_span!("asked", request_id = request.unwrap_or_default());
        let trace = text(&head.headers, "traceparent").map(str::to_owned);
        let answer = self.routes.answer(asked).instrument(span);
        TRACEPARENT.scope(trace, answer).await
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn shown_key(headers: &HeaderMap) -> &[u8] {
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    shown
        .and_then(|value| value.strip_prefix(b"Bearer "))
        .unwrap_or_default()
}

async fn serve(listener: TcpListener, door: Arc<Door>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped with this task, and what it was about to do with it.
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "failed to accept a connection of the worker");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let door = Arc::clone(&door);
        connections.spawn(async move {
            serve_connection(door, stream).await;
            drop(place);
        });
    }
}

/// A connection that the worker closes ends what was done for it.
async fn serve_connection(door: Arc<Door>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "a connection of the worker ended");
    }
}

fn reply(value: &Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(value.to_string())));
    let kind = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}

fn refused(status: StatusCode, why: &str) -> Reply {
    let mut reply = reply(&json!({"error": why}));
    *reply.status_mut() = status;
    reply
}

#[cfg(test)]
mod tests;
