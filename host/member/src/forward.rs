//! A gateway's request, on to the node and its answer back, byte by byte.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alloy_primitives::B256;
use gaia_metering::{Kind, Meter};
use gaia_tunnel::Body;
use gaia_tunnel::messages::REQUEST_HEADER;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::claims::{Claims, Served};
use crate::load::{Load, Running};
use crate::node::NodeNow;

/// How long a connection on loopback may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Headers of the gateway's request that the node gets. Who asks, and with what key, is not for it.
const HEADERS_IN: [HeaderName; 4] = [
    ACCEPT,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    HeaderName::from_static("traceparent"),
];

/// Headers of the node's answer that mean only its own connection.
const HEADERS_OWN: [HeaderName; 4] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Passes a request on to `node`.
pub(crate) async fn forward(
    node: Option<NodeNow>,
    load: &Arc<Load>,
    claims: &Arc<Claims>,
    request: Request<Incoming>,
) -> Response<Body> {
    let Some(node) = node else {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node is starting: try another one",
        );
    };
    let size = request.body().size_hint();
    let running = load.begin(size.upper().unwrap_or(size.lower()));
    let watched = Watched::of(&request, claims);
    match send(&node, request).await {
        Ok((response, connection)) => answered(response, connection, running, watched),
        Err(error) => {
            tracing::warn!(%error, "the node gave no answer to a gateway's request");
            refusal(StatusCode::BAD_GATEWAY, "the node does not answer")
        }
    }
}

/// An error as the API has it.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let body = json!({"error": {"message": message, "type": "node_error"}});
    let mut response = answer_json(&body);
    *response.status_mut() = status;
    response
}

/// A JSON answer.
pub(crate) fn answer_json(value: &impl serde::Serialize) -> Response<Body> {
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let body = Full::new(Bytes::from(bytes)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

async fn send(
    node: &NodeNow,
    request: Request<Incoming>,
) -> Result<(Response<Incoming>, Connection), io::Error> {
    let stream = connect(node.address).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(io::Error::other)?;
    let connection = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the node ended");
        }
    });
    let connection = Connection(connection.abort_handle());
    let response = sender.send_request(addressed(node, request)?).await;
    let response = response.map_err(io::Error::other)?;
    Ok((response, connection))
}

/// A connection to the node. Dropped, it ends, and the node stops working on what was asked.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The request as the node's own client would send it.
fn addressed(node: &NodeNow, request: Request<Incoming>) -> io::Result<Request<Incoming>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = HeaderMap::new();
    let host = HeaderValue::from_str(&node.address.to_string());
    headers.insert(HOST, host.map_err(io::Error::other)?);
    if let Some(bearer) = node.key.bearer() {
        let mut bearer = HeaderValue::from_str(&bearer).map_err(io::Error::other)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    for name in HEADERS_IN {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = path.parse().map_err(io::Error::other)?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn answered(
    response: Response<Incoming>,
    connection: Connection,
    running: Running,
    watched: Option<Watched>,
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    for name in HEADERS_OWN {
        head.headers.remove(name);
    }
    let is_answer = head.status == StatusCode::OK;
    let streamed = is_event_stream(&head.headers);
    let body = Passing {
        body,
        running,
        meter: watched
            .filter(|_| is_answer)
            .map(|watched| watched.meter(streamed)),
        _connection: connection,
    };
    Response::from_parts(head, body.boxed())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// A request whose count is to be kept.
struct Watched {
    request: B256,
    kind: Kind,
    claims: Arc<Claims>,
}

impl Watched {
    fn of(request: &Request<Incoming>, claims: &Arc<Claims>) -> Option<Self> {
        let id = request.headers().get(REQUEST_HEADER)?.to_str().ok()?;
        Some(Self {
            request: id.parse().ok()?,
            kind: Kind::of_path(request.uri().path())?,
            claims: Arc::clone(claims),
        })
    }

    fn meter(self, streamed: bool) -> Metering {
        Metering {
            meter: Some(Meter::new(self.kind, streamed)),
            watched: self,
        }
    }
}

/// Counts an answer, and keeps what the node said of it, however it ends.
struct Metering {
    meter: Option<Meter>,
    watched: Watched,
}

impl Drop for Metering {
    fn drop(&mut self) {
        let claimed = self.meter.take().and_then(|meter| meter.finish().claimed);
        let served = claimed.map_or(Served::Uncounted, Served::Counted);
        self.watched.claims.add(self.watched.request, served);
    }
}

/// The node's answer on its way.
struct Passing {
    body: Incoming,
    running: Running,
    meter: Option<Metering>,
    _connection: Connection,
}

impl hyper::body::Body for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                self.running.begun();
                let meter = self.meter.as_mut().and_then(|kept| kept.meter.as_mut());
                if let (Some(meter), Some(bytes)) = (meter, frame.data_ref()) {
                    meter.eat(bytes);
                }
            }
            // The count is there before the gateway has seen the end, so before its receipt comes.
            Some(Err(_)) | None => drop(self.meter.take()),
        }
        if self.body.is_end_stream() {
            drop(self.meter.take());
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
