//! Every refusal of a join has its reason, and nobody speaks for another.

use alloy_primitives::{Address, B256};
use gaia_registry::{NodeLeave, Policy, Status};
use gaia_statements::SigningDomain;
use gaia_tunnel::messages::{JOIN_PATH, Join, LEAVE_PATH, MESSAGE_BYTES_MAX};

use super::scene::{
    Domain, address, beat, books, consent_of, join_of, leave_of, node_config, request, until,
};
use crate::client::{self, Answer};
use crate::scene::{PLACE, now, sign, sign_for};

pub fn check(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], code, "{}", answer.text);
    assert!(!answer.message().is_empty());
}

#[tokio::test]
async fn a_node_joins_and_leaves_by_its_own_signature() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let joined = domain.join(&request(1, 101)).await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    assert_eq!(joined.json()["status"], "probation");
    assert_eq!(domain.status(1).await, Some(Status::Probation));
    let left = domain.leave(&leave_of(1)).await;
    assert_eq!(left.json()["status"], "left", "{}", left.text);
    let listed = client::ask(domain.at, "GET", JOIN_PATH, "", "").await;
    assert_eq!(listed.json()["nodes"][0]["status"], "left");
}

#[tokio::test]
async fn a_node_may_be_its_own_operator() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let alone = Join {
        join: sign(join_of(1, 1), 1),
        consent: None,
        config: node_config(),
    };
    assert_eq!(domain.join(&alone).await.status, 200);
}

#[tokio::test]
async fn what_was_used_is_refused_a_second_time() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let first = request(1, 101);
    assert_eq!(domain.join(&first).await.status, 200);
    check(&domain.join(&first).await, 409, "replayed");
    // A new join with the old consent.
    let mut mixed = request(1, 101);
    mixed.consent = first.consent;
    check(&domain.join(&mixed).await, 409, "replayed");
    let leave = leave_of(1);
    assert_eq!(domain.leave(&leave).await.status, 200);
    check(&domain.leave(&leave).await, 410, "node_left");
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    check(&domain.leave(&leave).await, 409, "replayed");
}

#[tokio::test]
async fn what_has_expired_is_refused() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let mut old = join_of(1, 1);
    old.expiry = now() - 1;
    let old = Join {
        join: sign(old, 1),
        consent: None,
        config: node_config(),
    };
    check(&domain.join(&old).await, 409, "expired");
    let mut far = join_of(1, 1);
    far.expiry = now() + 100_000;
    let far = Join {
        join: sign(far, 1),
        consent: None,
        config: node_config(),
    };
    check(&domain.join(&far).await, 400, "lifetime");
    assert_eq!(domain.status(1).await, None);
}

#[tokio::test]
async fn what_was_signed_for_elsewhere_is_refused() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let foreign = SigningDomain {
        chain_id: 1,
        ..PLACE.signing
    };
    let mut chain = request(1, 101);
    chain.join = sign_for(foreign, join_of(1, 101), 1);
    check(&domain.join(&chain).await, 403, "foreign");
    let mut claimed = request(1, 101);
    claimed.join = sign_for(foreign, join_of(1, 101), 1);
    claimed.join.domain = PLACE.signing;
    check(&domain.join(&claimed).await, 401, "another_signer");
    let mut other = join_of(1, 101);
    other.domain_id = B256::repeat_byte(0xee);
    let mut another = request(1, 101);
    another.join = sign(other, 1);
    check(&domain.join(&another).await, 403, "another_domain");
}

#[tokio::test]
async fn what_somebody_else_has_signed_or_changed_is_refused() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let mut forged = request(1, 101);
    forged.join = sign(join_of(1, 101), 2);
    check(&domain.join(&forged).await, 401, "another_signer");
    let mut altered = request(1, 101);
    altered.join.statement.operator = address(102);
    check(&domain.join(&altered).await, 401, "another_signer");
    let mut unsigned = serde_json::to_value(request(1, 101)).unwrap();
    unsigned["join"]["signature"] = "0x00".into();
    let answer = domain.post(JOIN_PATH, &unsigned).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn nobody_earns_for_a_node_without_having_said_so() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    let mut missing = request(1, 101);
    missing.consent = None;
    check(&domain.join(&missing).await, 403, "consent");
    let mut foreign = request(1, 101);
    foreign.consent = Some(sign(consent_of(2, 101), 101));
    check(&domain.join(&foreign).await, 403, "consent");
    let mut by_the_node = request(1, 101);
    by_the_node.consent = Some(sign(consent_of(1, 101), 1));
    check(&domain.join(&by_the_node).await, 401, "another_signer");
    let mut nobody = join_of(1, 101);
    nobody.operator = Address::ZERO;
    let nobody = Join {
        join: sign(nobody, 1),
        consent: None,
        config: node_config(),
    };
    check(&domain.join(&nobody).await, 400, "invalid_join");
}

