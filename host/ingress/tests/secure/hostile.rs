//! What a connection of HTTP/2 may do, beside its requests, and where it ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gaia_ingress::Limits;

use crate::frames::{
    CONTINUATION, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM, Raw, SETTINGS, frame, get,
};
use crate::node::{Node, config, soon};

/// As in the ingress.
const STREAMS_MAX: u32 = 64;

const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

/// The number of the client's stream of that index.
fn id(index: u32) -> u32 {
    index * 2 + 1
}

#[tokio::test]
async fn the_limits_are_told() {
    let node = Node::start(config()).await;
    let mut raw = Raw::connect(&node).await;
    let settings = raw.until(SETTINGS).await;
    let settings: Vec<(u16, u32)> = settings
        .payload
        .chunks(6)
        .map(|entry| {
            let value = entry[2..].try_into().unwrap();
            let name = u16::from_be_bytes([entry[0], entry[1]]);
            (name, u32::from_be_bytes(value))
        })
        .collect();
    assert!(settings.contains(&(3, STREAMS_MAX)), "{settings:?}");
    let head = u32::try_from(Limits::default().head_bytes_max * 2).unwrap();
    assert!(settings.contains(&(6, head)), "{settings:?}");
}

#[tokio::test]
async fn more_streams_than_may_be_open_are_refused_one_by_one() {
    let mut config = config();
    config.limits.requests_running_max = 1000;
    let node = Node::start(config).await;
    let mut raw = Raw::connect(&node).await;
    for index in 0..=STREAMS_MAX {
        raw.send(get(id(index), "/v1/wait")).await;
    }
    let refused = raw.until(RST_STREAM).await;
    assert_eq!(refused.stream, id(STREAMS_MAX));
    assert_eq!(refused.number(0), REFUSED_STREAM);
    // The others are being answered.
    soon(async {
        while node.upstream.connections.load(Ordering::Relaxed) < STREAMS_MAX as usize {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    node.upstream.go.notify_one();
    raw.until(HEADERS).await;
    let next = id(STREAMS_MAX + 1);
    raw.send(get(next, "/health")).await;
    while raw.until(HEADERS).await.stream != next {}
}

#[tokio::test]
async fn streams_that_are_opened_to_be_taken_back_end_the_connection() {
    let node = Node::start(config()).await;
    let mut raw = Raw::connect(&node).await;
    // At one go, so that none is begun before it is taken back.
    let pairs = (0..100).flat_map(|index| {
        let cancel = frame(RST_STREAM, 0, id(index), &CANCEL.to_be_bytes());
        [get(id(index), "/v1/wait"), cancel].concat()
    });
    raw.send(pairs.collect()).await;
    let reason = raw.reason().await;
    // A client that is still sending may find the connection closed before it reads why.
    assert!(
        reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM),
        "{reason:?}"
    );
    // Nothing of it goes on: the places are free.
    let mut other = Raw::connect(&node).await;
    for index in 0.. {
        other.send(get(id(index), "/v1/echo")).await;
        // `:status: 200`.
        if other.until(HEADERS).await.payload[0] == 0x88 {
            break;
        }
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let mut config = config();
    config.limits.head_bytes_max = 1000;
    let node = Node::start(config).await;
    let mut raw = Raw::connect(&node).await;
    // One header of a kilobyte, again and again in continuations that never end.
    let mut field = vec![0x00, 0x01, b'x', 0x7f, 0x81, 0x07];
    field.extend([b'a'; 1024]);
    raw.send(frame(HEADERS, END_STREAM, 1, &[0x82, 0x87])).await;
    for _ in 0..1000 {
        raw.send(frame(CONTINUATION, 0, 1, &field)).await;
    }
    assert_ne!(raw.reason().await, Some(0));
    assert_eq!(node.upstream.connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_connection_without_a_request_ends() {
    let mut config = config();
    config.limits.header_timeout = Duration::from_millis(100);
    let node = Node::start(config).await;
    // Half a request counts as none, and answered pings are no request either.
    let mut half = Raw::connect(&node).await;
    half.send(frame(HEADERS, END_STREAM, 1, &[0x82])).await;
    half.until(GOAWAY).await;
    let mut idle = Raw::connect(&node).await;
    idle.send(get(1, "/v1/echo")).await;
    idle.until(HEADERS).await;
    idle.until(GOAWAY).await;
    while let Some(frame) = idle.next().await {
        if frame.kind == PING {
            idle.answer(&frame).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_is_gone_without_a_word_frees_the_worker() {
    let mut config = config();
    config.limits.ping_interval = Duration::from_millis(100);
    let node = Node::start(config).await;
    let mut raw = Raw::connect(&node).await;
    raw.send(get(1, "/v1/events")).await;
    raw.until(HEADERS).await;
    // Asked whether it is there, it answers, and later not any more.
    let ping = raw.until(PING).await;
    raw.answer(&ping).await;
    raw.until(PING).await;
    soon(node.upstream.hung_up.notified()).await;
}
