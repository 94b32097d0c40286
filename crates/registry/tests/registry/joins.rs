//! Joins that count, and every way in which one does not.

use crate::scene::*;
use alloy_primitives::{Address, B256};
use gaia_registry::join::{ENDPOINT_LEN_MAX, LastNonces};
use gaia_registry::statement::LIFETIME_SECONDS_MAX;
use gaia_registry::{JoinRefusal, JoinRequest, NodeJoin, OperatorConsent, StatementRefusal};
use gaia_statements::{ForeignDomain, Signature, SigningDomain};

fn verify(request: &JoinRequest) -> Result<(), JoinRefusal> {
    let verified = request.verify(&PLACE, LastNonces::default(), NOW);
    verified.map(|verified| assert_eq!(*verified.join(), request.join.statement))
}

fn refused(request: &JoinRequest) -> JoinRefusal {
    let refusal = verify(request).unwrap_err();
    let told = told(&refusal);
    assert!(told.contains(':') || told.contains("must be"), "{told}");
    refusal
}

/// What `change` makes of a join that the node signs afterwards.
fn with_join(change: impl FnOnce(&mut NodeJoin)) -> JoinRequest {
    let mut join = join_of(1, 101, 1);
    change(&mut join);
    JoinRequest {
        join: sign(join, 1),
        ..request(1, 101, 1)
    }
}

/// What `change` makes of a consent that `signer` signs afterwards.
fn with_consent(signer: u8, change: impl FnOnce(&mut OperatorConsent)) -> JoinRequest {
    let mut consent = consent_of(1, 101, 1);
    change(&mut consent);
    JoinRequest {
        consent: Some(sign(consent, signer)),
        ..request(1, 101, 1)
    }
}

#[test]
fn a_join_with_its_operators_consent_counts() {
    assert_eq!(verify(&request(1, 101, 1)), Ok(()));
    let json = serde_json::to_string(&request(1, 101, 1)).unwrap();
    let read: JoinRequest = serde_json::from_str(&json).unwrap();
    assert_eq!(verify(&read), Ok(()));
}

#[test]
fn a_node_that_is_its_own_operator_needs_no_consent() {
    let own = JoinRequest {
        join: sign(join_of(1, 1, 1), 1),
        consent: None,
    };
    assert_eq!(verify(&own), Ok(()));
}

#[test]
fn a_join_for_elsewhere_is_refused_by_name() {
    let elsewhere = |signing| JoinRequest {
        join: sign_for(signing, join_of(1, 101, 1), 1),
        ..request(1, 101, 1)
    };
    let chain = SigningDomain {
        chain_id: 1,
        ..PLACE.signing
    };
    assert!(matches!(
        refused(&elsewhere(chain)),
        JoinRefusal::Node(StatementRefusal::Foreign(ForeignDomain::Chain {
            theirs: 1,
            ..
        }))
    ));
    let contract = SigningDomain {
        verifying_contract: Address::ZERO,
        ..PLACE.signing
    };
    assert!(matches!(
        refused(&elsewhere(contract)),
        JoinRefusal::Node(StatementRefusal::Foreign(ForeignDomain::Contract { .. }))
    ));
    assert!(matches!(
        refused(&with_join(|join| join.domain_id = B256::ZERO)),
        JoinRefusal::Node(StatementRefusal::AnotherDomain { .. })
    ));
    // Saying that it was signed for here does not help.
    let mut lie = elsewhere(chain);
    lie.join.domain = PLACE.signing;
    assert!(matches!(
        refused(&lie),
        JoinRefusal::Node(StatementRefusal::AnotherSigner { .. })
    ));
}

#[test]
fn anothers_address_and_a_forged_statement_are_refused() {
    let mut anothers = request(1, 101, 1);
    anothers.join = sign(join_of(1, 101, 1), 201);
    assert_eq!(
        refused(&anothers),
        JoinRefusal::Node(StatementRefusal::AnotherSigner {
            author: address(1),
            signer: address(201)
        })
    );
    let changes: [fn(&mut NodeJoin); 6] = [
        |join| join.node = address(2),
        |join| join.operator = address(102),
        |join| join.config_hash = B256::ZERO,
        |join| join.endpoint = "https://evil.example".to_owned(),
        |join| join.nonce += 1,
        |join| join.expiry += 1,
    ];
    for change in changes {
        let mut forged = request(1, 101, 1);
        change(&mut forged.join.statement);
        assert!(matches!(
            refused(&forged),
            JoinRefusal::Node(
                StatementRefusal::AnotherSigner { .. } | StatementRefusal::Malformed { .. }
            )
        ));
    }
}

