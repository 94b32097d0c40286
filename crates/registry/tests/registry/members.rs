//! A node's way through a domain.

use crate::scene::*;
use alloy_primitives::B256;
use gaia_registry::evidence::{CANARY_ID_LEN_MAX, RECORDS_MAX};
use gaia_registry::{
    CanaryVerdict, JoinRefusal, MembershipRefusal, Observed, Reason, Registry, Rules,
    StatementRefusal, Status,
};
use gaia_statements::{Claimed, Counted, TokenCounts};

#[test]
fn a_node_serves_after_canaries_in_a_row() {
    let mut domain = Domain::new();
    domain.join(&request(1, 101, 1)).unwrap();
    assert_eq!(domain.status(1), Status::Probation);
    domain.canary(CanaryVerdict::Passed);
    domain.canary(CanaryVerdict::WrongAnswer);
    domain.canary(CanaryVerdict::Passed);
    assert_eq!(domain.status(1), Status::Probation);
    domain.canary(CanaryVerdict::Passed);
    assert_eq!(domain.status(1), Status::Serving);
}

#[test]
fn silence_suspends_and_a_heartbeat_begins_the_probation_anew() {
    let mut domain = Domain::serving();
    domain.now += 30;
    assert!(domain.registry.tick(domain.now).is_empty());
    domain
        .registry
        .heartbeat(&beat(1, 1, domain.now), domain.now)
        .unwrap();
    domain.now += 30;
    assert!(domain.registry.tick(domain.now).is_empty());
    domain.now += 1;
    assert_eq!(domain.registry.tick(domain.now).len(), 1);
    assert!(matches!(
        domain.status(1),
        Status::Suspended { reason: Reason::Silence, since } if since == domain.now
    ));
    let member = domain.registry.member(address(1)).unwrap();
    let seen = &member.evidence.records().last().unwrap().observed;
    assert_eq!(
        *seen,
        Observed::Silence {
            last_seen: NOW + 30
        }
    );
    let change = domain
        .registry
        .heartbeat(&beat(1, 2, domain.now), domain.now);
    assert_eq!(change.unwrap().unwrap().status, Some(Status::Probation));
}

#[test]
fn a_heartbeat_is_signed_in_order_and_on_time() {
    let mut domain = Domain::serving();
    let mut check = |beat, refusal: Option<MembershipRefusal>| {
        assert_eq!(domain.registry.heartbeat(&beat, NOW).err(), refusal);
    };
    check(beat(1, 5, NOW), None);
    let sequence = |sequence| Some(MembershipRefusal::Sequence { sequence, last: 5 });
    check(beat(1, 5, NOW), sequence(5));
    check(beat(1, 4, NOW), sequence(4));
    check(beat(1, 6, NOW + 60), None);
    for theirs in [NOW + 61, NOW - 61] {
        check(
            beat(1, 7, theirs),
            Some(MembershipRefusal::Clock { theirs, ours: NOW }),
        );
    }
    check(
        beat(2, 7, NOW),
        Some(MembershipRefusal::Unknown(address(2))),
    );
    let forged = sign(beat(1, 7, NOW).statement, 201);
    let refusal = StatementRefusal::AnotherSigner {
        author: address(1),
        signer: address(201),
    };
    check(forged, Some(refusal.into()));
}

#[test]
fn failed_canaries_suspend_and_are_tried_again_after_a_pause() {
    let mut domain = Domain::serving();
    for _ in 0..2 {
        domain.canary(CanaryVerdict::Failed);
        assert_eq!(domain.status(1), Status::Serving);
    }
    domain.canary(CanaryVerdict::TooSlow);
    let suspended = Status::Suspended {
        reason: Reason::Canaries,
        since: NOW,
    };
    assert_eq!(domain.status(1), suspended);
    domain.canary(CanaryVerdict::Passed);
    assert_eq!(domain.status(1), suspended);
    domain.registry.tick(NOW + 599);
    assert_eq!(domain.status(1), suspended);
    domain.registry.tick(NOW + 600);
    assert_eq!(domain.status(1), Status::Probation);
}

fn counts(counted: u64, claimed: u64) -> (Counted, Claimed) {
    let tokens = |output| TokenCounts {
        output,
        ..TokenCounts::default()
    };
    (Counted(tokens(counted)), Claimed(tokens(claimed)))
}

fn miscount(domain: &mut Domain, times: u64) {
    for number in 0..times {
        let request = B256::with_last_byte(number as u8);
        domain
            .registry
            .counts(address(1), request, counts(10, 1_000), domain.now)
            .unwrap();
    }
}

#[test]
fn counts_that_differ_too_often_suspend_until_the_operator_lifts_it() {
    let mut domain = Domain::serving();
    for _ in 0..100 {
        let near = counts(1_000, 1_010);
        domain
            .registry
            .counts(address(1), B256::ZERO, near, NOW)
            .unwrap();
    }
    miscount(&mut domain, 4);
    assert_eq!(domain.status(1), Status::Serving);
    // A day later they are forgiven, though not forgotten.
    domain.now += 86_401;
    miscount(&mut domain, 4);
    assert_eq!(domain.status(1), Status::Serving);
    miscount(&mut domain, 1);
    let suspended = Status::Suspended {
        reason: Reason::Counts,
        since: domain.now,
    };
    assert_eq!(domain.status(1), suspended);
    let member = domain.registry.member(address(1)).unwrap();
    assert_eq!(member.evidence.records().count(), 9);
    domain.registry.tick(domain.now + 1_000_000_000);
    assert_eq!(domain.status(1), suspended);
    domain.registry.reinstate(address(1)).unwrap();
    assert_eq!(domain.status(1), Status::Probation);
    assert_eq!(
        domain.registry.reinstate(address(1)),
        Err(MembershipRefusal::NotSuspended(address(1)))
    );
}

