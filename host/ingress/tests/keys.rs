//! Named keys over real sockets: what they open, what they may take, and when they end.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

mod support;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gaia_ingress::keys::{
    Instant, Keys, MintedKey, NamedKey, RANDOM_BYTES, Scope, keys_to_text, parse_usage,
};
use gaia_ingress::{ApiKey, Config, Ingress, Limits, Worker};
use support::{Reply, Upstream, header, rest};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// An ingress with a file of keys.
struct Node {
    address: SocketAddr,
    admin: SocketAddr,
    upstream: Upstream,
    keys: Arc<Keys>,
    folder: TempDir,
    worker: watch::Sender<Option<Worker>>,
}

fn minted(number: u8) -> MintedKey {
    MintedKey::new(&[number; RANDOM_BYTES], None)
}

fn text(number: u8) -> String {
    minted(number).key.reveal().to_owned()
}

fn named(number: u8) -> NamedKey {
    let MintedKey { id, hash, .. } = minted(number);
    NamedKey {
        id,
        name: format!("key-{number}"),
        hash,
        scopes: vec![Scope::Inference],
        rate_per_minute: None,
        tokens_per_day: None,
        created: Instant::from_unix_seconds(0),
        expires: None,
    }
}

fn seconds_from_now(seconds: i64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Instant::from_unix_seconds(now.as_secs().saturating_add_signed(seconds))
}

