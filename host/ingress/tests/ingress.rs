//! The ingress over real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

mod support;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gaia_ingress::{ApiKey, Config, Ingress, Limits, StartError, Worker};
use gaia_openai::{RETRY_SECONDS_MAX, RETRY_SECONDS_MIN};
use support::{Reply, Upstream, header, rest};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

const KEY: &str = "the caller's key";
const WORKER_KEY: &str = "the worker's key";

/// An ingress, its worker, and the hand on its switch.
struct Node {
    address: SocketAddr,
    upstream: Upstream,
    worker: watch::Sender<Option<Worker>>,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

fn config() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        api_keys: vec![ApiKey::new(KEY)],
        origins: vec!["https://app.example".to_owned()],
        limits: Limits {
            body_bytes_max: 1000,
            requests_running_max: 2,
            header_timeout: Duration::from_millis(300),
            idle_timeout: Duration::from_millis(300),
            worker_wait_max: Duration::from_millis(500),
            drain_timeout: Duration::from_millis(500),
            ..Limits::default()
        },
        ..Config::default()
    }
}

impl Node {
    async fn start(config: Config) -> Self {
        let upstream = Upstream::start().await;
        let (worker, watched) = watch::channel(Some(worker_at(upstream.address)));
        let ingress = Ingress::bind(config, watched).await.unwrap();
        let address = ingress.local_addr();
        let (shutdown, told) = oneshot::channel::<()>();
        let served = tokio::spawn(ingress.serve(async {
            let _ = told.await;
        }));
        Self {
            address,
            upstream,
            worker,
            shutdown: Some(shutdown),
            served,
        }
    }

    /// Sends a request that has the key, and ends the connection after the answer.
    async fn send(&self, method: &str, path: &str, body: &str) -> TcpStream {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.raw(&request).await
    }

    async fn raw(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn get(&self, path: &str) -> Reply {
        rest(self.send("GET", path, "").await).await
    }
}

fn worker_at(address: SocketAddr) -> Worker {
    Worker {
        address,
        key: ApiKey::new(WORKER_KEY),
    }
}

/// Reads until `wanted` has come.
async fn until(stream: &mut (impl AsyncRead + Unpin), wanted: &str) -> String {
    let mut text = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&text).contains(wanted) {
            assert_ne!(
                stream.read_buf(&mut text).await.unwrap(),
                0,
                "{wanted} never came"
            );
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(5), read).await;
    read.expect("text in time");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn the_worker_gets_its_own_key_and_not_the_callers() {
    let node = Node::start(config()).await;
    let request = format!(
        "POST /v1/echo?a=b HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nx-request-id: mine-1\r\norigin: https://app.example\r\nconnection: close, x-hop\r\nx-hop: 1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    );
    let reply = rest(node.raw(&request).await).await;
    assert_eq!(reply.status, 200);
    assert_eq!(header(&reply.head, "x-request-id"), Some("mine-1"));
    assert_eq!(
        header(&reply.head, "access-control-allow-origin"),
        Some("https://app.example")
    );
    let (head, body) = reply.body.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "hello");
    assert!(head.starts_with("POST /v1/echo?a=b HTTP/1.1"), "{head}");
    assert_eq!(
        header(head, "authorization"),
        Some(&*format!("Bearer {WORKER_KEY}"))
    );
    assert_eq!(
        header(head, "host"),
        Some(&*node.upstream.address.to_string())
    );
    assert_eq!(header(head, "x-request-id"), Some("mine-1"));
    assert_eq!(header(head, "content-length"), Some("5"));
    for gone in ["origin", "x-hop", "transfer-encoding"] {
        assert_eq!(header(head, gone), None, "{gone}");
    }
    assert!(!reply.body.contains(KEY));
}

#[tokio::test]
async fn wrong_keys_and_foreign_hosts_stay_outside() {
    let mut config = config();
    config.hosts = vec!["node.example".to_owned()];
    let node = Node::start(config).await;
    for (head, status, code) in [
        ("host: localhost", 401, "invalid_api_key"),
        (
            "host: localhost\r\nauthorization: Bearer wrong key here",
            401,
            "invalid_api_key",
        ),
        ("host: evil.example", 403, "forbidden"),
        (
            "host: localhost\r\norigin: https://evil.example",
            403,
            "forbidden",
        ),
    ] {
        let request = format!("GET /v1/models HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n");
        let reply = rest(node.raw(&request).await).await;
        assert_eq!(reply.status, status, "{head}");
        assert!(reply.body.contains(code), "{}", reply.body);
        assert!(reply.body.contains("\"param\":null"), "{}", reply.body);
    }
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), 0);
    let page = "GET / HTTP/1.1\r\nhost: node.example\r\nconnection: close\r\n\r\n";
    assert_eq!(rest(node.raw(page).await).await.status, 200);
}

