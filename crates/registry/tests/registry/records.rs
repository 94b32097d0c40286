//! What is kept of members, and taken over from other gateways.

use crate::scene::{Domain, NOW, PLACE, address, beat, config, everybody, leave, request};
use gaia_registry::{CanaryVerdict, MemberRecord, MembershipRefusal, Registry, Rules, Status};

/// As a database keeps it.
fn through_text(record: &MemberRecord) -> MemberRecord {
    serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
}

fn restarted(domain: &Domain) -> Domain {
    let mut registry = Registry::new(PLACE, Rules::default());
    for member in domain.registry.members() {
        let record = domain.registry.record(member.node).unwrap();
        registry.restore(through_text(&record));
    }
    Domain {
        registry,
        now: domain.now,
    }
}

#[test]
fn a_restart_loses_nothing() {
    let mut domain = Domain::serving();
    domain.join(&request(2, 102, 7)).unwrap();
    domain.canary(CanaryVerdict::WrongAnswer);
    let restarted = restarted(&domain);
    assert!(restarted.registry == domain.registry);
}

#[test]
fn what_was_used_up_before_a_restart_is_refused_after_it() {
    let mut domain = Domain::serving();
    domain.registry.heartbeat(&beat(1, 5, NOW), NOW).unwrap();
    let mut domain = restarted(&domain);
    let refused = domain.join(&request(1, 101, 1)).unwrap_err();
    assert!(matches!(refused, MembershipRefusal::Join(_)), "{refused}");
    let replayed = domain.registry.heartbeat(&beat(1, 5, NOW), NOW);
    let replayed = replayed.unwrap_err();
    assert!(matches!(replayed, MembershipRefusal::Sequence { .. }));
    // Only the consent is old: the join is new.
    let mut mixed = request(1, 101, 2);
    mixed.consent = request(1, 101, 1).consent;
    let refused = domain.join(&mixed).unwrap_err();
    assert!(matches!(refused, MembershipRefusal::Join(_)), "{refused}");
}

#[test]
fn an_older_record_takes_nothing_back_that_was_used_up() {
    let mut domain = Domain::serving();
    let older = domain.registry.record(address(1)).unwrap();
    let joined = domain
        .registry
        .join(&request(1, 101, 9), &config(), 0, &everybody(), NOW);
    joined.unwrap();
    domain.registry.heartbeat(&beat(1, 40, NOW), NOW).unwrap();
    assert_eq!(domain.registry.restore(older), None);
    let member = domain.registry.member(address(1)).unwrap();
    assert_eq!((member.nonce, member.sequence), (9, Some(40)));
    assert!(domain.registry.heartbeat(&beat(1, 40, NOW), NOW).is_err());
    assert!(domain.join(&request(1, 101, 9)).is_err());
}

#[test]
fn what_another_gateway_has_changed_is_told() {
    let mut here = Domain::serving();
    let mut there = restarted(&here);
    there.registry.leave(&leave(1, 2, NOW + 60), NOW).unwrap();
    let record = there.registry.record(address(1)).unwrap();
    let change = here.registry.restore(record).unwrap();
    assert!(matches!(change.status, Some(Status::Left { .. })));
    let forgotten = here.registry.forget(address(1)).unwrap();
    assert_eq!(forgotten.status, None);
    assert_eq!(here.registry.forget(address(1)), None);
    assert!(here.registry.record(address(1)).is_none());
}

#[test]
fn nobody_is_blamed_for_silence_while_nobody_listened() {
    let domain = Domain::serving();
    let later = NOW + 100_000;
    let mut restarted = restarted(&domain);
    restarted.registry.listening_since(later);
    assert_eq!(restarted.registry.tick(later), []);
    let silent = restarted.registry.tick(later + 31);
    assert!(matches!(silent[0].status, Some(Status::Suspended { .. })));
}
