//! What goes wrong: before the first byte another node answers, after it the client is told, and pays for what came.

use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::client::{self, piece};
use crate::node::{Node, Script, chunk, ended, usage};
use crate::scene::*;

/// A node that streams these pieces, and then breaks off or goes on being silent.
fn broken(pieces: &[String], breaks: bool) -> Script {
    let (say, told) = mpsc::channel(pieces.len() + 1);
    for piece in pieces {
        say.try_send(Ok(piece.clone())).unwrap();
    }
    if breaks {
        say.try_send(Err(io::Error::other("broken on purpose")))
            .unwrap();
    }
    // Never closed: a stream that is not broken does not end.
    std::mem::forget(say);
    Script::Follow(Arc::new(Mutex::new(told)))
}

/// The node is asked first, as the other is not there yet; then the other is.
async fn answered_by_another(script: Script, stream: bool) {
    let bad = Node::new(10, script);
    let good = Node::new(11, Script::Say(&["well"]));
    let domain = Domain::with(1_000_000)
        .await
        .and(&bad)
        .await
        .and(&good)
        .await;
    let mut asked = 0;
    // Who is asked first is the balancer's choice: until it was the bad one.
    while bad.requests() == 0 {
        let answer = domain.chat(9, stream).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.contains("well"), "{}", answer.text);
        asked += 1;
        assert!(asked < 100, "the bad node is never asked");
    }
    domain.until_released().await;
    assert_eq!(domain.charged().await, asked * WORD);
    assert!(domain.failed_at_nodes().await > 0);
}

#[tokio::test]
async fn another_node_answers_for_one_that_fails_before_its_first_word() {
    answered_by_another(Script::Status(500, "{}"), false).await;
    answered_by_another(Script::Status(429, "{}"), false).await;
    answered_by_another(Script::Status(404, "{}"), true).await;
    answered_by_another(Script::Reply("not JSON"), false).await;
    answered_by_another(Script::Reply("{\"error\":{\"message\":\"no\"}}"), false).await;
    answered_by_another(broken(&[], true), true).await;
    let before = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    answered_by_another(broken(&[before.to_owned()], true), true).await;
    let error = "data: {\"error\":{\"message\":\"no\"}}\n\n";
    answered_by_another(broken(&[error.to_owned()], false), true).await;
}

#[tokio::test]
async fn where_all_nodes_fail_the_client_is_told_and_pays_nothing() {
    let node = Node::new(10, Script::Status(500, "{}"));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, false).await;
    assert_eq!(answer.status, 502, "{}", answer.text);
    domain.until_released().await;
    assert_eq!(domain.charged().await, 0);
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_costs_what_came() {
    let (say, told) = mpsc::channel(8);
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
    let other = Node::new(11, Script::Say(&["other"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    say.send(Ok(chunk("one"))).await.unwrap();
    let response = client::begin(domain.at, "POST", CHAT, &domain.token, request(9, true)).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await.unwrap(), chunk("one"));
    other.join(&domain.nodes).await;
    say.send(Err(io::Error::other("broken on purpose")))
        .await
        .unwrap();
    let last = piece(&mut body).await.unwrap();
    assert!(
        last.contains("\"error\"") && !last.contains("[DONE]"),
        "{last}"
    );
    assert_eq!(piece(&mut body).await, None);
    assert_eq!(other.requests(), 0);
    domain.until_charged(WORD).await;
    domain.until_released().await;
}

#[tokio::test]
async fn an_error_of_the_nodes_in_the_middle_is_passed_on_and_costs_what_came() {
    let error = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n".to_owned();
    let (say, told) = mpsc::channel(8);
    for piece in [chunk("one"), error, "data: [DONE]\n\n".to_owned()] {
        say.send(Ok(piece)).await.unwrap();
    }
    drop(say);
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, true).await;
    assert!(answer.text.contains("out of memory"), "{}", answer.text);
    assert_eq!(domain.charged().await, WORD);
}

#[tokio::test]
async fn a_stream_that_ends_without_an_end_is_broken() {
    let (say, told) = mpsc::channel(8);
    say.send(Ok(chunk("one"))).await.unwrap();
    drop(say);
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, true).await;
    assert!(answer.text.contains("\"error\""), "{}", answer.text);
    domain.until_charged(WORD).await;
}