#[tokio::test]
async fn a_listed_page_may_ask_first() {
    let node = Node::start(config()).await;
    let ask = "OPTIONS /v1/x HTTP/1.1\r\nhost: localhost\r\norigin: https://app.example\r\naccess-control-request-method: POST\r\nconnection: close\r\n\r\n";
    let reply = rest(node.raw(ask).await).await;
    assert_eq!(reply.status, 204);
    assert_eq!(
        header(&reply.head, "access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(
        header(&reply.head, "access-control-allow-headers")
            .unwrap()
            .contains("authorization")
    );
    // Libraries send headers of their own, such as OpenAI's in a browser.
    let ask = ask.replace(
        "POST\r\n",
        "POST\r\naccess-control-request-headers: authorization,x-stainless-os\r\n",
    );
    let reply = rest(node.raw(&ask).await).await;
    assert_eq!(
        header(&reply.head, "access-control-allow-headers"),
        Some("authorization,x-stainless-os")
    );
    let foreign = ask.replace("app.example", "evil.example");
    let reply = rest(node.raw(&foreign).await).await;
    assert_eq!(reply.status, 403);
    assert_eq!(header(&reply.head, "access-control-allow-origin"), None);
}

#[tokio::test]
async fn events_come_as_they_are_sent() {
    let node = Node::start(config()).await;
    let mut stream = node.send("POST", "/v1/events", "{}").await;
    let first = until(&mut stream, "{\"n\":1}\n\n").await;
    assert!(!first.contains("DONE"));
    node.upstream.go.notify_one();
    until(&mut stream, "data: [DONE]\n\n").await;
}

#[tokio::test]
async fn a_dead_workers_stream_ends_with_an_error_event() {
    let node = Node::start(config()).await;
    let reply = rest(node.send("POST", "/v1/die", "{}").await).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("data: {\"n\":1}\n\n"), "{}", reply.body);
    assert!(
        reply.body.contains("data: {\"error\":{\"message\":"),
        "{}",
        reply.body
    );
    assert!(!reply.body.contains("{\"n\":data"), "{}", reply.body);
    assert!(reply.body.ends_with("0\r\n\r\n"), "{}", reply.body);
}

#[tokio::test]
async fn a_worker_that_hangs_up_is_a_bad_gateway() {
    let node = Node::start(config()).await;
    let reply = node.get("/v1/refuse").await;
    assert_eq!(reply.status, 502);
    assert!(reply.body.contains("bad_gateway"), "{}", reply.body);
}

#[tokio::test]
async fn a_caller_who_leaves_frees_the_worker() {
    let node = Node::start(config()).await;
    let mut stream = node.send("POST", "/v1/events", "{}").await;
    until(&mut stream, "{\"n\":1}").await;
    drop(stream);
    let hung_up = node.upstream.hung_up.notified();
    tokio::time::timeout(Duration::from_secs(2), hung_up)
        .await
        .unwrap();
}

