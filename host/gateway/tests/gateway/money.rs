//! Money: a thousand who ask on credit for ten, and what nobody gives back.

use std::time::Duration;

use gaia_ledger::account::Timestamp;
use gaia_ledger::command::Reserve;
use gaia_ledger::{Command, IdempotencyKey, NanoUsd};
use gaia_ledger_store::Order;

use crate::client;
use crate::node::{Node, Script};
use crate::scene::*;

const REQUESTS: usize = 1000;

/// Each connection is two files here.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    setrlimit(Resource::Nofile, all).unwrap();
}

async fn a_thousand(stream: bool) {
    allow_many_files();
    let node = Node::new(10, Script::Say(&["one", "two", "three"]));
    let domain = Domain::with(10 * 3 * WORD).await.and(&node).await;
    let asking = (0..REQUESTS).map(|_| {
        let (at, token) = (domain.at, domain.token.clone());
        tokio::spawn(async move { client::ask(at, "POST", CHAT, &token, request(3, stream)).await })
    });
    let asking: Vec<_> = asking.collect();
    let mut served = 0;
    for asking in asking {
        let answer = asking.await.unwrap();
        match answer.status {
            200 => served += 1,
            402 => assert!(answer.message().contains("deposit more"), "{}", answer.text),
            status => panic!("{status}: {}", answer.text),
        }
    }
    assert_eq!((served, node.requests()), (10, 10));
    assert_eq!(domain.charged().await, 30 * WORD);
    assert_eq!(domain.standing().await, 0);
    domain.ledger.audit().await.unwrap();
}

#[tokio::test]
async fn a_thousand_on_credit_for_ten_are_served_ten_times() {
    a_thousand(false).await;
    a_thousand(true).await;
}

#[tokio::test]
async fn what_nobody_gives_back_expires() {
    let quick = |config: &mut gaia_gateway::Config| {
        config.limits.expire_interval = Duration::from_millis(20);
    };
    let domain = Domain::changed(1_000, quick).await;
    let reserve = Reserve {
        reservation: alloy_primitives::B256::repeat_byte(1),
        account: account(1),
        key: alloy_primitives::B256::repeat_byte(2),
        amount: NanoUsd::new(1_000).unwrap(),
        key_limit: None,
        lifetime_seconds: 5,
    };
    // A gateway died with it an hour ago.
    let order = Order {
        key: IdempotencyKey::new("dead").unwrap(),
        command: Command::Reserve(reserve),
        now: Timestamp(now() - 3600),
        receipt: None,
    };
    domain.ledger.execute(order).await.unwrap();
    domain.until_released().await;
    let node = Node::new(10, Script::Say(&["one"]));
    node.join(&domain.nodes).await;
    assert_eq!(domain.chat(1_000 / WORD, false).await.status, 200);
}

#[tokio::test]
async fn a_node_that_does_not_sign_leaves_the_receipt_with_one_signature() {
    let node = Node::signing(10, Script::Say(&["one"]), false);
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, false).await;
    let path = format!("/gaia/v1/receipts/{}", answer.id.unwrap());
    let shown = domain.get(&path, "").await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert!(shown.json()["gatewaySignature"].is_string());
    assert!(shown.json()["nodeSignature"].is_null());
    for id in ["1", &"0".repeat(64)] {
        let path = format!("/gaia/v1/receipts/{id}");
        assert_eq!(domain.get(&path, "").await.status, 404);
    }
}

#[tokio::test]
async fn a_node_that_was_away_signs_when_it_is_back() {
    let quick = |config: &mut gaia_gateway::Config| {
        config.limits.receipts_interval = Duration::from_millis(50);
    };
    let stubborn = Node::signing(10, Script::Say(&["one"]), false);
    let domain = Domain::changed(1_000_000, quick).await.and(&stubborn).await;
    let answer = domain.chat(9, false).await;
    domain.nodes.left(stubborn.address());
    // The same node, with another mind.
    let willing = Node::new(10, Script::Say(&["one"]));
    willing.join(&domain.nodes).await;
    let id = answer.id.unwrap().parse().unwrap();
    let ledger = &domain.ledger;
    until(async || {
        let found = ledger.receipt(id).await.unwrap().unwrap();
        found.node_signature.is_some() && found.gateway_signature.is_some()
    })
    .await;
}
