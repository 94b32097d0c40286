//! Maxima of a gateway that a client meets on the wire: connections, times, what strangers may ask, what is passed on.
//!
//! Nothing stands before these gateways: who sits between them and a client keeps connections of his own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaia_gateway::{Config, Gateway};
use gaia_ledger_store::Ledger;
use gaia_registry::AccessToken;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::client::{self, Answer};
use crate::node::{Node, Script, chunk};
use crate::pair::Running;
use crate::scene::*;

/// How long what must come is waited for, before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it is looked on that something does not happen.
const LOOK: Duration = Duration::from_millis(300);

/// A limit of time that is reached at once.
const SHORT: Duration = Duration::from_millis(100);

/// Strangers that are heard at a time: `access::LOOKUPS_MAX`.
const STRANGERS_MAX: usize = 64;

/// Receipts that nodes are asked about at a time: `receipts::RECEIPTS_ASKED_MAX`.
const RECEIPTS_ASKED_MAX: usize = 32;

/// The longest error of a node's that is passed on: `attempt::ERROR_BYTES_MAX`.
const ERROR_BYTES_MAX: usize = 64 << 10;

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n";

/// One gateway, and a payer with a token.
struct Alone {
    gateway: Running,
    ledger: Ledger,
    token: String,
    _folder: tempfile::TempDir,
}

impl Alone {
    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = funded(&folder).await;
        let mut config = config(ledger.clone());
        change(&mut config);
        let gateway = Running::start(config).await;
        let token = AccessToken::new([7; 32]);
        let granted = serde_json::to_vec(&sign(grant(1, &token, 1), 1)).unwrap();
        let granted = client::ask(gateway.at, "POST", "/gaia/v1/tokens", "", granted).await;
        assert_eq!(granted.status, 201, "{}", granted.text);
        Self {
            gateway,
            ledger,
            token: format!("Bearer {}", token.reveal()),
            _folder: folder,
        }
    }

    async fn and(self, node: &Node) -> Self {
        node.join(std::slice::from_ref(&self.gateway.nodes)).await;
        self
    }

    async fn chat(&self) -> Answer {
        client::ask(
            self.gateway.at,
            "POST",
            CHAT,
            &self.token,
            request(9, false),
        )
        .await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.gateway.at).await.unwrap()
    }

    /// A connection that says the head of this request, and no more.
    async fn head(&self, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let token = &self.token;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: {token}\r\ncontent-length: 10\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }
}

/// A ledger on which payer 1 has deposited.
async fn funded(folder: &tempfile::TempDir) -> Ledger {
    let ledger = ledger(folder.path());
    open_epoch(&ledger).await;
    deposit(&ledger, 1, 1_000_000).await;
    ledger
}

/// The beginning of what comes.
async fn heard(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1024];
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
    let read = read.expect("an answer").unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[tokio::test]