#[tokio::test]
async fn connections_to_the_worker_are_kept() {
    let node = Node::start(config()).await;
    for _ in 0..5 {
        assert_eq!(node.get("/v1/echo").await.status, 200);
    }
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn bodies_over_the_limit_are_413() {
    let node = Node::start(config()).await;
    assert_eq!(
        rest(node.send("POST", "/v1/echo", &"x".repeat(1000)).await)
            .await
            .status,
        200
    );
    let reply = rest(node.send("POST", "/v1/echo", &"x".repeat(1001)).await).await;
    assert_eq!(reply.status, 413);
    assert!(reply.body.contains("1000 bytes"), "{}", reply.body);
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let request = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(rest(node.raw(&request).await).await.status, 413);
}

#[tokio::test]
async fn heads_over_the_limit_are_431_and_never_reach_the_worker() {
    let node = Node::start(config()).await;
    let with = |bytes| {
        let value = "a".repeat(bytes);
        format!(
            "GET /v1/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: {value}\r\n\r\n"
        )
    };
    let reply = rest(node.raw(&with(40_000)).await).await;
    assert_eq!(reply.status, 431);
    assert!(reply.body.contains("headers_too_large"), "{}", reply.body);
    // So much may be cut off before it has come.
    let mut answer = Vec::new();
    let _reset = node
        .raw(&with(100_000))
        .await
        .read_to_end(&mut answer)
        .await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn more_requests_than_may_run_are_429() {
    let node = Node::start(config()).await;
    let first = node.send("GET", "/v1/wait", "").await;
    node.upstream.arrived.notified().await;
    let second = node.send("GET", "/v1/wait", "").await;
    node.upstream.arrived.notified().await;
    let third = node.get("/v1/wait").await;
    assert_eq!(third.status, 429);
    let seconds: u32 = header(&third.head, "retry-after").unwrap().parse().unwrap();
    assert!((RETRY_SECONDS_MIN..=RETRY_SECONDS_MAX).contains(&seconds));
    for path in ["/health", "/metrics"] {
        assert_ne!(node.get(path).await.status, 429, "{path}");
    }
    node.upstream.go.notify_one();
    node.upstream.arrived.notified().await;
    node.upstream.go.notify_one();
    assert_eq!(rest(first).await.status + rest(second).await.status, 400);
    assert_eq!(node.get("/v1/echo").await.status, 200);
}

/// One who is still sending reads the refusal, and can use the connection again.
#[tokio::test]
async fn a_refusal_is_not_lost_to_a_reset() {
    let mut config = config();
    config.limits.requests_running_max = 0;
    config.limits.body_bytes_max = 1 << 20;
    let node = Node::start(config).await;
    let half = "x".repeat(300_000);
    let length = 2 * half.len();
    let head = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = node.raw(&head).await;
    for _ in 0..3 {
        stream.write_all(half.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let answer = until(&mut stream, "rate_limit_exceeded").await;
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn slow_clients_are_told() {
    let node = Node::start(config()).await;
    let head = rest(node.raw("GET /v1/echo HTTP/1.1\r\nhost: loc").await).await;
    assert_eq!(head.status, 408);
    let request = format!(
        "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\ncontent-length: 10\r\n\r\nhalf"
    );
    let body = rest(node.raw(&request).await).await;
    assert_eq!(body.status, 408);
    assert!(body.body.contains("request_timeout"), "{}", body.body);
}

#[tokio::test]
async fn a_request_waits_for_a_worker_that_restarts() {
    let node = Node::start(config()).await;
    node.worker.send_replace(None);
    let reply = node.get("/v1/echo").await;
    assert_eq!(reply.status, 503);
    assert_eq!(header(&reply.head, "retry-after"), Some("2"));
    assert_eq!(node.get("/ready").await.status, 503);

    let waiting = node.send("GET", "/v1/echo", "").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.worker
        .send_replace(Some(worker_at(node.upstream.address)));
    assert_eq!(rest(waiting).await.status, 200);
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_503() {
    let node = Node::start(config()).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    node.worker.send_replace(Some(worker_at(address)));
    let waiting = node.send("GET", "/v1/echo", "").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    node.worker
        .send_replace(Some(worker_at(node.upstream.address)));
    assert_eq!(rest(waiting).await.status, 200);
    node.worker.send_replace(Some(worker_at(address)));
    assert_eq!(node.get("/v1/echo").await.status, 503);
}

#[tokio::test]
async fn shutting_down_lets_running_requests_finish() {
    let mut node = Node::start(config()).await;
    let running = node.send("GET", "/v1/wait", "").await;
    node.upstream.arrived.notified().await;
    node.shutdown.take().unwrap().send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(node.address).await.is_err());
    node.upstream.go.notify_one();
    assert_eq!(rest(running).await.status, 200);
    tokio::time::timeout(Duration::from_secs(1), node.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stream_that_outlives_the_node_says_so() {
    let mut node = Node::start(config()).await;
    let stream = node.send("POST", "/v1/events", "{}").await;
    node.upstream.arrived.notified().await;
    node.shutdown.take().unwrap().send(()).unwrap();
    let reply = rest(stream).await;
    assert!(reply.body.contains("shutting down"), "{}", reply.body);
    tokio::time::timeout(Duration::from_secs(1), node.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let mut node = Node::start(config()).await;
    let request =
        format!("GET /v1/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n");
    let mut idle = node.raw(&request).await;
    until(&mut idle, "200 OK").await;
    node.shutdown.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_millis(400), node.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn two_cannot_listen_on_one_address() {
    let node = Node::start(config()).await;
    let (_sender, watched) = watch::channel(None);
    let config = Config {
        listen: node.address,
        ..config()
    };
    let error = Ingress::bind(config, watched).await.unwrap_err();
    assert!(matches!(error, StartError::Bind { address, .. } if address == node.address));
}
