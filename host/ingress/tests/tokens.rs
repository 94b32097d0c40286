//! The tokens of named keys over real sockets: set aside, settled, and past the day's refused.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

#[path = "support/keyed.rs"]
mod keyed;
mod support;

use gaia_ingress::keys::NamedKey;
use keyed::{Node, check, named, text};
use support::{header, rest};
use tokio::io::AsyncReadExt;

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
async fn a_note_that_is_too_long_is_none() {
    let few = NamedKey {
        tokens_per_day: Some(1000),
        ..named(1)
    };
    let node = Node::start(&[few]).await;
    let note = |spaces| {
        format!(
            "{{\"prompt_tokens\":1,\"completion_tokens\":0}}{}",
            " ".repeat(spaces)
        )
    };
    *node.upstream.note.lock().unwrap() = Some(note(30_000));
    assert_eq!(node.chat(&text(1), 100).await.status, 200);
    node.until_used(1, 1).await;
    node.upstream.told.notified().await;
    *node.upstream.note.lock().unwrap() = Some(note(33_000));
    assert_eq!(node.chat(&text(1), 900).await.status, 200);
    node.upstream.told.notified().await;
    node.upstream.notes(2);
    assert_eq!(node.chat(&text(1), 10).await.status, 200);
    node.until_used(1, 1 + 905 + 2).await;
}