#[test]
fn leaving_and_coming_back_wipes_nothing_out() {
    let mut domain = Domain::serving();
    miscount(&mut domain, 5);
    domain.registry.leave(&leave(1, 2, NOW + 60), NOW).unwrap();
    let gone = domain.registry.heartbeat(&beat(1, 1, NOW), NOW);
    assert_eq!(gone, Err(MembershipRefusal::Left(address(1))));
    domain.registry.tick(NOW + 1_000_000_000);
    domain.join(&request(1, 101, 3)).unwrap();
    assert!(matches!(
        domain.status(1),
        Status::Suspended {
            reason: Reason::Counts,
            ..
        }
    ));
    let member = domain.registry.member(address(1)).unwrap();
    assert_eq!(member.evidence.records().count(), 5);
    // Nor does joining anew while it is suspended, or a change of operator.
    domain.join(&request(1, 102, 4)).unwrap();
    assert!(matches!(domain.status(1), Status::Suspended { .. }));
}

#[test]
fn a_leave_counts_once_and_an_old_join_does_not_undo_it() {
    let mut domain = Domain::serving();
    let old = request(1, 101, 1);
    let left = leave(1, 2, NOW + 60);
    domain.registry.leave(&left, NOW).unwrap();
    assert!(matches!(
        domain.status(1),
        Status::Left {
            suspended: None,
            ..
        }
    ));
    assert!(matches!(
        domain.join(&old),
        Err(MembershipRefusal::Join(JoinRefusal::Node(
            StatementRefusal::Replayed { nonce: 1, last: 2 }
        )))
    ));
    domain.join(&request(1, 101, 3)).unwrap();
    assert_eq!(
        domain.registry.leave(&left, NOW),
        Err(StatementRefusal::Replayed { nonce: 2, last: 3 }.into())
    );
    let late = domain.registry.leave(&leave(1, 4, NOW - 1), NOW);
    let refusal = StatementRefusal::Expired {
        expiry: NOW - 1,
        now: NOW,
    };
    assert_eq!(late, Err(refusal.into()));
}

#[test]
fn a_new_configuration_is_proven_anew_and_the_same_one_goes_on() {
    let mut domain = Domain::serving();
    domain.join(&request(1, 101, 2)).unwrap();
    assert_eq!(domain.status(1), Status::Serving);
    let mut other = config();
    other.model = B256::repeat_byte(9);
    let mut join = join_of(1, 101, 3);
    join.config_hash = other.hash();
    let mut changed = request(1, 101, 3);
    changed.join = sign(join, 1);
    let joined = domain
        .registry
        .join(&changed, &other, 0, &everybody(), NOW)
        .unwrap();
    assert_eq!(joined.status, Some(Status::Probation));
}

#[test]
fn one_who_left_long_ago_is_forgotten_but_not_while_a_join_of_it_could_be_replayed() {
    let mut domain = Domain::serving();
    domain.registry.leave(&leave(1, 2, NOW + 60), NOW).unwrap();
    domain.registry.tick(NOW + 7 * 86_400);
    assert!(domain.registry.member(address(1)).is_some());
    let changes = domain.registry.tick(NOW + 7 * 86_400 + 1);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].status, None);
    assert!(domain.registry.member(address(1)).is_none());
    domain.now = NOW + 7 * 86_400 + 1;
    assert!(matches!(
        domain.join(&request(1, 101, 1)),
        Err(MembershipRefusal::Join(JoinRefusal::Node(
            StatementRefusal::Expired { .. }
        )))
    ));
}

#[test]
fn evidence_is_bounded_and_says_what_is_missing() {
    let mut domain = Domain::serving();
    let long = "é".repeat(CANARY_ID_LEN_MAX);
    for _ in 0..RECORDS_MAX + 3 {
        let verdict = CanaryVerdict::WrongAnswer;
        domain
            .registry
            .canary(address(1), &long, verdict, NOW)
            .unwrap();
    }
    let evidence = &domain.registry.member(address(1)).unwrap().evidence;
    assert_eq!(evidence.records().count(), RECORDS_MAX);
    assert_eq!(evidence.dropped(), 3);
    let first = evidence.records().next().unwrap();
    assert!(matches!(
        &first.observed,
        Observed::Canary { canary, .. } if canary.len() == CANARY_ID_LEN_MAX
    ));
    let json = serde_json::to_string(evidence).unwrap();
    assert!(json.contains("\"wrong-answer\""), "{json}");
}

#[test]
fn several_nodes_earn_for_one_operator() {
    let mut domain = Domain::new();
    for (node, operator) in [(1, 101), (2, 101), (3, 102)] {
        domain.join(&request(node, operator, 1)).unwrap();
    }
    let operators = domain.registry.operators();
    assert_eq!(operators[&address(101)].len(), 2);
    assert_eq!(operators[&address(102)].len(), 1);
    domain.registry.leave(&leave(3, 2, NOW + 60), NOW).unwrap();
    assert!(!domain.registry.operators().contains_key(&address(102)));
}

#[test]
fn a_full_domain_takes_nobody_new_and_keeps_whom_it_has() {
    let rules = Rules {
        members_max: 2,
        ..Rules::default()
    };
    let mut domain = Domain {
        registry: Registry::new(PLACE, rules),
        now: NOW,
    };
    domain.join(&request(1, 101, 1)).unwrap();
    domain.join(&request(2, 101, 1)).unwrap();
    let full = domain.join(&request(3, 101, 1));
    assert_eq!(full, Err(MembershipRefusal::Full(2)));
    domain.join(&request(1, 101, 2)).unwrap();
}