#[test]
fn a_join_is_good_for_an_hour_at_most_and_not_a_second_longer_than_it_says() {
    let at = |expiry| with_join(|join| join.expiry = expiry);
    assert_eq!(verify(&at(NOW)), Ok(()));
    assert_eq!(verify(&at(NOW + LIFETIME_SECONDS_MAX)), Ok(()));
    assert!(matches!(
        refused(&at(NOW - 1)),
        JoinRefusal::Node(StatementRefusal::Expired { .. })
    ));
    for expiry in [NOW + LIFETIME_SECONDS_MAX + 1, u64::MAX] {
        assert!(matches!(
            refused(&at(expiry)),
            JoinRefusal::Node(StatementRefusal::LifetimeTooLong { .. })
        ));
    }
}

#[test]
fn a_nonce_counts_once_and_up() {
    let check = |node, consent, allowed: bool| {
        let last = LastNonces { node, consent };
        let result = request(1, 101, 5).verify(&PLACE, last, NOW);
        assert_eq!(result.is_ok(), allowed, "{last:?}: {result:?}");
    };
    check(Some(4), Some(4), true);
    check(Some(5), None, false);
    check(Some(6), None, false);
    check(None, Some(5), false);
    check(Some(u64::MAX), None, false);
}

#[test]
fn a_consent_that_is_missing_foreign_or_forged_is_refused() {
    let missing = JoinRequest {
        consent: None,
        ..request(1, 101, 1)
    };
    let of = address(101);
    assert_eq!(refused(&missing), JoinRefusal::ConsentMissing(of));
    let foreign = |request: &JoinRequest| {
        assert!(matches!(
            refused(request),
            JoinRefusal::ConsentForeign { .. }
        ));
    };
    foreign(&with_consent(101, |consent| consent.node = address(2)));
    foreign(&with_consent(102, |consent| {
        consent.operator = address(102)
    }));
    let forged = with_consent(1, |_| {});
    assert!(matches!(
        refused(&forged),
        JoinRefusal::Consent(StatementRefusal::AnotherSigner { signer, .. }) if signer == address(1)
    ));
    let elsewhere = with_consent(101, |consent| consent.domain_id = B256::ZERO);
    assert!(matches!(
        refused(&elsewhere),
        JoinRefusal::Consent(StatementRefusal::AnotherDomain { .. })
    ));
    let late = with_consent(101, |consent| consent.expiry = NOW - 1);
    assert!(matches!(
        refused(&late),
        JoinRefusal::Consent(StatementRefusal::Expired { .. })
    ));
    let nobody = with_join(|join| join.operator = Address::ZERO);
    assert_eq!(refused(&nobody), JoinRefusal::Nobody);
}

#[test]
fn an_endpoint_is_empty_or_an_https_origin() {
    let check = |endpoint: &str, taken: bool| {
        let request = with_join(|join| join.endpoint = endpoint.to_owned());
        let expected = if taken {
            Ok(())
        } else {
            Err(JoinRefusal::Endpoint)
        };
        assert_eq!(verify(&request), expected, "{endpoint}");
    };
    let host = |len: usize| format!("https://{}", "a".repeat(len - 8));
    check("", true);
    check("https://node.example:8443", true);
    check("https://[2001:db8::1]:8443", true);
    check(&host(ENDPOINT_LEN_MAX), true);
    check(&host(ENDPOINT_LEN_MAX + 1), false);
    for wrong in [
        "http://node.example",
        "https://",
        "https://user@node.example",
        "https://node.example/path",
        "https://node.example#",
        "https://node example",
        "https://knö.example",
        "node.example",
    ] {
        check(wrong, false);
    }
}

#[test]
fn bytes_that_nobody_signed_are_refused() {
    let mut zeros = [0; 65];
    zeros[64] = 27;
    let mut unsigned = request(1, 101, 1);
    unsigned.join.signature = Signature::from_bytes(&zeros).unwrap();
    assert!(matches!(
        refused(&unsigned),
        JoinRefusal::Node(StatementRefusal::Malformed { .. })
    ));
}
