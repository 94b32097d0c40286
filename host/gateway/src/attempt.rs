//! One attempt of a request at one node: sent, and its answer passed on as it comes.
//!
//! What the client gets begins with the first thing that the model said: until then a node that fails can be replaced
//! by another, and the client never knows.

use std::time::Duration;

use gaia_balancer::{Failure, NodeId};
use gaia_metering::{Meter, Metered};
use gaia_openai::sse;
use gaia_tunnel::{Channel, SendError};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::Instant;

use crate::client::Client;
use crate::nodes::{Ticket, Word};
use crate::reply::{self, Reply};
use crate::request::Asked;
use crate::tail::Tail;

/// The most bytes that wait for the model's first word: passages stand before it.
pub(crate) const BEFORE_BYTES_MAX: usize = 1 << 20;

/// The longest error of a node's that is passed on, in bytes.
pub(crate) const ERROR_BYTES_MAX: usize = 64 << 10;

/// How an attempt ended.
pub(crate) enum Ended {
    /// All of the answer is here; its end waits to be paid.
    Answered(Served, Rest),
    /// The node says that the request itself is wrong.
    Refused(Response<Reply>),
    /// Nothing went out: another node may be asked.
    Failed(Failure),
    /// The balancer wants otherwise. Nothing went out.
    Called,
    /// Something went out, and it does not go on.
    Broken(Served, Failure),
    /// The client is gone.
    Gone(Option<Served>),
    /// The request's time is over.
    Late(Option<Served>),
}

/// What the client was served.
pub(crate) struct Served {
    pub metered: Metered,
    pub is_events: bool,
}

/// The end of an answer, and the head where that did not go out yet.
pub(crate) struct Rest {
    pub head: Option<Parts>,
    pub bytes: Bytes,
}

/// An answer on its way.
struct Answer {
    meter: Meter,
    tail: Tail,
    is_events: bool,
    /// Waits for the model's first word.
    before: Vec<u8>,
    /// The newest piece of what is no stream: it may be the last.
    newest: Bytes,
    head: Option<Parts>,
}

/// What an attempt needs.
pub(crate) struct Attempt<'a> {
    pub asked: &'a Asked,
    pub path: &'a str,
    pub id: &'a HeaderValue,
    pub node: NodeId,
    pub silence_max: Duration,
    /// When the request must be over.
    pub deadline: Instant,
    pub client: &'a mut Client,
    pub ticket: &'a mut Ticket,
    /// When the first byte was there.
    pub begun: &'a mut Option<std::time::Instant>,
}

impl Attempt<'_> {
    pub(crate) async fn run(mut self, channel: &Channel) -> Ended {
        let Some(request) = self.request() else {
            return Ended::Failed(Failure::Error);
        };
        let sent = tokio::select! {
            biased;
            ended = called(self.ticket, self.node) => return ended,
            () = self.client.gone() => return Ended::Gone(None),
            () = tokio::time::sleep_until(self.deadline) => return Ended::Late(None),
            sent = channel.send(request) => sent,
        };
        match sent {
            Ok(response) if response.status().is_success() => self.pass(response).await,
            Ok(response) => refused(response).await,
            Err(SendError::Full) => Ended::Failed(Failure::Busy),
            Err(error) => {
                tracing::info!(%error, "a node did not answer");
                Ended::Failed(Failure::Broken)
            }
        }
    }

    fn request(&self) -> Option<Request<gaia_tunnel::Body>> {
        let body = Full::new(self.asked.body.clone()).map_err(|never| match never {});
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://node{}", self.path))
            .header(CONTENT_TYPE, "application/json")
            .header(gaia_tunnel::messages::REQUEST_HEADER, self.id.clone());
        request.body(body.boxed()).ok()
    }

    async fn pass(&mut self, response: Response<Incoming>) -> Ended {
        let (head, mut body) = response.into_parts();
        let mut answer = Answer::new(self.asked, &head);
        let mut heard = Instant::now();
        let silence = tokio::time::sleep_until((heard + self.silence_max).min(self.deadline));
        tokio::pin!(silence);
        loop {
            let frame = tokio::select! {
                biased;
                ended = called(self.ticket, self.node) => return answer.called(ended),
                frame = body.frame() => frame,
                () = self.client.gone() => return Ended::Gone(answer.out()),
                () = &mut silence => {
                    // Moved only now: a timer that every piece moved would cost more than it.
                    let until = (heard + self.silence_max).min(self.deadline);
                    let now = Instant::now();
                    if now >= self.deadline {
                        return Ended::Late(answer.out());
                    }
                    if now >= until {
                        return answer.failed(Failure::Broken);
                    }
                    silence.as_mut().reset(until);
                    continue;
                }
            };
            match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
                None => return self.end(answer),
                Some(Err(error)) => {
                    tracing::info!(%error, "a node broke an answer off");
                    return answer.failed(Failure::Broken);
                }
                Some(Ok(Ok(piece))) => {
                    heard = Instant::now();
                    if let Err(ended) = self.take(&mut answer, piece).await {
                        return ended.of(answer);
                    }
                }
                // Trailers: nobody here uses them.
                Some(Ok(Err(_))) => {}
            }
        }
    }

    async fn take(&mut self, answer: &mut Answer, piece: Bytes) -> Result<(), Stop> {
        let piece = match answer.meter.pass(&piece) {
            std::borrow::Cow::Borrowed(_) => piece,
            std::borrow::Cow::Owned(shown) => shown.into(),
        };
        if answer.is_events {
            self.take_events(answer, piece).await
        } else {
            self.take_part(answer, piece).await
        }
    }

    async fn take_events(&mut self, answer: &mut Answer, piece: Bytes) -> Result<(), Stop> {
        let piece = answer.tail.push(piece);
        if answer.tail.is_beyond() {
            return Err(Stop::Failed(Failure::Error));
        }
        if answer.head.is_none() {
            return self.send(answer, piece).await;
        }
        answer.before.extend_from_slice(&piece);
        let has_begun = answer.meter.has_begun();
        if answer.meter.so_far().error.is_some() && !has_begun {
            return Err(Stop::Failed(Failure::Error));
        }
        if !has_begun && answer.before.len() <= BEFORE_BYTES_MAX {
            return Ok(());
        }
        let before = std::mem::take(&mut answer.before).into();
        self.send(answer, before).await
    }

    /// A part of a reply that is no stream: the last one waits, and which is the last shows at the end.
    async fn take_part(&mut self, answer: &mut Answer, piece: Bytes) -> Result<(), Stop> {
        if piece.is_empty() {
            return Ok(());
        }
        let before = std::mem::replace(&mut answer.newest, piece);
        match before.is_empty() {
            true => Ok(()),
            false => self.send(answer, before).await,
        }
    }

    async fn send(&mut self, answer: &mut Answer, piece: Bytes) -> Result<(), Stop> {
        if let Some(head) = answer.head.take() {
            self.ticket.first_byte(self.node);
            self.begun.get_or_insert_with(std::time::Instant::now);
            let begun = self.client.begin(head, answer.is_events);
            begun.map_err(|_| Stop::Gone)?;
        }
        self.client.send(piece).await.map_err(|_| Stop::Gone)
    }

    /// The node has ended its answer.
    fn end(&mut self, mut answer: Answer) -> Ended {
        let rest = answer.meter.rest();
        let passed = answer.tail.push(rest.into());
        answer.before.extend_from_slice(&passed);
        let mut bytes = std::mem::take(&mut answer.before);
        bytes.extend_from_slice(&answer.tail.take());
        let bytes = match bytes.is_empty() {
            true => std::mem::take(&mut answer.newest),
            false => bytes.into(),
        };
        let head = answer.head.take();
        let served = Served {
            is_events: answer.is_events,
            metered: answer.meter.finish(),
        };
        let is_told = served.is_events && served.metered.error.is_some();
        match (&head, served.metered.is_complete) {
            (_, true) => {}
            // The client reads for itself what went wrong.
            (None, false) if is_told => {}
            (None, false) => return Ended::Broken(served, Failure::Broken),
            (Some(_), false) => return Ended::Failed(Failure::Error),
        }
        self.begun.get_or_insert_with(std::time::Instant::now);
        Ended::Answered(served, Rest { head, bytes })
    }
}

