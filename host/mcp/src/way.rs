//! How messages get to a server and back: by the egress.
//!
//! Invariant: everything goes to the address that the owner gave. Of what the protocol wants to send
//! along, nothing takes the place of the owner's headers but the protocol's own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use gaia_egress::{Ask, Egress, HeaderText, Method, Opened, Refusal};
use gaia_outbound::Target;
use http::{HeaderName, HeaderValue};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;

use crate::Limits;
use crate::error::said;
use crate::events::Events;

/// What of a refusal's body is read, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;
/// After a stream that broke: whoever reads it may come back at once, and a server could keep that up.
const BROKEN_PAUSE: Duration = Duration::from_secs(1);

const ACCEPT: &str = "accept";
const SESSION: &str = "mcp-session-id";
const LAST_EVENT: &str = "last-event-id";
const JSON: &str = "application/json";
const EVENT_STREAM: &str = "text/event-stream";

type Failure = StreamableHttpError<WayError>;

/// Why a message did not get through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WayError {
    /// The egress says no, or nobody answers.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server says no.
    #[error("the server answered with status {status}{}", after_colon(said))]
    Status {
        /// Its status.
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
    /// Not a message.
    #[error("it is no message of the protocol")]
    Message(#[source] serde_json::Error),
}

fn after_colon(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(": {text}"),
    }
}

/// The way to one server.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) egress: Arc<Egress>,
    pub(crate) target: Target,
    pub(crate) headers: Arc<[(String, HeaderText)]>,
    pub(crate) limits: Limits,
    /// How long a server may take to begin its reply, which may be when its tool is done.
    pub(crate) head_time_max: Duration,
}

impl Way {
    /// Sends `message` to `target`, which is of the same origin.
    pub(crate) async fn post(
        &self,
        target: &Target,
        message: &ClientJsonRpcMessage,
        headers: &[(&str, &str)],
    ) -> Result<Opened, WayError> {
        let body = serde_json::to_string(message).map_err(WayError::Message)?;
        let mut ask = self.ask(Method::POST, target, headers);
        ask.json(body);
        self.open(ask).await
    }

    /// Opens the stream of what the server says by itself.
    pub(crate) async fn listen(&self, headers: &[(&str, &str)]) -> Result<Opened, WayError> {
        let mut ask = self.ask(Method::GET, &self.target, headers);
        ask.header(ACCEPT, HeaderText::plain(EVENT_STREAM));
        self.open(ask).await
    }

    fn ask(&self, method: Method, target: &Target, headers: &[(&str, &str)]) -> Ask {
        let mut ask = Ask::new(method, target.clone());
        for (name, value) in self.headers.iter() {
            ask.header(name, value.clone());
        }
        ask.header(
            ACCEPT,
            HeaderText::plain("application/json, text/event-stream"),
        );
        for (name, value) in headers {
            ask.header(name, HeaderText::plain(value));
        }
        ask
    }

    async fn open(&self, ask: Ask) -> Result<Opened, WayError> {
        let limits = self.limits.of_stream(self.head_time_max);
        Ok(self.egress.open(ask, limits).await?)
    }

    /// A message that came whole.
    async fn message(&self, opened: &mut Opened) -> Result<ServerJsonRpcMessage, WayError> {
        let body = opened.rest(self.limits.message_bytes_max).await?;
        serde_json::from_slice(&body).map_err(WayError::Message)
    }
}

/// The events of a reply. After one that breaks off comes a pause, and its end.
pub(crate) fn events(
    opened: Opened,
    bytes_max: usize,
) -> BoxStream<'static, Result<Sse, SseError>> {
    let reading = Reading {
        opened,
        events: Events::new(bytes_max),
        ended: false,
    };
    let next = |mut reading: Reading| async move { Some((reading.next().await?, reading)) };
    stream::unfold(reading, next).boxed()
}

struct Reading {
    opened: Opened,
    events: Events,
    ended: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Sse, SseError>> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let read = match self.opened.chunk().await {
                Ok(None) => return None,
                Ok(Some(bytes)) => self.events.push(&bytes).map_err(|error| error.into()),
                Err(refusal) => Err(Box::<dyn std::error::Error + Send + Sync>::from(refusal)),
            };
            if let Err(error) = read {
                self.ended = true;
                tokio::time::sleep(BROKEN_PAUSE).await;
                return Some(Err(SseError::Body(error)));
            }
        }
    }
}

/// What a reply says it is, as far as that matters here.
pub(crate) fn is_event_stream(opened: &Opened) -> bool {
    has_type(opened, EVENT_STREAM)
}

fn has_type(opened: &Opened, wanted: &str) -> bool {
    let named = opened.header("content-type").unwrap_or_default();
    let named = named.split(';').next().unwrap_or_default().trim();
    named.eq_ignore_ascii_case(wanted)
}

