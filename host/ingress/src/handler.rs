//! One request: admit, read, forward, answer.

mod mcp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gaia_openai::ApiError;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, RETRY_AFTER, TRANSFER_ENCODING, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;

use crate::access::{Access, REQUEST_ID};
use crate::body::{Held, LoggedBody, ReplyBody, WorkerBody, closing, full};
use crate::charge::{Accounts, METER};
use crate::counts::Counts;
use crate::forward::{Lease, Pool, SendError};
use crate::gate::{self, API_KEY, Admitted};
use crate::keys::KeyId;
use crate::places::{Place, Places};
use crate::processes::Processes;
use crate::refused::Refused;
use crate::routes::{Cost, METRICS};
use crate::traces::TRACEPARENT;
use crate::{Config, Worker};

use self::mcp::MCP;

/// Seconds after which a caller may come back.
const RETRY_AFTER_SECONDS: u32 = 2;

/// What of the head of an answer a listed page may read.
const EXPOSED: &str = "x-request-id, retry-after";

/// How long the rest of a body that is too large is read, so that the caller reads the answer.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(2);

/// The longest body of a request that takes no place, in bytes: what needs no key has nothing to say, and
/// however many come at a time, nobody counts them.
const BODY_BYTES_UNCOUNTED_MAX: usize = 8 << 10;

/// How often a worker that should be there is tried.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Header by which the worker learns whose request it is: the id of a named key.
const KEY_ID: &str = "x-gaia-key-id";

/// Header by which the worker learns that the request is traced, and as what.
const TRACE: &str = "x-gaia-trace";

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
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) refused: Refused,
    pub(crate) counts: Arc<Counts>,
    /// Connections that have a place, and how many may.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) places: Arc<Places>,
    pub(crate) processes: Arc<Processes>,
    pub(crate) closing: watch::Receiver<bool>,
}

impl Shared {
    /// Answers one request; there is always an answer.
    pub(crate) async fn handle(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> Response<LoggedBody> {
        let mut access = Access::new(&request, peer, self.config.traces.as_ref());
        let origin = gate::listed_origin(&self.config, request.headers());
        let mut response = match self.answer(&mut access, request).await {
            Ok(response) => response,
            Err(error) => {
                self.refused.count(&error);
                error_response(&error)
            }
        };
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, access.id().clone());
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let status = response.status().as_u16();
        access.answered(status);
        self.counts.answered(access.route(), status);
        let counts = Arc::clone(&self.counts);
        response.map(|inner| LoggedBody::new(inner, access, counts))
    }

