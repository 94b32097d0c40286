//! Receipts that count, and every way in which one does not.

use crate::scene::{NOW, STABLE, account, id, units, usd};
use alloy_primitives::{Address, B256};
use gaia_ledger::account::EpochNumber;
use gaia_ledger::price::ModelId;
use gaia_ledger::receipt::{Expected, ReceiptError, Signer};
use gaia_ledger::{ModelPrice, PriceTable, Receipt, SignedReceipt};
use gaia_statements::{ForeignDomain, Signature, SigningDomain, TokenCounts};
use k256::ecdsa::SigningKey;

const DOMAIN: SigningDomain = SigningDomain {
    chain_id: 31337,
    verifying_contract: Address::repeat_byte(0xc0),
};
const DOMAIN_ID: B256 = B256::repeat_byte(0xd0);

fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).unwrap()
}

fn address(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

fn sign(key: &SigningKey, digest: &B256) -> Signature {
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let mut bytes = signature.to_vec();
    bytes.push(27 + recovery.to_byte());
    Signature::from_bytes(&bytes).unwrap()
}

fn prices() -> PriceTable {
    let price = ModelPrice {
        model: ModelId::of("m"),
        input: usd(200_000),
        cached: usd(20_000),
        output: usd(800_000),
    };
    PriceTable::new(2, vec![price]).unwrap()
}

fn receipt() -> Receipt {
    Receipt {
        domain_id: DOMAIN_ID,
        request_id: id(1),
        key_id: id(2),
        payer: account(1, STABLE).payer,
        asset: STABLE,
        node: address(&key(1)),
        operator: address(&key(3)),
        model: ModelId::of("m"),
        price_version: 2,
        tokens: TokenCounts {
            input: 1234,
            cached: 567,
            output: 89,
        },
        cost: usd(330),
        key_cumulative: usd(1_000),
        account_cumulative: usd(5_000),
        node_cumulative: units(7_000),
        epoch: EpochNumber(7),
        time: NOW,
    }
}

fn signed_by(receipt: Receipt, node: u8, gateway: u8) -> SignedReceipt {
    let digest = receipt.digest(&DOMAIN);
    SignedReceipt {
        domain: DOMAIN,
        receipt,
        node_signature: sign(&key(node), &digest),
        gateway_signature: sign(&key(gateway), &digest),
    }
}

fn verify(signed: &SignedReceipt) -> Result<(), ReceiptError> {
    let prices = prices();
    signed.verify(&Expected {
        domain: DOMAIN,
        domain_id: DOMAIN_ID,
        gateway: address(&key(2)),
        node_admitted: Some(true),
        prices: Some(&prices),
    })
}

/// What `change` makes of a receipt that is signed afterwards.
fn verify_changed(change: impl FnOnce(&mut Receipt)) -> ReceiptError {
    let mut receipt = receipt();
    change(&mut receipt);
    verify(&signed_by(receipt, 1, 2)).unwrap_err()
}

#[test]
fn a_receipt_signed_by_node_and_gateway_counts() {
    let signed = signed_by(receipt(), 1, 2);
    assert_eq!(verify(&signed), Ok(()));
    let json = serde_json::to_string(&signed).unwrap();
    let read: SignedReceipt = serde_json::from_str(&json).unwrap();
    assert_eq!(verify(&read), Ok(()));
}

#[test]
fn a_signature_by_another_key_is_named() {
    let by_stranger = |node, gateway| verify(&signed_by(receipt(), node, gateway)).unwrap_err();
    let stranger = address(&key(9));
    assert!(matches!(
        by_stranger(9, 2),
        ReceiptError::Forged { signer: Signer::Node, found, .. } if found == stranger
    ));
    assert!(matches!(
        by_stranger(1, 9),
        ReceiptError::Forged { signer: Signer::Gateway, found, .. } if found == stranger
    ));
}

#[test]
fn nothing_of_a_receipt_can_be_changed_after_it_was_signed() {
    let changes: [fn(&mut Receipt); 17] = [
        |r| r.request_id = id(9),
        |r| r.key_id = id(9),
        |r| r.payer = Address::ZERO,
        |r| r.asset = Address::ZERO,
        |r| r.node = Address::ZERO,
        |r| r.operator = Address::ZERO,
        |r| r.model = ModelId::of("n"),
        |r| r.price_version = 3,
        |r| r.tokens.input += 1,
        |r| r.tokens.cached += 1,
        |r| r.tokens.output += 1,
        |r| r.cost = usd(331),
        |r| r.key_cumulative = usd(1_001),
        |r| r.account_cumulative = usd(5_001),
        |r| r.node_cumulative = units(7_001),
        |r| r.epoch.0 += 1,
        |r| r.time.0 += 1,
    ];
    for (place, change) in changes.iter().enumerate() {
        let mut signed = signed_by(receipt(), 1, 2);
        change(&mut signed.receipt);
        let error = verify(&signed).unwrap_err();
        let named = matches!(
            error,
            ReceiptError::Forged {
                signer: Signer::Gateway,
                ..
            } | ReceiptError::Malformed { .. }
        );
        assert!(named, "change {place}: {error}");
    }
}

#[test]
fn a_receipt_of_elsewhere_is_named() {
    let mut signed = signed_by(receipt(), 1, 2);
    signed.domain.chain_id = 1;
    let foreign = verify(&signed).unwrap_err();
    assert!(matches!(
        foreign,
        ReceiptError::Foreign(ForeignDomain::Chain { theirs: 1, .. })
    ));
    signed.domain = DOMAIN;
    signed.domain.verifying_contract = Address::ZERO;
    let foreign = verify(&signed).unwrap_err();
    assert!(matches!(
        foreign,
        ReceiptError::Foreign(ForeignDomain::Contract { .. })
    ));
    let another = verify_changed(|receipt| receipt.domain_id = id(4));
    assert!(matches!(another, ReceiptError::AnotherDomain { .. }));
}

#[test]
fn a_receipt_signed_for_another_chain_is_a_forgery_here() {
    let elsewhere = SigningDomain {
        chain_id: 1,
        ..DOMAIN
    };
    let digest = receipt().digest(&elsewhere);
    let signed = SignedReceipt {
        domain: DOMAIN,
        receipt: receipt(),
        node_signature: sign(&key(1), &digest),
        gateway_signature: sign(&key(2), &digest),
    };
    assert!(matches!(verify(&signed), Err(ReceiptError::Forged { .. })));
}

#[test]
fn a_node_that_the_gateway_made_up_is_named() {
    let signed = signed_by(receipt(), 1, 2);
    let expected = Expected {
        domain: DOMAIN,
        domain_id: DOMAIN_ID,
        gateway: address(&key(2)),
        node_admitted: Some(false),
        prices: None,
    };
    assert_eq!(
        signed.verify(&expected),
        Err(ReceiptError::NodeNotAdmitted(address(&key(1))))
    );
}

#[test]
fn a_gateway_that_signs_wrong_sums_is_found_out() {
    let cost = verify_changed(|receipt| receipt.cost = usd(331));
    assert_eq!(
        cost,
        ReceiptError::Cost {
            stated: usd(331),
            computed: usd(330)
        }
    );
    let low = verify_changed(|receipt| receipt.key_cumulative = usd(329));
    assert!(matches!(low, ReceiptError::Cumulative { .. }));
    let low = verify_changed(|receipt| receipt.account_cumulative = usd(999));
    assert!(matches!(low, ReceiptError::Cumulative { .. }));
    let nobody = verify_changed(|receipt| receipt.operator = Address::ZERO);
    assert_eq!(nobody, ReceiptError::NobodyEarns(units(7_000)));
    let version = verify_changed(|receipt| receipt.price_version = 1);
    assert_eq!(version, ReceiptError::PriceVersion { theirs: 1, ours: 2 });
    let model = verify_changed(|receipt| receipt.model = ModelId::of("n"));
    assert!(matches!(model, ReceiptError::Price(_)));
}

#[test]
fn a_receipt_that_is_missing_shows_in_the_next() {
    let first = receipt();
    let next = Receipt {
        request_id: id(2),
        key_cumulative: usd(1_330),
        account_cumulative: usd(5_330),
        ..first
    };
    assert_eq!(next.comes_after(&first), Ok(()));
    let check = |wrong: Receipt| {
        assert_eq!(wrong.comes_after(&first), Err(ReceiptError::NotAfter));
    };
    check(Receipt {
        key_cumulative: usd(1_329),
        ..next
    });
    check(Receipt {
        account_cumulative: usd(5_329),
        ..next
    });
    check(Receipt {
        payer: Address::ZERO,
        ..next
    });
    check(Receipt {
        key_id: id(3),
        ..next
    });
    let less = Receipt {
        node_cumulative: units(6_999),
        ..next
    };
    check(less);
    // What another node has earned, or this one for somebody else or through an earlier epoch, may be less.
    let accepted = |other: Receipt| assert_eq!(other.comes_after(&first), Ok(()));
    accepted(Receipt {
        node: Address::ZERO,
        ..less
    });
    accepted(Receipt {
        operator: address(&key(4)),
        ..less
    });
    accepted(Receipt {
        epoch: EpochNumber(6),
        ..less
    });
    check(first);
}
