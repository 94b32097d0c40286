//! What GaiaNet's open code got wrong about who is a node, as tests that this one passes.

use crate::scene::*;
use gaia_registry::canary::{Expectation, Reply};
use gaia_registry::{Canary, CanaryVerdict, JoinRequest, MembershipRefusal, Status};
use gaia_statements::{Signature, SignatureError};

/// `Registry.sol`: `createNode` lets anybody overwrite anybody's node.
#[test]
fn registry_sol_nobody_can_overwrite_a_node() {
    let mut domain = Domain::serving();
    let before = domain.registry.clone();
    // A stranger names node 1 and himself as the operator, and signs all of it himself.
    let mine = JoinRequest {
        join: sign(join_of(1, 201, 2), 201),
        consent: Some(sign(consent_of(1, 201, 2), 201)),
    };
    assert!(domain.join(&mine).is_err());
    // He takes node 1's own old statement, which names its own operator.
    assert!(domain.join(&request(1, 101, 1)).is_err());
    // He alters it.
    let mut altered = request(1, 101, 1);
    altered.join.statement.nonce = 2;
    altered.join.statement.endpoint = "https://mine.example".to_owned();
    assert!(domain.join(&altered).is_err());
    assert!(domain.registry == before);
    // Node 1 itself can, and nobody becomes its operator who has not consented.
    let unasked = JoinRequest {
        join: sign(join_of(1, 102, 2), 1),
        consent: None,
    };
    assert!(domain.join(&unasked).is_err());
    domain.join(&request(1, 102, 2)).unwrap();
    let member = domain.registry.member(address(1)).unwrap();
    assert_eq!(member.operator, address(102));
}

/// gaia-hub: a node is whoever connects under its name.
#[test]
fn gaia_hub_a_name_that_nobody_signed_does_not_count() {
    for unsigned in ["", "0x", &"00".repeat(64)] {
        assert!(Signature::from_hex(unsigned).is_err());
    }
    assert_eq!(
        Signature::from_bytes(&[0; 65]),
        Err(SignatureError::RecoveryId(0))
    );
    let mut domain = Domain::serving();
    // A heartbeat in node 1's name by somebody else keeps nobody alive.
    let beat = sign(beat(1, 1, NOW + 20).statement, 201);
    assert!(domain.registry.heartbeat(&beat, NOW + 20).is_err());
    assert_eq!(domain.registry.tick(NOW + 31).len(), 1);
    // Nor does a leave by somebody else take anybody out.
    let gone = sign(leave(1, 2, NOW + 60).statement, 201);
    assert!(matches!(
        domain.registry.leave(&gone, NOW),
        Err(MembershipRefusal::Statement(_))
    ));
}

/// gaia-domain: the health check takes an error for an answer.
#[test]
fn gaia_domain_an_error_is_no_sign_of_health() {
    let canary = Canary {
        id: "one".to_owned(),
        prompt: "Say one.".to_owned(),
        expected: Expectation::Contains(vec!["one".to_owned()]),
        duration_ms_max: 1_000,
    };
    let mut domain = Domain::serving();
    for _ in 0..3 {
        let verdict = canary.judge(&Reply::Error);
        assert_ne!(verdict, CanaryVerdict::Passed);
        domain.canary(verdict);
    }
    assert!(matches!(domain.status(1), Status::Suspended { .. }));
}
