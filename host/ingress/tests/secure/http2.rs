//! What holds for a request over HTTP/1.1 holds for each stream of HTTP/2.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gaia_ingress::Config;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use crate::frames::{HEADERS, Raw, get};
use crate::node::{KEY, Node, WORKER_KEY, config, soon};
use crate::support::header;

type Sent = BoxBody<Bytes, Infallible>;

/// A client on one connection.
#[derive(Clone)]
struct Client {
    sender: SendRequest<Sent>,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

async fn connect(node: &Node) -> (Client, JoinHandle<hyper::Result<()>>) {
    let stream = TokioIo::new(node.shake(&["h2"]).await);
    let (sender, connection) = handshake(TokioExecutor::new(), stream).await.unwrap();
    (Client { sender }, tokio::spawn(connection))
}

/// A request with the key, to this machine.
fn request(path: &str) -> hyper::http::request::Builder {
    Request::post(format!("https://localhost{path}"))
        .header("authorization", format!("Bearer {KEY}"))
}

fn body(text: impl Into<Bytes>) -> Sent {
    Full::new(text.into()).boxed()
}

impl Client {
    async fn send(&self, request: Request<Sent>) -> Response<Incoming> {
        let mut sender = self.sender.clone();
        sender.ready().await.unwrap();
        soon(sender.send_request(request)).await.unwrap()
    }

    async fn ask(&self, request: Request<Sent>) -> Reply {
        let (head, body) = self.send(request).await.into_parts();
        let body = soon(body.collect()).await.unwrap().to_bytes();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(request(path).method("GET").body(body("")).unwrap())
            .await
    }

    /// Asks for something that waits for the worker, in the background.
    fn begin(&self, path: &str) -> JoinHandle<Reply> {
        let (client, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move { client.get(&path).await })
    }
}

fn code(reply: &Reply) -> String {
    let start = reply.body.split_once("\"code\":\"").map(|(_, rest)| rest);
    let code = start.and_then(|rest| rest.split('"').next());
    code.unwrap_or_default().to_owned()
}

async fn begin(config: Config) -> (Node, Client) {
    let node = Node::start(config).await;
    let (client, _) = connect(&node).await;
    (node, client)
}

#[tokio::test]
async fn the_worker_gets_its_own_key_and_the_same_request() {
    let mut config = config();
    config.origins = vec!["https://app.example".to_owned()];
    let (node, client) = begin(config).await;
    let request = request("/v1/echo?a=b")
        .header("x-request-id", "mine-1")
        .header("origin", "https://app.example")
        .header("te", "trailers");
    let reply = client.ask(request.body(body("hello")).unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["x-request-id"], "mine-1");
    let allowed = &reply.headers["access-control-allow-origin"];
    assert_eq!(allowed, "https://app.example");
    let (head, body) = reply.body.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "hello");
    assert!(head.starts_with("POST /v1/echo?a=b HTTP/1.1"), "{head}");
    let key = format!("Bearer {WORKER_KEY}");
    assert_eq!(header(head, "authorization"), Some(&*key));
    let host = node.upstream.address.to_string();
    assert_eq!(header(head, "host"), Some(&*host));
    assert_eq!(header(head, "x-request-id"), Some("mine-1"));
    assert_eq!(header(head, "content-length"), Some("5"));
    for gone in ["origin", "te", "transfer-encoding"] {
        assert_eq!(header(head, gone), None, "{gone}");
    }
    assert!(!reply.body.contains(KEY));
    let own = client.get("/v1/echo").await;
    assert!(
        own.headers["x-request-id"]
            .to_str()
            .unwrap()
            .starts_with("req-")
    );
}

