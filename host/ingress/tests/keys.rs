//! Named keys over real sockets: what they open, how often, and when they end; and the operator's port.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

#[path = "support/keyed.rs"]
mod keyed;
mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaia_ingress::keys::{NamedKey, Scope};
use keyed::{Node, check, minted, named, seconds_from_now, send_to, text};
use support::{header, rest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
    // What no route lists stays closed, and says that the path is wrong, not the key.
    let new = node.ask("POST /v1/nobody-listed-this", &text(1), "").await;
    check(&new, 404, "unknown_url");
    let unknown = node.ask("POST /v1/nobody-listed-this", &text(9), "").await;
    check(&unknown, 401, "invalid_api_key");
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
    // What any key may look at does not count.
    for _ in 0..3 {
        assert_eq!(node.ask("GET /v1/models", &text(1), "").await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(node.ask("GET /v1/prompts", &text(1), "").await.status, 200);
    }
    let refused = node.ask("GET /v1/prompts", &text(1), "").await;
    check(&refused, 429, "requests_per_minute_exceeded");
    let seconds: u32 = header(&refused.head, "retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(node.ask("GET /v1/prompts", &text(2), "").await.status, 200);
    assert_eq!(node.ask("GET /v1/models", &text(1), "").await.status, 200);
    assert_eq!(node.ask("GET /health", &text(1), "").await.status, 200);
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
        ("GET /v1/prompts", text(3)),
        ("GET /v1/prompts", text(3)),
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