/// Why the passing of an answer stops.
enum Stop {
    Failed(Failure),
    Gone,
}

impl Stop {
    fn of(self, answer: Answer) -> Ended {
        match self {
            Self::Failed(failure) => answer.failed(failure),
            Self::Gone => Ended::Gone(answer.out()),
        }
    }
}

impl Answer {
    fn new(asked: &Asked, head: &Parts) -> Self {
        let content_type = head.headers.get(CONTENT_TYPE);
        let is_events = content_type
            .is_some_and(|value| value.as_bytes().starts_with(sse::CONTENT_TYPE.as_bytes()));
        let meter = Meter::new(asked.kind, is_events);
        Self {
            meter: match asked.hides_usage {
                true => meter.hiding_usage(),
                false => meter,
            },
            tail: Tail::new(asked.kind),
            is_events,
            before: Vec::new(),
            newest: Bytes::new(),
            head: Some(client_head(content_type)),
        }
    }

    /// What went out so far; `None`: nothing.
    fn out(self) -> Option<Served> {
        self.head.is_none().then(|| Served {
            is_events: self.is_events,
            metered: self.meter.finish(),
        })
    }

    fn failed(self, failure: Failure) -> Ended {
        match self.out() {
            Some(served) => Ended::Broken(served, failure),
            None => Ended::Failed(failure),
        }
    }

    /// The balancer has said something in the middle of the answer.
    fn called(self, ended: Ended) -> Ended {
        match self.out() {
            Some(served) => Ended::Broken(served, Failure::Broken),
            None => ended,
        }
    }
}

/// What a client is told in the head of an answer: nothing of the node's but the type.
fn client_head(content_type: Option<&HeaderValue>) -> Parts {
    let json = HeaderValue::from_static("application/json");
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.cloned().unwrap_or(json));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.into_parts().0
}

/// Ready when the balancer wants this attempt to end.
async fn called(ticket: &mut Ticket, node: NodeId) -> Ended {
    loop {
        match ticket.word().await {
            Word::Cancel(other) | Word::Break(other) if other == node => return Ended::Called,
            // Of an attempt that is over.
            Word::Cancel(_) | Word::Break(_) => {}
            word => {
                ticket.keep(word);
                return Ended::Called;
            }
        }
    }
}

/// What a node's no means: the client's fault, its own, or that it has no room.
async fn refused(response: Response<Incoming>) -> Ended {
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::TOO_MANY_REQUESTS => return Ended::Failed(Failure::Busy),
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNPROCESSABLE_ENTITY => {}
        // That it does not know the gateway, the path or the model is no user's fault.
        status => {
            tracing::info!(%status, "a node answered with an error");
            return Ended::Failed(Failure::Error);
        }
    }
    match Limited::new(body, ERROR_BYTES_MAX).collect().await {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            let content_type = head.headers.get(CONTENT_TYPE).cloned().unwrap_or(json);
            Ended::Refused(reply::typed(head.status, content_type, body.to_bytes()))
        }
        Err(_) => Ended::Failed(Failure::Error),
    }
}