#[tokio::test]
async fn wrong_keys_and_foreign_authorities_stay_outside() {
    let mut config = config();
    config.hosts = vec!["node.example".to_owned()];
    let (node, client) = begin(config).await;
    let ask = async |uri: &str, key: &str| {
        let request = Request::get(uri).header("authorization", format!("Bearer {key}"));
        client.ask(request.body(body("")).unwrap()).await
    };
    for (uri, key, status, expected) in [
        (
            "https://localhost/v1/models",
            "wrong",
            401,
            "invalid_api_key",
        ),
        ("https://evil.example/v1/models", KEY, 403, "forbidden"),
        (
            "https://localhost.evil.example/v1/models",
            KEY,
            403,
            "forbidden",
        ),
    ] {
        let reply = ask(uri, key).await;
        assert_eq!((reply.status, &*code(&reply)), (status, expected), "{uri}");
        assert!(reply.headers.contains_key("x-request-id"));
    }
    // The authority counts, whatever a Host beside it says.
    let both = request("/v1/models").uri("https://evil.example/v1/models");
    let both = both.header("host", "localhost").body(body("")).unwrap();
    assert_eq!(client.ask(both).await.status, 403);
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), 0);
    for uri in ["https://node.example/", "https://127.0.0.1/"] {
        assert_eq!(ask(uri, KEY).await.status, 200, "{uri}");
    }
}