    async fn answer(
        &self,
        access: &mut Access,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, ApiError> {
        let (parts, body) = request.into_parts();
        let (admitted, place) = match self.admit(access, &parts) {
            Ok(admitted) => admitted,
            Err(error) => {
                self.refuse(&parts, body).await;
                return Err(error);
            }
        };
        if gate::is_preflight(&parts) {
            return Ok(preflight(&parts.headers));
        }
        if parts.uri.path() == METRICS && reads(&parts.method) {
            return Ok(self.metrics().await);
        }
        let limits = &self.config.limits;
        let (bytes_max, wait_max) = match place {
            None => (
                limits.body_bytes_max.min(BODY_BYTES_UNCOUNTED_MAX),
                Duration::ZERO,
            ),
            Some(_) => (limits.body_bytes_max, limits.worker_wait_max),
        };
        let body = self.read(body, bytes_max).await?;
        let asked = Asked {
            access,
            parts: &parts,
            key: admitted.key.as_ref(),
            body,
        };
        match parts.uri.path() {
            MCP => Ok(self.mcp(asked, place, wait_max).await),
            _ => self.work(asked, admitted.cost, place, wait_max).await,
        }
    }

    /// Has the worker answer, at the cost of the key.
    async fn work(
        &self,
        asked: Asked<'_>,
        cost: Cost,
        place: Option<Place>,
        wait_max: Duration,
    ) -> Result<Response<ReplyBody>, ApiError> {
        let mut charge = self.accounts.charge(asked.key, cost, &asked.body)?;
        if let Some(charge) = &mut charge {
            let (told, hears) = oneshot::channel();
            charge.tell(told, asked.access.traced().is_some());
            asked.access.hears(hears);
        }
        let mut held = Held { place, charge };
        let forwarded = self.forward(&asked, &mut held, wait_max).await?;
        Ok(self.pass_on(forwarded, held))
    }

    /// The worker's answer on its way; `held` until it has come to its end.
    fn pass_on(&self, forwarded: Forwarded, held: Held) -> Response<ReplyBody> {
        let (head, incoming, lease) = forwarded;
        let is_events = head
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let silence_max = self.config.limits.worker_idle_timeout;
        let closing = closing(self.closing.clone());
        let body = WorkerBody::new(incoming, lease, is_events, silence_max, closing, held);
        Response::from_parts(head, body.boxed())
    }

    /// Lets a request in; with a place among those that run, where it needs one.
    fn admit(
        &self,
        access: &mut Access,
        parts: &Parts,
    ) -> Result<(Admitted, Option<Place>), ApiError> {
        let keys = &self.accounts.keys;
        let admitted = gate::admit(&self.config, keys, self.local.ip(), parts)?;
        let key = admitted.key.clone();
        access.asked_by(key.map(|key| {
            let name = keys.name_of(&key).unwrap_or_default();
            (key, name)
        }));
        let place = match admitted.takes_place {
            true => Some(self.places.take()?),
            false => None,
        };
        Ok((admitted, place))
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
    async fn read(&self, body: Incoming, max: usize) -> Result<Bytes, ApiError> {
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
        asked: &Asked<'_>,
        held: &mut Held,
        wait_max: Duration,
    ) -> Result<Forwarded, ApiError> {
        let deadline = Instant::now() + wait_max;
        let silence_max = self.config.limits.worker_idle_timeout;
        loop {
            let worker = self.worker(deadline).await?;
            let meter = held.charge.as_mut().map(|charge| charge.sent_to(&worker));
            let request = asked.for_worker(&worker, meter);
            asked.access.passed_on();
            let sent = self.pool.send(worker.address, request);
            let sent = tokio::time::timeout(silence_max, sent).await;
            match sent {
                Ok(Ok((response, lease))) => {
                    let (mut head, incoming) = response.into_parts();
                    if let Some(charge) = &mut held.charge {
                        charge.answered(&head.headers);
                    }
                    strip(&mut head.headers);
                    strip_ours(&mut head.headers);
                    return Ok((head, incoming, lease));
                }
                Ok(Err(SendError::Connect(_))) => {
                    if let Some(charge) = &mut held.charge {
                        charge.not_sent();
                    }
                    if Instant::now() >= deadline {
                        return Err(restarting());
                    }
                    tokio::time::sleep(CONNECT_PAUSE).await;
                }
                Ok(Err(error @ SendError::Send(_))) => {
                    let request_id = asked.access.id().to_str().unwrap_or_default();
                    tracing::warn!(request_id, error = ?error, "the worker gave no answer");
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
    ApiError::unavailable("The node is waiting for its worker.", RETRY_AFTER_SECONDS)
}

/// Reads and forgets, for a short while.
async fn discard(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, rest).await;
}

/// The head of the worker's answer, its body, and the connection that it comes by.
type Forwarded = (hyper::http::response::Parts, Incoming, Lease);

/// A request that was let in.
struct Asked<'a> {
    access: &'a Access,
    parts: &'a Parts,
    key: Option<&'a KeyId>,
    body: Bytes,
}

impl Asked<'_> {
    /// The request as the worker gets it: its own key and host, nothing that belongs to the caller's
    /// connection, not the caller's key, and no word of ours that we did not say.
    fn for_worker(&self, worker: &Worker, meter: Option<HeaderValue>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.access.method().clone();
        let path = self.parts.uri.path_and_query();
        let path = path.map_or(self.access.path(), |path| path.as_str());
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&self.parts.headers);
        strip(headers);
        strip_ours(headers);
        for name in [CONTENT_LENGTH, EXPECT, ORIGIN, API_KEY] {
            headers.remove(name);
        }
        headers.insert(REQUEST_ID, self.access.id().clone());
        if let Some(meter) = meter {
            headers.insert(METER, meter);
        }
        if let Some(traced) = self.access.traced() {
            let trace = HeaderValue::try_from(traced.own.to_string());
            let trace = trace.expect("hexadecimal digits are fine in a header");
            headers.insert(TRACEPARENT, trace.clone());
            headers.insert(TRACE, trace);
        }
        if let Some(key) = self.key {
            let id = HeaderValue::from_str(key.as_str());
            headers.insert(KEY_ID, id.expect("hexadecimal digits are fine in a header"));
        }
        address_to(worker, headers);
        request
    }
}

/// Names the worker and shows its key.
pub(crate) fn address_to(worker: &Worker, headers: &mut HeaderMap) {
    let host = HeaderValue::try_from(worker.address.to_string());
    headers.insert(HOST, host.expect("an address is fine in a header"));
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
}

/// Removes what only ingress and worker say to each other.
fn strip_ours(headers: &mut HeaderMap) {
    let ours = |name: &&HeaderName| name.as_str().starts_with("x-gaia-");
    let ours: Vec<HeaderName> = headers.keys().filter(ours).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

fn reads(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
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

/// What a listed page may ask with: whatever it wants to, as libraries send headers of their own. Only a listed
/// origin is told that it may, and no header opens more than a program without a browser has anyway.
fn preflight(asked: &HeaderMap) -> Response<ReplyBody> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    response
}

pub(crate) fn error_response(error: &ApiError) -> Response<ReplyBody> {
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
