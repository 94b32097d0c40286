//! Replies that come piece by piece: the same door, and limits of their own.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use std::time::Duration;

use gaia_egress::{Egress, HeaderText, Limits, Opened, Refusal, StreamLimits};
use support::{Reply, Server, get, listed};

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> StreamLimits {
    StreamLimits {
        head_time_max: 20 * SECOND,
        silence_max: 20 * SECOND,
        time_max: 20 * SECOND,
        bytes_max: 1 << 20,
    }
}

async fn all(opened: &mut Opened) -> Result<String, Refusal> {
    let bytes = opened.rest(usize::MAX).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// A way out to `server`, and nowhere else.
fn to(server: &Server) -> Egress {
    listed(&[&server.origin()], Limits::default())
}

#[tokio::test]
async fn a_stream_comes_in_pieces_with_its_head() {
    let headers = "content-type: text/event-stream\r\nmcp-session-id: s-1\r\n";
    let server = Server::start(|_| Reply::of("200 OK", headers, "data: a\n\ndata: b\n\n")).await;
    let egress = to(&server);
    let mut opened = egress.open(get(&server.url("/")), limits()).await.unwrap();
    assert_eq!(opened.status(), 200);
    assert_eq!(opened.header("mcp-session-id").as_deref(), Some("s-1"));
    assert_eq!(opened.header("retry-after"), None);
    assert_eq!(all(&mut opened).await.unwrap(), "data: a\n\ndata: b\n\n");
    assert_eq!(opened.chunk().await.unwrap(), None);
}

/// The server sends its reply byte by byte: what it echoes never is in one piece.
#[tokio::test]
async fn a_secret_is_in_no_piece() {
    let server = Server::start(|_| Reply::Drip("HTTP/1.1 200 OK\r\n\r\nkey: x".to_owned())).await;
    let egress = to(&server);
    let mut ask = get(&server.url("/"));
    ask.header("authorization", HeaderText::default().and_hidden("xxxx"));
    let mut opened = egress.open(ask, limits()).await.unwrap();
    let mut text = String::new();
    while text.len() < 30 {
        let chunk = opened.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        assert!(!text.contains("xxxx"), "{text}");
    }
    assert!(text.starts_with("key: ****"), "{text}");
}

#[tokio::test]
async fn silence_time_and_bytes_have_an_end() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n";
    let short = Duration::from_millis(50);
    let refusal = refused(|| Reply::Silence, |limits| limits.head_time_max = short).await;
    assert!(
        matches!(refusal, Refusal::TooSlow { max } if max == short),
        "{refusal}"
    );
    let stalls = || Reply::Stall(HEAD.to_owned());
    let refusal = refused(stalls, |limits| limits.silence_max = short).await;
    assert!(
        matches!(refusal, Refusal::Silent { max } if max == short),
        "{refusal}"
    );
    let drips = || Reply::Drip(HEAD.to_owned());
    let refusal = refused(drips, |limits| limits.time_max = short).await;
    assert!(
        matches!(refusal, Refusal::TooSlow { max } if max == short),
        "{refusal}"
    );
    let floods = || Reply::Flood(HEAD.to_owned());
    let refusal = refused(floods, |limits| limits.bytes_max = 100_000).await;
    assert!(
        matches!(refusal, Refusal::TooLong { max: 100_000 }),
        "{refusal}"
    );
}

/// What comes of a server that does `reply`, within limits that `change` makes smaller.
async fn refused(reply: fn() -> Reply, change: impl FnOnce(&mut StreamLimits)) -> Refusal {
    let server = Server::start(move |_| reply()).await;
    let mut limits = limits();
    change(&mut limits);
    match to(&server).open(get(&server.url("/")), limits).await {
        Ok(mut opened) => all(&mut opened).await.unwrap_err(),
        Err(refusal) => refusal,
    }
}

#[tokio::test]
async fn only_so_many_streams_at_once_and_each_gives_its_place_back() {
    let server = Server::start(|_| Reply::Drip("HTTP/1.1 200 OK\r\n\r\n".to_owned())).await;
    let egress = listed(
        &[&server.origin()],
        Limits {
            streams_max: 2,
            ..Limits::default()
        },
    );
    let open = async || egress.open(get(&server.url("/")), limits()).await;
    let first = open().await.unwrap();
    let _second = open().await.unwrap();
    let refusal = open().await.unwrap_err();
    assert!(matches!(refusal, Refusal::Busy { max: 2 }), "{refusal}");
    drop(first);
    open().await.unwrap();
}

#[tokio::test]
async fn streams_go_where_calls_may_go_and_nowhere_else() {
    let server = Server::start(|_| Reply::of("200 OK", "", "")).await;
    let egress = listed(&["https://else.example"], Limits::default());
    let refusal = egress
        .open(get(&server.url("/")), limits())
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::NotAllowed(_)), "{refusal}");
    assert_eq!(server.seen(), 0);
    let other = Server::start(|_| Reply::of("200 OK", "", "")).await;
    let location = format!("location: {}\r\n", other.url("/"));
    let server = Server::start(move |_| Reply::of("307 Temporary", &location, "")).await;
    let refusal = to(&server)
        .open(get(&server.url("/")), limits())
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::OtherOrigin { .. }), "{refusal}");
    assert_eq!(other.seen(), 0);
}

#[tokio::test]
async fn a_call_that_is_only_counted_counts() {
    let limits = Limits {
        calls_per_turn_max: 1,
        ..Limits::default()
    };
    let egress = listed(&[], limits);
    let turn = egress.turn();
    egress.count(&turn).unwrap();
    let refusal = egress.count(&turn).unwrap_err();
    assert!(
        matches!(refusal, Refusal::TurnSpent { max: 1 }),
        "{refusal}"
    );
}