impl Node {
    async fn start(keys: &[NamedKey]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("api-keys.toml");
        std::fs::write(&file, keys_to_text(keys)).unwrap();
        let upstream = Upstream::start().await;
        let (worker, watched) = watch::channel(Some(Worker {
            address: upstream.address,
            key: ApiKey::new("the worker's key"),
        }));
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            api_keys: vec![ApiKey::new("a key of the configuration")],
            key_file: Some(file),
            limits: Limits {
                worker_wait_max: Duration::from_millis(100),
                ..Limits::default()
            },
            ..Config::default()
        };
        let ingress = Ingress::bind(config, watched).await.unwrap();
        let admin = ingress.admin(0).await.unwrap();
        let node = Self {
            address: ingress.local_addr(),
            admin: admin.local_addr(),
            upstream,
            keys: ingress.keys(),
            folder,
            worker,
        };
        tokio::spawn(admin.serve());
        tokio::spawn(ingress.serve(std::future::pending()));
        node
    }

    /// As `gaia key api` does it.
    fn replace_keys(&self, keys: &[NamedKey]) {
        let file: PathBuf = self.folder.path().join("api-keys.toml");
        let new = file.with_extension("new");
        std::fs::write(&new, keys_to_text(keys)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    async fn send(&self, line: &str, key: &str, body: &str) -> TcpStream {
        let headers = format!("authorization: Bearer {key}");
        send_to(self.address, line, &headers, body).await
    }

    async fn ask(&self, line: &str, key: &str, body: &str) -> Reply {
        rest(self.send(line, key, body).await).await
    }

    async fn chat(&self, key: &str, max_tokens: u64) -> Reply {
        let body = format!("{{\"max_tokens\":{max_tokens}}}");
        self.ask("POST /v1/chat/completions", key, &body).await
    }

    /// Waits until the tokens of the key are as many.
    async fn until_used(&self, number: u8, tokens: u64) {
        let id = minted(number).id;
        let used = || {
            let usage = self.keys.unkept_usage()?;
            parse_usage(&usage).get(&id).map(|used| used.tokens)
        };
        let mut last = None;
        for _ in 0..1000 {
            last = used().or(last);
            if last == Some(tokens) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{last:?} instead of {tokens} tokens");
    }
}

async fn send_to(address: SocketAddr, line: &str, headers: &str, body: &str) -> TcpStream {
    let request = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[track_caller]
fn check(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    let code = format!("\"code\":\"{code}\"");
    assert!(reply.body.contains(&code), "{}", reply.body);
    assert!(reply.body.contains("\"param\":null"), "{}", reply.body);
}

#[tokio::test]
async fn an_expired_key_is_401() {
    let ends = |seconds| Some(seconds_from_now(seconds));
    let over = NamedKey {
        expires: ends(-1),
        ..named(1)
    };
    let node = Node::start(&[
        over,
        NamedKey {
            expires: ends(3600),
            ..named(2)
        },
    ])
    .await;
    let reply = node.ask("GET /v1/models", &text(1), "").await;
    check(&reply, 401, "invalid_api_key");
    assert!(reply.body.contains("expired"), "{}", reply.body);
    let guess = text(1).replace("AQ", "Ag");
    let reply = node.ask("GET /v1/models", &guess, "").await;
    check(&reply, 401, "invalid_api_key");
    assert!(!reply.body.contains("expired"), "a guesser learns nothing");
    assert_eq!(node.ask("GET /v1/models", &text(2), "").await.status, 200);
}

#[tokio::test]
async fn inference_cannot_add_knowledge() {
    let librarian = NamedKey {
        scopes: vec![Scope::Knowledge],
        ..named(2)
    };
    let node = Node::start(&[named(1), librarian]).await;
    let refused = node.ask("POST /v1/files", &text(1), "").await;
    check(&refused, 403, "insufficient_scope");
    assert!(refused.body.contains("`knowledge`"), "{}", refused.body);
    assert_eq!(node.ask("POST /v1/files", &text(2), "").await.status, 200);
    let refused = node.chat(&text(2), 1).await;
    check(&refused, 403, "insufficient_scope");
    assert!(refused.body.contains("`inference`"), "{}", refused.body);
    let new = node.ask("POST /v1/nobody-listed-this", &text(1), "").await;
    check(&new, 403, "insufficient_scope");
    let plain = "a key of the configuration";
    for line in [
        "POST /v1/files",
        "POST /v1/chat/completions",
        "GET /metrics",
    ] {
        assert_eq!(node.ask(line, plain, "").await.status, 200, "{line}");
    }
}

#[tokio::test]
async fn past_the_rate_comes_429_with_retry_after() {
    let slow = NamedKey {
        rate_per_minute: Some(2),
        ..named(1)
    };
    let node = Node::start(&[slow, named(2)]).await;
    for _ in 0..2 {
        assert_eq!(node.ask("GET /v1/models", &text(1), "").await.status, 200);
    }
    let refused = node.ask("GET /v1/models", &text(1), "").await;
    check(&refused, 429, "requests_per_minute_exceeded");
    let seconds: u32 = header(&refused.head, "retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(node.ask("GET /v1/models", &text(2), "").await.status, 200);
    assert_eq!(node.ask("GET /health", &text(1), "").await.status, 200);
}

#[tokio::test]
async fn past_the_tokens_of_the_day_comes_429() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    node.upstream.notes(300);
    assert_eq!(node.chat(&text(1), 900).await.status, 200);
    node.until_used(1, 300).await;
    let refused = node.chat(&text(1), 900).await;
    check(&refused, 429, "tokens_per_day_exceeded");
    assert!(refused.body.contains("has 700 left"), "{}", refused.body);
    let seconds: u32 = header(&refused.head, "retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=86_400).contains(&seconds), "{seconds}");
    assert_eq!(node.chat(&text(1), 600).await.status, 200);
    node.until_used(1, 600).await;
}

#[tokio::test]
async fn what_the_worker_does_not_tell_is_charged_as_set_aside() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    assert_eq!(node.chat(&text(1), 900).await.status, 200);
    check(
        &node.chat(&text(1), 900).await,
        429,
        "tokens_per_day_exceeded",
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_is_charged_what_was_computed() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    node.upstream.notes(42);
    let body = "{\"max_tokens\":500}";
    let mut stream = node
        .send("POST /v1/chat/completions?events", &text(1), body)
        .await;
    let mut begun = [0; 64];
    stream.read_exact(&mut begun).await.unwrap();
    check(
        &node.chat(&text(1), 900).await,
        429,
        "tokens_per_day_exceeded",
    );
    drop(stream);
    node.until_used(1, 42).await;
}

#[tokio::test]
async fn a_stream_is_charged_when_it_has_ended() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    node.upstream.notes(77);
    let line = "POST /v1/chat/completions?events";
    let stream = node.send(line, &text(1), "{\"max_tokens\":900}").await;
    node.upstream.arrived.notified().await;
    check(
        &node.chat(&text(1), 900).await,
        429,
        "tokens_per_day_exceeded",
    );
    node.upstream.go.notify_one();
    assert!(rest(stream).await.body.contains("[DONE]"));
    node.until_used(1, 77).await;
}

#[tokio::test]
async fn what_never_reached_a_worker_costs_nothing() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    node.worker.send_replace(None);
    let refused = node.chat(&text(1), 900).await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    node.until_used(1, 0).await;
}

#[tokio::test]
async fn the_worker_learns_the_keys_id_from_the_ingress_alone() {
    let node = Node::start(&[named(1)]).await;
    let forged = format!(
        "authorization: Bearer {}\r\nx-gaia-key-id: ffffffff\r\nx-gaia-meter: mine\r\nx-gaia-other: 1",
        text(1)
    );
    let line = "POST /v1/chat/completions";
    let echoed = rest(send_to(node.address, line, &forged, "{}").await).await;
    let (head, _) = echoed.body.split_once("\r\n\r\n").unwrap();
    assert_eq!(header(head, "x-gaia-key-id"), Some(minted(1).id.as_str()));
    assert_eq!(header(head, "x-gaia-meter").map(str::len), Some(32));
    assert_eq!(header(head, "x-gaia-other"), None);
    assert!(!head.contains(&text(1)), "{head}");
}

#[tokio::test]
async fn admin_is_not_on_the_public_port() {
    let admin = NamedKey {
        scopes: vec![Scope::Admin],
        ..named(2)
    };
    let node = Node::start(&[named(1), admin]).await;
    check(
        &node.ask("GET /metrics", "", "").await,
        401,
        "invalid_api_key",
    );
    check(
        &node.ask("GET /metrics", &text(1), "").await,
        403,
        "insufficient_scope",
    );
    let counted = node.ask("GET /metrics", &text(2), "").await;
    assert!(
        counted
            .body
            .contains("gaia_ingress_refused_total{reason=\"invalid_api_key\"} 1")
    );
    assert!(
        counted
            .body
            .contains("gaia_ingress_refused_total{reason=\"insufficient_scope\"} 1")
    );
    let told = node.ask("GET /gaia/usage/x", &text(2), "").await;
    check(&told, 404, "unknown_url");

    assert!(node.admin.ip().is_loopback());
    let ask =
        async |line: &str, headers: &str| rest(send_to(node.admin, line, headers, "").await).await;
    let counted = ask("GET /metrics", "x: y").await;
    assert_eq!(counted.status, 200);
    assert!(
        counted.body.contains("GET /metrics HTTP/1.1"),
        "the worker's come first"
    );
    assert!(
        counted.body.contains("gaia_ingress_refused_total"),
        "{}",
        counted.body
    );
    assert_eq!(ask("GET /health", "x: y").await.status, 200);
    check(
        &ask("POST /v1/chat/completions", "x: y").await,
        404,
        "unknown_url",
    );
    check(
        &ask("POST /metrics", "x: y").await,
        405,
        "method_not_allowed",
    );
    check(
        &ask("GET /metrics", "origin: https://evil.example").await,
        403,
        "forbidden",
    );
    let rebound = "GET /metrics HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    let mut stream = TcpStream::connect(node.admin).await.unwrap();
    stream.write_all(rebound.as_bytes()).await.unwrap();
    check(&rest(stream).await, 403, "forbidden");
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_the_running_node() {
    let node = Node::start(&[named(1), named(2)]).await;
    for number in [1, 2] {
        assert_eq!(
            node.ask("GET /v1/models", &text(number), "").await.status,
            200
        );
    }
    node.replace_keys(&[named(2)]);
    check(
        &node.ask("GET /v1/models", &text(1), "").await,
        401,
        "invalid_api_key",
    );
    assert_eq!(node.ask("GET /v1/models", &text(2), "").await.status, 200);
    node.replace_keys(&[]);
    check(
        &node.ask("GET /v1/models", &text(2), "").await,
        401,
        "invalid_api_key",
    );
    node.replace_keys(&[named(3)]);
    assert_eq!(node.ask("GET /v1/models", &text(3), "").await.status, 200);
}

#[tokio::test]
async fn a_note_that_is_too_long_is_none() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    let note = |spaces| format!("{{\"tokens\":1}}{}", " ".repeat(spaces));
    *node.upstream.note.lock().unwrap() = Some(note(900));
    assert_eq!(node.chat(&text(1), 100).await.status, 200);
    node.until_used(1, 1).await;
    node.upstream.told.notified().await;
    *node.upstream.note.lock().unwrap() = Some(note(1100));
    assert_eq!(node.chat(&text(1), 900).await.status, 200);
    node.upstream.told.notified().await;
    node.upstream.notes(2);
    assert_eq!(node.chat(&text(1), 10).await.status, 200);
    node.until_used(1, 1 + 905 + 2).await;
}

#[tokio::test]
async fn a_worker_that_counts_without_end_is_left_out() {
    let node = Node::start(&[]).await;
    let ask = async || rest(send_to(node.admin, "GET /metrics", "x: y", "").await).await;
    *node.upstream.metrics.lock().unwrap() = Some("counted 1\n".to_owned());
    assert!(
        ask()
            .await
            .body
            .starts_with("counted 1\n# HELP gaia_ingress")
    );
    *node.upstream.metrics.lock().unwrap() = Some("x".repeat((4 << 20) + 1));
    assert!(ask().await.body.starts_with("# HELP gaia_ingress"));
    node.worker.send_replace(None);
    assert!(ask().await.body.starts_with("# HELP gaia_ingress"));
}

#[tokio::test]
async fn connections_of_the_operator_are_bounded() {
    let node = Node::start(&[]).await;
    let mut idle = Vec::new();
    for _ in 0..16 {
        let mut stream = send_to(node.admin, "GET /health", "x: y", "").await;
        let mut begun = [0; 1];
        stream.read_exact(&mut begun).await.unwrap();
        idle.push(TcpStream::connect(node.admin).await.unwrap());
    }
    let mut late = send_to(node.admin, "GET /health", "x: y", "").await;
    let mut byte = [0; 1];
    let none = tokio::time::timeout(Duration::from_millis(200), late.read_exact(&mut byte)).await;
    assert!(none.is_err(), "all places are taken");
    drop(idle);
    late.read_exact(&mut byte).await.unwrap();
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_key_in_logs_or_errors() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let over = NamedKey {
        expires: Some(seconds_from_now(-1)),
        ..named(2)
    };
    let slow = NamedKey {
        rate_per_minute: Some(1),
        ..named(3)
    };
    let node = Node::start(&[named(1), over, slow]).await;
    let mut answers = String::new();
    for (line, key) in [
        ("GET /v1/models", text(1)),
        ("POST /v1/refuse", text(1)),
        ("GET /v1/models", text(2)),
        ("GET /v1/models", text(3)),
        ("GET /v1/models", text(3)),
        ("GET /v1/models", text(4)),
        ("GET /v1/models", "a key of the configuration".to_owned()),
    ] {
        let reply = node.ask(line, &key, "").await;
        answers.push_str(&reply.head);
        answers.push_str(&reply.body);
    }
    node.replace_keys(&[named(1)]);
    assert_eq!(node.ask("GET /v1/models", &text(1), "").await.status, 200);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("gaia::access") && logged.contains("key=\"01010101\""),
        "{logged}"
    );
    assert!(logged.contains("read again"), "{logged}");
    for number in 1..=4 {
        let secret = &text(number)["gaia_00000000_".len()..];
        let hash = minted(number).hash.to_hex();
        for said in [&logged, &answers] {
            assert!(!said.contains(secret) && !said.contains(&hash), "{said}");
        }
    }
    for said in [&logged, &answers] {
        assert!(!said.contains("a key of the configuration"), "{said}");
    }
    assert!(!logged.contains("the worker's key"), "{logged}");
}