#[tokio::test]
async fn a_lost_connection_breaks_what_had_begun_and_moves_what_had_not() {
    let node = Node::new(10, broken(&[chunk("one")], false));
    let domain = Domain::with(1_000_000).await;
    let channel = node.join(&domain.nodes).await;
    let response = client::begin(domain.at, "POST", CHAT, &domain.token, request(9, true)).await;
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await.unwrap(), chunk("one"));
    channel.close();
    domain.nodes.connection_lost(node.address());
    let last = piece(&mut body).await.unwrap();
    assert!(last.contains("\"error\""), "{last}");
    domain.until_charged(WORD).await;

    let silent = Node::new(12, Script::Nothing);
    let channel = silent.join(&domain.nodes).await;
    let (answer, ()) = tokio::join!(domain.chat(9, false), async {
        until(async || silent.requests() == 1).await;
        let good = Node::new(13, Script::Say(&["well"]));
        good.join(&domain.nodes).await;
        channel.close();
        domain.nodes.connection_lost(silent.address());
    });
    assert_eq!(answer.status, 200, "{}", answer.text);
    domain.until_charged(2 * WORD).await;
}

#[tokio::test]
async fn who_goes_away_ends_the_nodes_work_and_pays_for_what_came() {
    let node = Node::new(10, broken(&[chunk("one"), chunk("two")], false));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let response = client::begin(domain.at, "POST", CHAT, &domain.token, request(9, true)).await;
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains("two") {
        text.push_str(&piece(&mut body).await.unwrap());
    }
    drop(body);
    node.cancelled().await;
    domain.until_charged(2 * WORD).await;
    domain.until_released().await;
}

#[tokio::test]
async fn who_goes_away_before_the_answer_pays_nothing() {
    let node = Node::new(10, Script::Nothing);
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let asking = client::ask(domain.at, "POST", CHAT, &domain.token, request(9, false));
    tokio::select! {
        answer = asking => panic!("{answer:?}"),
        () = until(async || node.requests() == 1) => {}
    }
    node.cancelled().await;
    domain.until_released().await;
    assert_eq!(domain.charged().await, 0);
}

#[tokio::test]
async fn what_is_the_clients_fault_is_the_clients_to_hear() {
    let said =
        "{\"error\":{\"message\":\"temperature\",\"type\":\"x\",\"param\":null,\"code\":null}}";
    let node = Node::new(10, Script::Status(400, said));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    for _ in 0..10 {
        let answer = domain.chat(9, false).await;
        assert_eq!((answer.status, &*answer.text), (400, said));
    }
    // Nobody's fault but the client's: the node is well.
    assert_eq!(node.requests(), 10);
    domain.until_released().await;
    assert_eq!(domain.charged().await, 0);
}

#[tokio::test]
async fn without_a_node_nobody_is_served() {
    let domain = Domain::with(1_000_000).await;
    assert_eq!(domain.chat(9, false).await.status, 404);
    let node = Node::new(10, Script::Say(&["one"]));
    node.join(&domain.nodes).await;
    domain.nodes.connection_lost(node.address());
    let answer = domain.chat(9, false).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.retry_after.is_some());
    domain.nodes.left(node.address());
    assert_eq!(domain.chat(9, false).await.status, 404);
    domain.until_released().await;
}

#[tokio::test]
async fn an_answer_that_is_complete_may_end_without_done() {
    let (say, told) = mpsc::channel(8);
    for piece in [chunk("one"), ended(), usage()] {
        say.send(Ok(piece)).await.unwrap();
    }
    drop(say);
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, true).await;
    assert_eq!(answer.text, chunk("one") + &ended());
    assert_eq!(domain.charged().await, WORD);
}
