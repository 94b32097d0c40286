//! Grants of access tokens: replayed, expired, foreign, forged ones are refused, each with its reason.

use crate::scene::*;
use alloy_primitives::{Address, B256};
use gaia_registry::{AccessToken, Signed, StatementRefusal, TokenGrant, TokenRevocation};
use gaia_statements::SigningDomain;

fn grant_of(payer: u8, nonce: u64, expiry: u64) -> TokenGrant {
    TokenGrant {
        domain_id: PLACE.domain_id,
        payer: address(payer),
        asset: Address::repeat_byte(0xaa),
        token_hash: AccessToken::new([payer; 32]).id(),
        limit: 7,
        nonce,
        expiry,
    }
}

fn check(
    signed: &Signed<TokenGrant>,
    last: Option<u64>,
    refused: impl FnOnce(StatementRefusal) -> bool,
) {
    let refusal = signed.verify(&PLACE, last, NOW).unwrap_err();
    assert!(refused(refusal.clone()), "{refusal}");
}

#[test]
fn a_grant_counts_once_here_and_in_time() {
    let good = sign(grant_of(1, 5, NOW + 600), 1);
    assert_eq!(good.verify(&PLACE, None, NOW), Ok(()));
    assert_eq!(good.verify(&PLACE, Some(4), NOW), Ok(()));
    check(&good, Some(5), |it| {
        matches!(it, StatementRefusal::Replayed { nonce: 5, last: 5 })
    });
    check(&sign(grant_of(1, 5, NOW - 1), 1), None, |it| {
        matches!(it, StatementRefusal::Expired { .. })
    });
    check(&sign(grant_of(1, 5, NOW + 1_000_000), 1), None, |it| {
        matches!(it, StatementRefusal::LifetimeTooLong { .. })
    });
    check(&sign(grant_of(1, 5, NOW + 600), 2), None, |it| {
        matches!(it, StatementRefusal::AnotherSigner { .. })
    });
    let other = SigningDomain {
        chain_id: 1,
        ..PLACE.signing
    };
    check(&sign_for(other, grant_of(1, 5, NOW + 600), 1), None, |it| {
        matches!(it, StatementRefusal::Foreign(_))
    });
    let elsewhere = TokenGrant {
        domain_id: B256::ZERO,
        ..grant_of(1, 5, NOW + 600)
    };
    check(&sign(elsewhere, 1), None, |it| {
        matches!(it, StatementRefusal::AnotherDomain { .. })
    });
}

#[test]
fn what_was_signed_cannot_be_changed() {
    let good = sign(grant_of(1, 5, NOW + 600), 1);
    let altered = [
        TokenGrant {
            limit: 8,
            ..good.statement.clone()
        },
        TokenGrant {
            asset: Address::ZERO,
            ..good.statement.clone()
        },
        TokenGrant {
            token_hash: B256::ZERO,
            ..good.statement.clone()
        },
        TokenGrant {
            nonce: 6,
            ..good.statement.clone()
        },
        TokenGrant {
            expiry: NOW + 601,
            ..good.statement.clone()
        },
    ];
    for statement in altered {
        let altered = Signed {
            statement,
            ..good.clone()
        };
        check(&altered, None, |it| {
            matches!(it, StatementRefusal::AnotherSigner { .. })
        });
    }
}

#[test]
fn a_grant_is_no_revocation() {
    let grant = sign(grant_of(1, 5, NOW + 600), 1);
    let revocation = TokenRevocation {
        domain_id: PLACE.domain_id,
        payer: address(1),
        token_hash: grant.statement.token_hash,
        nonce: 5,
        expiry: NOW + 600,
    };
    let forged = Signed {
        domain: grant.domain,
        statement: revocation.clone(),
        signature: grant.signature,
    };
    let refusal = forged.verify(&PLACE, None, NOW).unwrap_err();
    assert!(
        matches!(refusal, StatementRefusal::AnotherSigner { .. }),
        "{refusal}"
    );
    assert_eq!(sign(revocation, 1).verify(&PLACE, None, NOW), Ok(()));
}
