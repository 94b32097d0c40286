//! One request: admit, read, forward, answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gaia_openai::ApiError;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, AUTHORIZATION, CONNECTION,
    CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    RETRY_AFTER, TRANSFER_ENCODING, VARY,
};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::{Access, REQUEST_ID};
use crate::body::{LoggedBody, ReplyBody, WorkerBody, closing, full};
use crate::forward::{Pool, SendError};
use crate::gate::{self, Admitted};
use crate::places::{Place, Places};
use crate::{Config, Worker};

/// Seconds after which a caller may come back.
const RETRY_AFTER_SECONDS: u32 = 2;

/// How long the rest of a body that is too large is read, so that the caller reads the answer.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(2);

/// How often a worker that should be there is tried.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Headers that belong to one connection.
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("te"),
];

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) local: SocketAddr,
    pub(crate) worker: watch::Receiver<Option<Worker>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) places: Arc<Places>,
    pub(crate) closing: watch::Receiver<bool>,
}

impl Shared {
    /// Answers one request; there is always an answer.
    pub(crate) async fn handle(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Response<LoggedBody> {
        let mut access = Access::new(&request, peer);
        let origin = gate::listed_origin(&self.config, request.headers());
        let mut response = match self.answer(&access, request).await {
            Ok(response) => response,
            Err(error) => error_response(&error),
        };
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, access.id().clone());
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(REQUEST_ID),
            );
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        access.answered(response.status().as_u16());
        response.map(|inner| LoggedBody { inner, access })
    }

    async fn answer(
        &self,
        access: &Access,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, ApiError> {
        let (parts, body) = request.into_parts();
        let place = match self.admit(&parts) {
            Ok(place) => place,
            Err(error) => {
                self.refuse(&parts, body).await;
                return Err(error);
            }
        };
        if gate::is_preflight(&parts) {
            return Ok(preflight());
        }
        let body = self.read(body).await?;
        let wait_max = match place {
            None => Duration::ZERO,
            Some(_) => self.config.limits.worker_wait_max,
        };
        let (head, incoming, lease) = self.forward(access, &parts, body, wait_max).await?;
        let is_events = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let silence_max = self.config.limits.worker_idle_timeout;
        let closing = closing(self.closing.clone());
        let body = WorkerBody::new(incoming, lease, is_events, silence_max, closing, place);
        Ok(Response::from_parts(head, body.boxed()))
    }

    /// Lets a request in; with a place among those that run, where it needs one.
    fn admit(&self, parts: &Parts) -> Result<Option<Place>, ApiError> {
        let Admitted { takes_place } = gate::admit(&self.config, self.local.ip(), parts)?;
        match takes_place {
            true => self.places.take().map(Some),
            false => Ok(None),
        }
    }

    /// Reads the body of a request that was refused, because closing the connection with it unread would
    /// reset it under the answer. A caller that waits for leave to send has sent nothing.
    async fn refuse(&self, parts: &Parts, body: Incoming) {
        let announced = body.size_hint().lower();
        let small = announced <= self.config.limits.body_bytes_max as u64;
        if small && !parts.headers.contains_key(EXPECT) {
            discard(body).await;
        }
    }

    /// The whole body, within its limits of size and patience.
    async fn read(&self, body: Incoming) -> Result<Bytes, ApiError> {
        let max = self.config.limits.body_bytes_max;
        let announced = body.size_hint().lower();
        let mut body = body;
        let mut bytes = Vec::new();
        let mut too_large = announced > max as u64;
        while !too_large {
            let frame = tokio::time::timeout(self.config.limits.idle_timeout, body.frame()).await;
            let frame = frame.map_err(|_| ApiError::request_timeout())?;
            let Some(frame) = frame else {
                return Ok(bytes.into());
            };
            let broken = |_| ApiError::malformed_body("The request body broke off.");
            if let Ok(data) = frame.map_err(broken)?.into_data() {
                too_large = bytes.len() + data.len() > max;
                bytes.extend_from_slice(&data);
            }
        }
        drop(bytes);
        discard(body).await;
        Err(ApiError::body_too_large(max as u64))
    }

    /// Sends to the worker, waiting up to `wait_max` for one that is being restarted.
    async fn forward(
        &self,
        access: &Access,
        parts: &Parts,
        body: Bytes,
        wait_max: Duration,
    ) -> Result<
        (
            hyper::http::response::Parts,
            Incoming,
            crate::forward::Lease,
        ),
        ApiError,
    > {
        let deadline = Instant::now() + wait_max;
        let silence_max = self.config.limits.worker_idle_timeout;
        loop {
            let worker = self.worker(deadline).await?;
            let request = for_worker(&worker, access, parts, body.clone());
            let sent = self.pool.send(worker.address, request);
            let sent = tokio::time::timeout(silence_max, sent).await;
            match sent {
                Ok(Ok((response, lease))) => {
                    let (mut head, incoming) = response.into_parts();
                    strip(&mut head.headers);
                    return Ok((head, incoming, lease));
                }
                Ok(Err(SendError::Connect(_))) if Instant::now() < deadline => {
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Ok(Err(SendError::Connect(_))) => return Err(restarting()),
                Ok(Err(error @ SendError::Send(_))) => {
                    tracing::warn!(error = ?error, "the worker gave no answer");
                    let message = "The worker stopped while it worked on this request.";
                    return Err(ApiError::bad_gateway(message));
                }
                Err(_) => {
                    let message = "The worker has said nothing for too long.";
                    return Err(ApiError::bad_gateway(message));
                }
            }
        }
    }

    async fn worker(&self, deadline: Instant) -> Result<Worker, ApiError> {
        let mut watched = self.worker.clone();
        let there = watched.wait_for(Option::is_some);
        let worker = match tokio::time::timeout_at(deadline, there).await {
            Ok(Ok(worker)) => worker.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        worker.ok_or_else(restarting)
    }
}

fn restarting() -> ApiError {
    ApiError::unavailable("The node is starting its worker.", RETRY_AFTER_SECONDS)
}

/// Reads and forgets, for a short while.
async fn discard(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, rest).await;
}

/// The request as the worker gets it: its own key and host, nothing that belongs to the caller's
/// connection, and not the caller's key.
fn for_worker(
    worker: &Worker,
    access: &Access,
    parts: &Parts,
    body: Bytes,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = access.method().clone();
    let path = parts
        .uri
        .path_and_query()
        .map_or(access.path(), |path| path.as_str());
    *request.uri_mut() = path.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.clone_from(&parts.headers);
    strip(headers);
    for name in [CONTENT_LENGTH, EXPECT, ORIGIN] {
        headers.remove(name);
    }
    let host = HeaderValue::try_from(worker.address.to_string());
    headers.insert(HOST, host.expect("an address is fine in a header"));
    headers.insert(REQUEST_ID, access.id().clone());
    match HeaderValue::try_from(format!("Bearer {}", worker.key.reveal())) {
        Ok(mut key) => {
            key.set_sensitive(true);
            headers.insert(AUTHORIZATION, key);
        }
        // Then the worker will refuse.
        Err(_) => {
            headers.remove(AUTHORIZATION);
        }
    }
    request
}

/// Removes what belongs to one connection, also by the words of `Connection` itself.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn preflight() -> Response<ReplyBody> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-request-id",
        ),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn error_response(error: &ApiError) -> Response<ReplyBody> {
    let mut response = Response::new(full(error.to_json()));
    *response.status_mut() =
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = error.retry_after_seconds {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}
