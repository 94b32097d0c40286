//! Maxima: each is reached, and says so.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaia_gateway::Config;
use tokio::sync::mpsc;

use crate::client;
use crate::node::{Node, Script, chunk};
use crate::scene::*;

async fn busy(change: impl FnOnce(&mut Config), said: &str) {
    let node = Node::new(10, Script::Nothing);
    let domain = Domain::changed(1_000_000, change).await.and(&node).await;
    let first = client::ask(domain.at, "POST", CHAT, &domain.token, request(9, false));
    let second = async {
        until(async || node.requests() == 1).await;
        domain.chat(9, false).await
    };
    tokio::select! {
        answer = first => panic!("{answer:?}"),
        answer = second => {
            assert_eq!(answer.status, 429, "{}", answer.text);
            assert!(answer.message().contains(said), "{}", answer.text);
            assert!(answer.retry_after.is_some());
        }
    }
    // The place is free again.
    domain.until_released().await;
    node.follow(Script::Say(&["one"]));
    until(async || domain.chat(9, false).await.status == 200).await;
}

#[tokio::test]
async fn so_many_requests_run_at_a_time() {
    busy(|config| config.limits.requests_running_max = 1, "busy").await;
    busy(
        |config| config.limits.key_running_max = 1,
        "requests running",
    )
    .await;
}

#[tokio::test]
async fn so_many_requests_come_in_a_minute() {
    let few = |config: &mut Config| config.limits.key_requests_per_minute_max = 3;
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::changed(1_000_000, few).await.and(&node).await;
    for _ in 0..3 {
        assert_eq!(domain.chat(9, false).await.status, 200);
    }
    let answer = domain.chat(9, false).await;
    assert_eq!(answer.status, 429, "{}", answer.text);
    assert!(answer.retry_after.is_some());
}

#[tokio::test]
async fn heads_and_bodies_have_a_size() {
    let small = |config: &mut Config| {
        config.limits.body_bytes_max = 500;
        config.limits.head_bytes_max = 500;
    };
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::changed(1_000_000, small).await.and(&node).await;
    assert_eq!(domain.post(CHAT, vec![b' '; 501]).await.status, 413);
    assert_eq!(
        domain
            .get(&format!("/{}", "x".repeat(500)), "")
            .await
            .status,
        431
    );
    assert_eq!(domain.hand_in("", &"x".repeat(20_000)).await.status, 413);
    assert_eq!(domain.chat(9, false).await.status, 200);
}

#[tokio::test]
async fn what_no_node_would_take_is_refused_before_it_costs() {
    let domain = Domain::with(1_000_000).await;
    for body in [
        "",
        "[]",
        "{}",
        "{\"model\":1}",
        "{\"model\":\"words\",\"model\":\"words\",\"messages\":[]}",
        "{\"model\":\"words\",\"max_tokens\":-1,\"messages\":[]}",
    ] {
        let answer = domain.post(CHAT, body).await;
        assert_eq!(
            (answer.status, answer.id),
            (400, None),
            "{body}: {}",
            answer.text
        );
    }
    let entries = domain.ledger.entries(0).await.unwrap().len();
    assert_eq!(entries, 2, "an epoch and a deposit");
}

#[tokio::test]
async fn a_silent_node_and_a_late_one_end_in_an_error() {
    let quick = |config: &mut Config| config.limits.node_silence_max = Duration::from_millis(200);
    let late = |config: &mut Config| config.limits.request_time_max = Duration::from_secs(1);
    for change in [quick as fn(&mut Config), late] {
        let (say, told) = mpsc::channel(8);
        say.send(Ok(chunk("one"))).await.unwrap();
        let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
        let domain = Domain::changed(1_000_000, change).await.and(&node).await;
        let answer = domain.chat(9, true).await;
        assert!(answer.text.contains("\"error\""), "{}", answer.text);
        domain.until_charged(WORD).await;
        domain.until_released().await;
        drop(say);
    }
}

#[tokio::test]
async fn what_comes_before_the_first_word_waits_up_to_a_maximum() {
    let (say, told) = mpsc::channel(8);
    let comment = format!(": {}\n\n", "x".repeat(1 << 20));
    say.send(Ok(comment.clone())).await.unwrap();
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(told))));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    // Without the maximum there would be no head before a word.
    let response = client::begin(domain.at, "POST", CHAT, &domain.token, request(9, true)).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_meant_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let check = async |change: fn(&mut Config), said: &str| {
        let mut config = config(ledger.clone());
        change(&mut config);
        let error = gaia_gateway::Gateway::bind(config).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    };
    check(
        |config| config.models[0].name = "other".to_owned(),
        "no row",
    )
    .await;
    check(
        |config| config.models.extend(config.models.clone()),
        "twice",
    )
    .await;
    check(|config| config.split.others.clear(), "split").await;
    check(
        |config| config.limits.request_time_max = Duration::from_secs(3600),
        "an hour",
    )
    .await;
}