#[tokio::test]
async fn nobody_overwrites_anothers_node() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    // Node 2 says to be node 1, with all the signatures that it can make.
    let theft = Join {
        join: sign(join_of(1, 102), 2),
        consent: Some(sign(consent_of(1, 102), 102)),
        config: node_config(),
    };
    check(&domain.join(&theft).await, 401, "another_signer");
    let leave = NodeLeave {
        domain_id: PLACE.domain_id,
        node: address(1),
        nonce: u64::MAX,
        expiry: now() + 60,
    };
    check(&domain.leave(&sign(leave, 2)).await, 401, "another_signer");
    let listed = client::ask(domain.at, "GET", JOIN_PATH, "", "").await;
    let operator = serde_json::to_value(address(101)).unwrap();
    assert_eq!(listed.json()["nodes"][0]["operator"], operator);
    assert_eq!(domain.status(1).await, Some(Status::Probation));
    // Nor does a name without a signature count, wherever it stands.
    let named = serde_json::json!({"node_id": address(1), "domain": "d", "gaia_domain": "x"});
    assert_eq!(domain.post(JOIN_PATH, &named).await.status, 400);
    assert_eq!(domain.post(LEAVE_PATH, &named).await.status, 400);
}

#[tokio::test]
async fn the_policy_decides_who_comes_and_says_why_not() {
    let (_folder, ledger) = books();
    let allowed = format!(
        "allow = [\"{}\"]\ndeny = [\"{}\"]",
        address(101),
        address(2)
    );
    let policy = Policy::parse(&allowed).unwrap();
    let change = |config: &mut gaia_gateway::MembersConfig| config.policy = policy.into();
    let domain = Domain::changed(ledger, change, |_| {}).await;
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    let denied = domain.join(&request(2, 101)).await;
    check(&denied, 403, "policy");
    assert!(
        denied.message().contains("is denied"),
        "{}",
        denied.message()
    );
    let strange = domain.join(&request(3, 103)).await;
    check(&strange, 403, "policy");
    assert!(strange.message().contains("list"), "{}", strange.message());
    let mut other = request(1, 101);
    other.config.model = B256::repeat_byte(0x77);
    let other = domain.join(&other).await;
    check(&other, 403, "policy");
    assert!(other.message().contains("hash"), "{}", other.message());
}

#[tokio::test]
async fn a_domain_that_is_full_takes_no_more() {
    let (_folder, ledger) = books();
    let change = |config: &mut gaia_gateway::MembersConfig| config.rules.members_max = 1;
    let domain = Domain::changed(ledger, change, |_| {}).await;
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    check(&domain.join(&request(2, 101)).await, 503, "full");
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger).await;
    for body in ["", "{}", "[]", "nonsense"] {
        let answer = client::ask(domain.at, "POST", JOIN_PATH, "", body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let long = " ".repeat(MESSAGE_BYTES_MAX + 1);
    let answer = client::ask(domain.at, "POST", JOIN_PATH, "", long).await;
    assert_eq!(answer.status, 400);
    let answer = client::ask(domain.at, "DELETE", JOIN_PATH, "", "").await;
    assert_eq!(answer.status, 405);
    let answer = client::ask(domain.at, "GET", "/gaia/v1/nodes/elsewhere", "", "").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn members_and_used_nonces_outlast_a_restart() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger.clone()).await;
    let first = request(1, 101);
    assert_eq!(domain.join(&first).await.status, 200);
    domain.stop().await;
    let domain = Domain::on(ledger.clone()).await;
    assert_eq!(domain.status(1).await, Some(Status::Probation));
    check(&domain.join(&first).await, 409, "replayed");
    let used = beat(1, B256::ZERO);
    domain.dial(&used).await.unwrap();
    assert_eq!(domain.refused(&used).await.0, 409);
    domain.stop().await;
    let domain = Domain::on(ledger).await;
    assert_eq!(domain.refused(&used).await.0, 409);
}

#[tokio::test]
async fn two_gateways_on_one_ledger_know_the_same() {
    let (_folder, ledger) = books();
    let here = Domain::on(ledger.clone()).await;
    let there = Domain::on(ledger.clone()).await;
    let join = request(1, 101);
    assert_eq!(here.join(&join).await.status, 200);
    check(&there.join(&join).await, 409, "replayed");
    there.dial(&beat(1, B256::ZERO)).await.unwrap();
    assert_eq!(there.leave(&leave_of(1)).await.status, 200);
    assert_eq!(here.refused(&beat(1, B256::ZERO)).await.0, 410);
}

#[tokio::test]
async fn a_record_that_makes_no_sense_is_left_out_named_and_kept() {
    let (_folder, ledger) = books();
    let domain = Domain::on(ledger.clone()).await;
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    domain.stop().await;
    let id = format!("{:#x}", address(2));
    ledger.put_record("member", &id, "{", None).await.unwrap();
    let notices = gaia_gateway::Notices::default();
    let told = notices.clone();
    let domain = Domain::changed(ledger.clone(), |config| config.notices = told, |_| {}).await;
    assert_eq!(domain.status(1).await, Some(Status::Probation));
    let [(about, text)] = &notices.all()[..] else {
        panic!("{:?}", notices.all());
    };
    assert!(*about == "members" && text.contains(&id), "{text}");
    // What it was is not known, so nothing is written over it.
    check(&domain.join(&request(2, 101)).await, 503, "record");
    let kept = ledger.record("member", &id).await.unwrap().unwrap();
    assert_eq!(kept.value, "{");
    ledger.remove_record("member", &id).await.unwrap();
    assert_eq!(domain.join(&request(2, 101)).await.status, 200);
    until("no notice", async || notices.all().is_empty()).await;
}