#[tokio::test]
async fn heads_over_the_limit_are_431_and_never_reach_the_worker() {
    let mut config = config();
    config.limits.head_bytes_max = 1000;
    let (node, client) = begin(config).await;
    let ask = async |bytes: usize| {
        let request = request("/v1/echo").header("x", "a".repeat(bytes));
        client.ask(request.body(body("")).unwrap()).await
    };
    assert_eq!(ask(500).await.status, 200);
    let before = node.upstream.connections.load(Ordering::Relaxed);
    let over = ask(1000).await;
    assert_eq!(over.status, 431);
    assert!(over.body.contains("\"error\""), "{}", over.body);
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), before);
    // Far over, nothing of it is read, not even for an answer that says more.
    let far_over = request("/v1/echo").header("x", "a".repeat(5000));
    let far_over = client.send(far_over.body(body("")).unwrap()).await;
    assert_eq!(far_over.status(), 431);
    assert_eq!(ask(500).await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn bodies_over_the_limit_are_413_announced_or_not() {
    let (node, client) = begin(config()).await;
    let ask = async |request: Request<Sent>| client.ask(request).await;
    let fits = request("/v1/echo").body(body("x".repeat(1000))).unwrap();
    assert_eq!(ask(fits).await.status, 200);
    let announced = request("/v1/echo").body(body("x".repeat(1001))).unwrap();
    let reply = ask(announced).await;
    assert_eq!((reply.status, &*code(&reply)), (413, "request_too_large"));
    let (mut sender, streamed) = Channel::<Bytes, Infallible>::new(4);
    let streamed = request("/v1/echo").body(streamed.boxed()).unwrap();
    let reply = tokio::spawn({
        let client = client.clone();
        async move { client.ask(streamed).await }
    });
    for _ in 0..2 {
        sender.send_data("x".repeat(600).into()).await.unwrap();
    }
    drop(sender);
    assert_eq!(reply.await.unwrap().status, 413);
    // No more than what fits arrived there.
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_nobody_counts_brings_no_large_body() {
    let mut config = config();
    config.limits.body_bytes_max = 1 << 20;
    let (_node, client) = begin(config).await;
    let ask = async |path: &str, bytes: usize| {
        let request = request(path).method("GET").body(body("x".repeat(bytes)));
        client.ask(request.unwrap()).await.status
    };
    assert_eq!(ask("/health", 8 << 10).await, 200);
    assert_eq!(ask("/health", (8 << 10) + 1).await, 413);
    assert_eq!(ask("/v1/models", (8 << 10) + 1).await, 200);
}

#[tokio::test]
async fn a_body_that_stops_is_408_and_the_others_go_on() {
    let mut config = config();
    config.limits.idle_timeout = Duration::from_millis(100);
    let (node, client) = begin(config).await;
    let waiting = client.begin("/v1/wait");
    soon(node.upstream.arrived.notified()).await;
    let (mut sender, stopped) = Channel::<Bytes, Infallible>::new(4);
    sender.send_data("half".into()).await.unwrap();
    let stopped = request("/v1/echo").body(stopped.boxed()).unwrap();
    let reply = client.ask(stopped).await;
    assert_eq!(reply.status, 408);
    node.upstream.go.notify_one();
    assert_eq!(waiting.await.unwrap().body, "done");
}

#[tokio::test]
async fn places_are_counted_by_streams_and_not_by_connections() {
    let (node, client) = begin(config()).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(client.begin("/v1/wait"));
        soon(node.upstream.arrived.notified()).await;
    }
    let (other, _) = connect(&node).await;
    for client in [&client, &other] {
        let refused = client.get("/v1/echo").await;
        assert_eq!(refused.status, 429, "{}", refused.body);
        assert!(refused.headers.contains_key("retry-after"));
    }
    for one in waiting {
        node.upstream.go.notify_one();
        assert_eq!(one.await.unwrap().body, "done");
    }
    assert_eq!(client.get("/v1/echo").await.status, 200);
}

#[tokio::test]
async fn a_refusal_is_whole_although_the_body_was_never_wanted() {
    let (_node, client) = begin(config()).await;
    for _ in 0..20 {
        let refused =
            Request::post("https://localhost/v1/echo").header("authorization", "Bearer wrong");
        let refused = refused.body(body("x".repeat(900))).unwrap();
        let reply = client.ask(refused).await;
        assert_eq!((reply.status, &*code(&reply)), (401, "invalid_api_key"));
        let large = request("/v1/echo").body(body("x".repeat(500_000))).unwrap();
        assert_eq!(client.ask(large).await.status, 413);
    }
}

#[tokio::test]
async fn events_come_as_they_are_sent() {
    let (node, client) = begin(config()).await;
    let events = request("/v1/events").method("GET").body(body("")).unwrap();
    let mut answer = client.send(events).await.into_body();
    let mut next = async || {
        let frame = soon(answer.frame()).await.unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    };
    assert_eq!(next().await, "data: {\"n\":1}\n\n");
    node.upstream.go.notify_one();
    assert_eq!(next().await, "data: [DONE]\n\n");
}

#[tokio::test]
async fn a_dead_workers_stream_ends_with_an_error_event() {
    let (_node, client) = begin(config()).await;
    let reply = client.get("/v1/die").await;
    assert_eq!(reply.status, 200);
    let (first, rest) = reply.body.split_once("\n\n").unwrap();
    assert_eq!(first, "data: {\"n\":1}");
    assert!(rest.contains("\"error\""), "{rest}");
}

#[tokio::test]
async fn a_stream_taken_back_frees_the_worker_and_leaves_the_others() {
    let (node, client) = begin(config()).await;
    let waiting = client.begin("/v1/wait");
    soon(node.upstream.arrived.notified()).await;
    let events = request("/v1/events").method("GET").body(body("")).unwrap();
    let mut answer = client.send(events).await.into_body();
    soon(answer.frame()).await.unwrap().unwrap();
    // Dropped in the middle, the client resets the stream.
    drop(answer);
    soon(node.upstream.hung_up.notified()).await;
    node.upstream.go.notify_one();
    assert_eq!(waiting.await.unwrap().body, "done");
    assert_eq!(client.get("/v1/echo").await.status, 200);
}

#[tokio::test]
async fn a_connection_that_breaks_off_frees_the_worker() {
    let node = Node::start(config()).await;
    let mut raw = Raw::connect(&node).await;
    raw.send(get(1, "/v1/events")).await;
    raw.until(HEADERS).await;
    drop(raw);
    soon(node.upstream.hung_up.notified()).await;
}

#[tokio::test]
async fn shutting_down_lets_running_streams_finish() {
    let mut node = Node::start(config()).await;
    let (client, connection) = connect(&node).await;
    let (_idle, idle_connection) = connect(&node).await;
    let waiting = client.begin("/v1/wait");
    soon(node.upstream.arrived.notified()).await;
    node.shutdown.take();
    // An idle connection ends at once, before the running one may.
    let _either_way = soon(idle_connection).await.unwrap();
    node.upstream.go.notify_one();
    assert_eq!(waiting.await.unwrap().body, "done");
    let _either_way = soon(connection).await.unwrap();
    soon(&mut node.served).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_outlives_the_node_says_so() {
    let mut config = config();
    config.limits.drain_timeout = Duration::from_millis(100);
    let mut node = Node::start(config).await;
    let (client, _) = connect(&node).await;
    let events = client.begin("/v1/events");
    soon(node.upstream.arrived.notified()).await;
    node.shutdown.take();
    let reply = events.await.unwrap();
    assert!(reply.body.contains("shutting down"), "{}", reply.body);
    soon(&mut node.served).await.unwrap();
}
