//! Members held against a policy that changes.

use crate::scene::*;
use gaia_registry::{
    CanaryVerdict, Change, Judgement, MembershipRefusal, Observed, Policy, Reason, Status,
};
use gaia_statements::{Claimed, Counted, TokenCounts};

fn policy(text: &str) -> Policy {
    Policy::parse(&format!("admission = \"open\"\n{text}")).unwrap()
}

fn denying(number: u8) -> Policy {
    policy(&format!("deny = [\"{}\"]", address(number)))
}

impl Domain {
    fn judge(&mut self, policy: &Policy, staked: Option<u64>) -> Option<Change> {
        let node = address(1);
        let judged = self.registry.member(node).unwrap().judged(policy, staked);
        let change = self.registry.judge(node, policy, staked, self.now).unwrap();
        assert_eq!(judged.is_some(), change.is_some(), "{judged:?}");
        change
    }

    fn reason(&self) -> Option<Reason> {
        match self.status(1) {
            Status::Suspended { reason, .. } => Some(reason),
            _ => None,
        }
    }
}

#[test]
fn who_no_longer_fits_is_suspended_and_comes_back_with_the_policy() {
    for against in [
        denying(1),
        denying(101),
        Policy::parse(&format!("allow = [\"{}\"]", address(2))).unwrap(),
        policy(&format!("required_models = [\"{}\"]", config().prompts)),
        policy(&format!("required_knowledge = [\"{}\"]", config().model)),
        policy(&format!("required_prompts = [\"{}\"]", config().model)),
    ] {
        let mut domain = Domain::serving();
        assert_eq!(domain.judge(&everybody(), None), None);
        assert!(domain.judge(&against, None).is_some(), "{against:?}");
        assert_eq!(domain.reason(), Some(Reason::Policy));
        assert_eq!(domain.judge(&against, None), None, "once");
        let member = domain.registry.member(address(1)).unwrap();
        let seen = member.evidence.records().last().unwrap();
        assert!(matches!(&seen.observed, Observed::Policy { why } if !why.is_empty()));
        // Canaries that were under way change nothing.
        domain.canary(CanaryVerdict::Passed);
        for _ in 0..5 {
            domain.canary(CanaryVerdict::WrongAnswer);
        }
        assert_eq!(domain.reason(), Some(Reason::Policy));
        assert!(domain.judge(&everybody(), None).is_some());
        assert_eq!(domain.status(1), Status::Probation);
    }
}

#[test]
fn a_stake_is_held_to_the_minimum_only_where_it_is_known() {
    let asks = policy("minimum_stake = 5");
    let mut domain = Domain::serving();
    assert_eq!(domain.judge(&asks, None), None);
    assert_eq!(domain.judge(&asks, Some(5)), None);
    assert!(domain.judge(&asks, Some(4)).is_some());
    assert_eq!(domain.reason(), Some(Reason::Stake));
    assert_eq!(domain.judge(&asks, None), None, "nobody knows");
    // The policy itself is the graver reason.
    assert!(domain.judge(&denying(1), None).is_some());
    assert_eq!(domain.reason(), Some(Reason::Policy));
    assert!(domain.judge(&asks, Some(4)).is_some());
    assert_eq!(domain.reason(), Some(Reason::Stake));
    assert!(domain.judge(&asks, Some(5)).is_some());
    assert_eq!(domain.status(1), Status::Probation);
    domain.judge(&asks, Some(4));
    assert!(
        domain.judge(&everybody(), None).is_some(),
        "nothing is asked for any more"
    );
}

#[test]
fn a_suspension_that_was_earned_outlasts_the_policy() {
    let mut domain = Domain::serving();
    let counts = |output| TokenCounts {
        input: 10,
        cached: 0,
        output,
    };
    let both = (Counted(counts(10)), Claimed(counts(500)));
    for _ in 0..5 {
        let id = alloy_primitives::B256::repeat_byte(7);
        domain.registry.counts(address(1), id, both, NOW).unwrap();
    }
    assert_eq!(domain.judge(&denying(1), None), None);
    assert_eq!(domain.judge(&everybody(), None), None);
    assert_eq!(domain.reason(), Some(Reason::Counts));
}

#[test]
fn what_the_policy_held_against_a_node_ends_with_a_join_that_fits() {
    let mut domain = Domain::serving();
    domain.judge(&denying(1), None);
    domain.registry.leave(&leave(1, 2, NOW + 10), NOW).unwrap();
    let left = domain.registry.judge(address(1), &everybody(), None, NOW);
    assert_eq!(left, Err(MembershipRefusal::Left(address(1))));
    domain.join(&request(1, 101, 3)).unwrap();
    assert_eq!(domain.status(1), Status::Probation);
    domain.judge(&denying(1), None);
    domain.join(&request(1, 101, 4)).unwrap();
    assert_eq!(domain.status(1), Status::Probation);
}

#[test]
fn who_does_not_fit_and_is_not_heard_is_forgotten() {
    let mut domain = Domain::serving();
    domain.judge(&denying(1), None);
    domain.now += 6 * 86_400;
    domain
        .registry
        .heartbeat(&beat(1, 1, domain.now), domain.now)
        .unwrap();
    domain.now += 6 * 86_400;
    assert_eq!(domain.registry.tick(domain.now), []);
    domain.now += 2 * 86_400;
    assert_eq!(domain.registry.tick(domain.now).len(), 1);
    assert!(domain.registry.member(address(1)).is_none());
}

#[test]
fn records_from_before_configurations_were_kept_are_held_to_lists_alone() {
    let domain = Domain::serving();
    let record = domain.registry.record(address(1)).unwrap();
    let mut json = serde_json::to_value(&record).unwrap();
    json["member"].as_object_mut().unwrap().remove("config");
    let old: gaia_registry::MemberRecord = serde_json::from_value(json).unwrap();
    let asks = policy(&format!("required_models = [\"{}\"]", config().prompts));
    assert_eq!(old.member.judged(&asks, None), None);
    let judged = old.member.judged(&denying(1), None);
    assert!(matches!(
        judged,
        Some(Judgement::Suspended(Reason::Policy, _))
    ));
}