/// Whether a status says yes.
pub(crate) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// What a server that says no says.
pub(crate) async fn refusal(opened: &mut Opened) -> WayError {
    let said = words(opened).await;
    WayError::Status {
        status: opened.status(),
        said: crate::error::said(&said),
    }
}

async fn words(opened: &mut Opened) -> String {
    let body = opened.rest(REFUSAL_BYTES_MAX).await.unwrap_or_default();
    String::from_utf8_lossy(&body).into_owned()
}

impl StreamableHttpClient for Way {
    type Error = WayError;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let headers = protocol_headers(&custom_headers, session_id.as_deref(), None);
        let posted = self.post(&self.target, &message, &headers).await;
        let mut opened = posted.map_err(Failure::Client)?;
        let status = opened.status();
        if matches!(status, 202 | 204) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == 404 && session_id.is_some() {
            return Err(Failure::SessionExpired);
        }
        if !is_success(status) {
            return self
                .refused(&message, session_id.is_some(), &mut opened)
                .await;
        }
        let session = opened.header(SESSION);
        if is_event_stream(&opened) {
            let events = events(opened, self.limits.message_bytes_max);
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        let is_request = matches!(message, ClientJsonRpcMessage::Request(_));
        match is_request {
            // Some say something where nothing is to be said.
            false => Ok(StreamableHttpPostResponse::Accepted),
            true if has_type(&opened, JSON) => {
                let message = self.message(&mut opened).await.map_err(Failure::Client)?;
                Ok(StreamableHttpPostResponse::Json(message, session))
            }
            true => {
                let named = opened.header("content-type");
                Err(Failure::UnexpectedContentType(
                    named.map(|named| said(&named)),
                ))
            }
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let headers = protocol_headers(&custom_headers, Some(&session_id), None);
        let ask = self.ask(Method::DELETE, &self.target, &headers);
        let opened = self.open(ask).await.map_err(Failure::Client)?;
        match opened.status() {
            // It keeps its sessions until they are old.
            405 => Ok(()),
            status if is_success(status) => Ok(()),
            status => {
                let said = String::new();
                Err(Failure::Client(WayError::Status { status, said }))
            }
        }
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        let last = last_event_id.as_deref();
        let headers = protocol_headers(&custom_headers, session_id.as_deref(), last);
        let opened = self.listen(&headers).await.map_err(Failure::Client)?;
        match opened.status() {
            405 => Err(Failure::ServerDoesNotSupportSse),
            404 if session_id.is_some() => Err(Failure::SessionExpired),
            status if is_success(status) && is_event_stream(&opened) => {
                Ok(events(opened, self.limits.message_bytes_max))
            }
            status if is_success(status) => Err(Failure::ServerDoesNotSupportSse),
            _ => {
                let mut opened = opened;
                Err(Failure::Client(refusal(&mut opened).await))
            }
        }
    }
}

impl Way {
    /// What a refusal means: a server of the time before discovery says so in many ways, and is then
    /// spoken to as it was done then.
    async fn refused(
        &self,
        message: &ClientJsonRpcMessage,
        has_session: bool,
        opened: &mut Opened,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let status = opened.status();
        let words = words(opened).await;
        let parsed = serde_json::from_str::<ServerJsonRpcMessage>(&words);
        let request = match message {
            ClientJsonRpcMessage::Request(request) => Some(request),
            _ => None,
        };
        let discovers = request
            .filter(|request| matches!(request.request, ClientRequest::DiscoverRequest(_)))
            .filter(|_| !has_session && (400..500).contains(&status))
            .filter(|_| !matches!(status, 401 | 403));
        if let Some(request) = discovers {
            let error = match parsed {
                Ok(ServerJsonRpcMessage::Error(error)) => error.error,
                _ => ErrorData::invalid_request(Cow::from(format!("status {status}")), None),
            };
            let answer = ServerJsonRpcMessage::error(error, Some(request.id.clone()));
            return Ok(StreamableHttpPostResponse::Json(answer, None));
        }
        // An error of the protocol that came with a status of HTTP is the answer.
        if let (Some(request), Ok(ServerJsonRpcMessage::Error(error))) = (request, parsed)
            && !matches!(status, 401 | 403)
        {
            let answer = ServerJsonRpcMessage::error(error.error, Some(request.id.clone()));
            return Ok(StreamableHttpPostResponse::Json(answer, None));
        }
        let said = said(&words);
        Err(Failure::Client(WayError::Status { status, said }))
    }
}

fn protocol_headers<'a>(
    custom: &'a HashMap<HeaderName, HeaderValue>,
    session: Option<&'a str>,
    last_event: Option<&'a str>,
) -> Vec<(&'a str, &'a str)> {
    let custom = custom
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let session = session.map(|session| (SESSION, session));
    let last_event = last_event.map(|id| (LAST_EVENT, id));
    custom.chain(session).chain(last_event).collect()
}
