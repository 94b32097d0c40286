//! Tunnels: who may open one, who proves to be it, and what canaries make of it.

use alloy_primitives::B256;
use gaia_registry::{Reason, Status};
use gaia_statements::{Claimed, Counted, TokenCounts};

use super::scene::{Domain, Script, Tunnel, address, beat, books, leave_of, request, until};
use crate::scene::{now, sign};

#[tokio::test]
async fn only_a_member_with_a_fresh_proof_gets_a_tunnel() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let check = async |proof, status: u16, part: &str| {
        let (found, reason) = domain.refused(&proof).await;
        assert_eq!(found, status, "{reason}");
        assert!(reason.contains(part), "{reason}");
    };
    check(beat(1, B256::ZERO), 404, "join first").await;
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    let mut forged = beat(1, B256::ZERO);
    forged.signature = beat(2, B256::ZERO).signature;
    check(forged, 401, "signed it").await;
    let mut foreign = beat(1, B256::ZERO);
    foreign.domain.chain_id = 1;
    check(foreign, 403, "chain 1").await;
    let mut late = beat(1, B256::ZERO).statement;
    late.time = now() - 3_600;
    check(sign(late, 1), 409, "clock").await;
    let mut elsewhere = beat(1, B256::ZERO).statement;
    elsewhere.domain_id = B256::repeat_byte(0xee);
    check(sign(elsewhere, 1), 403, "domain").await;
    let good = beat(1, B256::ZERO);
    domain.dial(&good).await.unwrap();
    check(good, 409, "not after").await;
    let plain = crate::client::ask(domain.at, "GET", gaia_tunnel::PATH, "", "").await;
    assert_eq!(plain.status, 400, "{}", plain.text);
}

#[tokio::test]
async fn a_node_serves_once_it_has_answered_canaries() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    assert!(domain.nodes.channel(address(1)).is_none());
    let mut tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    let asked = tunnel.questions.recv().await.unwrap();
    assert!(asked.contains("capital of France"), "{asked}");
    // Looks like any user's question.
    assert!(!asked.contains("canary"), "{asked}");
}

#[tokio::test]
async fn an_error_is_not_healthy() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    let script = Script {
        says: None,
        ..Script::of(1)
    };
    let _tunnel = Tunnel::open(&domain, script).await;
    let suspended = |status: &Status| matches!(status, Status::Suspended { reason, .. } if *reason == Reason::Canaries);
    domain.until_status(1, suspended).await;
    assert!(
        domain.nodes.channel(address(1)).is_none(),
        "it never served"
    );
}

#[tokio::test]
async fn wrong_answers_suspend_a_node_that_served_and_the_operator_lifts_it() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    let tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    drop(tunnel);
    let wrong = Script {
        says: Some("It is Berlin."),
        ..Script::of(1)
    };
    let tunnel = Tunnel::open(&domain, wrong).await;
    domain
        .until_status(1, |status| matches!(status, Status::Suspended { .. }))
        .await;
    until("that it gets nothing", async || {
        domain.nodes.channel(address(1)).is_none()
    })
    .await;
    drop(tunnel);
    domain.members.reinstate(address(1)).await.unwrap();
    let _tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
}

#[tokio::test]
async fn a_tunnel_that_proves_nothing_is_closed() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    domain.join(&request(2, 101)).await;
    // A proof that was overheard opens a tunnel, but the challenge it cannot sign.
    let old = Script {
        hears_challenge: false,
        ..Script::of(1)
    };
    Tunnel::open(&domain, old).await.ended().await;
    let other = Script {
        proves_as: 2,
        ..Script::of(1)
    };
    Tunnel::open(&domain, other).await.ended().await;
    let flood = Script {
        floods: true,
        ..Script::of(1)
    };
    Tunnel::open(&domain, flood).await.ended().await;
    let stranger = Script {
        proves_as: 3,
        ..Script::of(1)
    };
    Tunnel::open(&domain, stranger).await.ended().await;
    assert_eq!(domain.status(1).await, Some(Status::Probation));
}

#[tokio::test]
async fn a_later_tunnel_replaces_an_earlier_one() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    let first = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    let _second = Tunnel::open(&domain, Script::of(1)).await;
    first.ended().await;
    domain.until_serving(1).await;
}

#[tokio::test]
async fn a_node_that_leaves_loses_its_tunnel_and_its_requests() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    let _tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    assert_eq!(domain.leave(&leave_of(1)).await.status, 200);
    until("that it gets nothing", async || {
        domain.nodes.channel(address(1)).is_none()
    })
    .await;
    assert_eq!(domain.refused(&beat(1, B256::ZERO)).await.0, 410);
}

#[tokio::test]
async fn counting_in_its_own_favour_suspends_a_node() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    domain.join(&request(1, 101)).await;
    let _tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    let counts = |output| TokenCounts {
        input: 10,
        cached: 0,
        output,
    };
    let count = |claimed| {
        let id = B256::repeat_byte(7);
        let (counted, claimed) = (Counted(counts(10)), Claimed(counts(claimed)));
        domain.members.count(address(1), id, counted, claimed);
    };
    // About right is right, however often.
    (0..50).for_each(|_| count(12));
    (0..5).for_each(|_| count(500));
    let suspended = |status: &Status| matches!(status, Status::Suspended { reason, .. } if *reason == Reason::Counts);
    domain.until_status(1, suspended).await;
}

#[tokio::test]
async fn silence_is_noticed_and_a_heartbeat_brings_the_node_back_on_probation() {
    let (_folder, ledger) = books();
    let change = |config: &mut gaia_gateway::MembersConfig| config.rules.silence_seconds_max = 1;
    let domain = Domain::changed(ledger, change, |_| {}).await;
    domain.join(&request(1, 101)).await;
    let tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    drop(tunnel);
    let silent = |status: &Status| matches!(status, Status::Suspended { reason, .. } if *reason == Reason::Silence);
    domain.until_status(1, silent).await;
    let _tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
}