async fn so_many_connections_are_open_at_a_time() {
    let alone = Alone::with(|config| config.limits.connections_max = 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = alone.connect().await;
        stream.write_all(HEALTH.as_bytes()).await.unwrap();
        assert!(heard(&mut stream).await.contains(" 200 "));
        open.push(stream);
    }
    let mut third = alone.connect().await;
    third.write_all(HEALTH.as_bytes()).await.unwrap();
    let mut byte = [0];
    let early = timeout(LOOK, third.peek(&mut byte)).await;
    assert!(early.is_err(), "a third is heard");
    // It was waiting, not refused.
    open.pop();
    assert!(heard(&mut third).await.contains(" 200 "));
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let alone = Alone::with(|config| config.limits.head_time_max = SHORT).await;
    let mut stream = alone.connect().await;
    stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    ended.expect("the connection stays open").unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_told_and_costs_nothing() {
    let alone = Alone::with(|config| config.limits.body_time_max = SHORT).await;
    for path in [CHAT, "/gaia/v1/tokens"] {
        let mut stream = alone.head(path).await;
        assert!(heard(&mut stream).await.contains(" 408 "), "{path}");
    }
    let entries = alone.ledger.entries(0).await.unwrap().len();
    assert_eq!(entries, 2, "an epoch and a deposit");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_left_and_pays_for_what_it_got() {
    let (say, told) = mpsc::channel(1);
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
    let alone = Alone::with(|config| config.limits.client_silence_max = SHORT).await;
    let alone = alone.and(&node).await;
    let saying = tokio::spawn(async move {
        // More than all buffers on the way take.
        let piece = chunk(&"x".repeat(64 << 10));
        while say.send(Ok(piece.clone())).await.is_ok() {}
    });
    let (at, token) = (alone.gateway.at, &alone.token);
    let response = client::begin(at, "POST", CHAT, token, request(9, true)).await;
    assert_eq!(response.status(), 200);
    let left = timeout(PATIENCE, node.cancelled()).await;
    left.expect("the node works on for nobody");
    saying.abort();
    until(async || {
        alone
            .ledger
            .account(account(1))
            .await
            .unwrap()
            .charged
            .get()
            > 0
    })
    .await;
    drop(response);
}

#[tokio::test]
async fn a_gateway_that_stops_waits_for_its_clients_so_long_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = funded(&folder).await;
    let mut config = config(ledger);
    config.limits.drain_time_max = SHORT;
    let gateway = Gateway::bind(config).await.unwrap();
    let (at, nodes) = (gateway.local_addr(), gateway.nodes());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(gateway.serve(async {
        let _ = stopped.await;
    }));
    let node = Node::new(10, Script::Nothing);
    node.join(&[nodes]).await;
    let token = AccessToken::new([7; 32]);
    let granted = serde_json::to_vec(&sign(grant(1, &token, 1), 1)).unwrap();
    client::ask(at, "POST", "/gaia/v1/tokens", "", granted).await;
    let bearer = format!("Bearer {}", token.reveal());
    let mut asking = TcpStream::connect(at).await.unwrap();
    let body = request(9, false);
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: {bearer}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    asking.write_all(head.as_bytes()).await.unwrap();
    until(async || node.requests() == 1).await;
    stop.send(()).unwrap();
    let ended = timeout(PATIENCE, serving).await;
    ended
        .expect("it waits for a node that says nothing")
        .unwrap();
}

#[tokio::test]
async fn so_many_strangers_are_heard_at_a_time() {
    let alone = Alone::with(|_| {}).await;
    let mut slow = Vec::new();
    for _ in 0..STRANGERS_MAX {
        slow.push(alone.head("/gaia/v1/tokens").await);
    }
    let receipt = format!("/gaia/v1/receipts/{}", alloy_primitives::B256::ZERO);
    let ask = async || {
        let answer = client::ask(alone.gateway.at, "GET", &receipt, "", "").await;
        answer.status
    };
    until(async || ask().await == 429).await;
    // Who has a token is no stranger.
    let node = Node::new(10, Script::Say(&["one"]));
    node.join(std::slice::from_ref(&alone.gateway.nodes)).await;
    assert_eq!(alone.chat().await.status, 200);
    let mut one = slow.pop().unwrap();
    one.write_all(b"0123456789").await.unwrap();
    assert!(heard(&mut one).await.contains(" 400 "));
    assert_eq!(ask().await, 404);
}

#[tokio::test]
async fn nodes_are_asked_about_so_many_receipts_at_a_time() {
    let node = Node::undecided(10, Script::Say(&["one"]));
    let alone = Alone::with(|_| {}).await.and(&node).await;
    for _ in 0..RECEIPTS_ASKED_MAX + 8 {
        assert_eq!(alone.chat().await.status, 200);
    }
    until(async || node.receipts() >= RECEIPTS_ASKED_MAX).await;
    tokio::time::sleep(LOOK).await;
    assert_eq!(node.receipts(), RECEIPTS_ASKED_MAX);
}

#[tokio::test]
async fn an_error_that_is_too_long_is_none_that_is_passed_on() {
    let long = |len: usize| Script::Status(400, Box::leak("x".repeat(len).into_boxed_str()));
    let node = Node::new(10, long(ERROR_BYTES_MAX));
    let alone = Alone::with(|_| {}).await.and(&node).await;
    let answer = alone.chat().await;
    assert_eq!((answer.status, answer.text.len()), (400, ERROR_BYTES_MAX));
    node.follow(long(ERROR_BYTES_MAX + 1));
    let answer = alone.chat().await;
    assert!(answer.status >= 500, "{}", answer.status);
}
