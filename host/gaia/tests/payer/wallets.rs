//! Wallets, amounts, receipts: what needs no chain.

use alloy_primitives::{Address, B256};
use gaia_ledger::price::ModelId;
use gaia_ledger::{NanoUnits, NanoUsd, Receipt, SignedReceipt};
use gaia_statements::{SigningDomain, TokenCounts};
use serde_json::Value;

use crate::scene::{GATEWAY, NODE, PAYER, key, signature, with_password};

#[test]
fn a_wallet_is_made_once_and_shown_to_who_says_so() {
    let sandbox = with_password();
    let made = sandbox.gaia(&["wallet", "new"]).ok();
    let address = sandbox.gaia(&["wallet", "show"]).ok().trim().to_owned();
    assert!(made.starts_with(&address), "{made}");
    let again = sandbox.gaia(&["wallet", "new"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains(&address), "{}", again.err);
    let refused = sandbox.gaia(&["wallet", "export"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    let shown = sandbox.gaia(&["wallet", "export", "--yes"]).ok();
    assert_eq!(key(shown.trim()).address().to_string(), address);
    assert!(!made.contains(shown.trim()));
}

#[test]
fn a_key_is_taken_over_without_being_repeated() {
    let sandbox = with_password();
    let wrong = sandbox.gaia_with_input(&["wallet", "import", "--hex"], "4711secret");
    assert_eq!(wrong.code, 2);
    assert!(!format!("{}{}", wrong.out, wrong.err).contains("4711secret"));
    let taken = sandbox
        .gaia_with_input(&["wallet", "import", "--hex"], PAYER)
        .ok();
    assert!(taken.contains(&key(PAYER).address().to_string()));
    let other = with_password();
    let keystore = sandbox.path("home/wallet.json");
    other
        .gaia(&["wallet", "import", keystore.to_str().unwrap()])
        .ok();
    assert_eq!(
        other.gaia(&["wallet", "show"]).ok(),
        sandbox.gaia(&["wallet", "show"]).ok()
    );
}

#[test]
fn amounts_are_exact_or_refused() {
    let sandbox = with_password();
    for amount in ["1e3", "1,5", "-1", "0.0000000001", "99999999999999"] {
        let refused = sandbox.gaia(&["deposit", "http://127.0.0.1:1", "--", amount]);
        assert_eq!(refused.code, 2, "{amount}: {}", refused.err);
    }
}

fn receipt(cost: u64) -> SignedReceipt {
    let domain = SigningDomain {
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(7),
    };
    let usd = |nano| NanoUsd::new(nano).unwrap();
    let receipt = Receipt {
        domain_id: B256::repeat_byte(1),
        request_id: B256::repeat_byte(2),
        key_id: B256::repeat_byte(3),
        payer: key(PAYER).address(),
        asset: Address::repeat_byte(4),
        node: key(NODE).address(),
        operator: key(NODE).address(),
        model: ModelId::of("model"),
        price_version: 1,
        tokens: TokenCounts::default(),
        cost: usd(cost),
        key_cumulative: usd(10),
        account_cumulative: usd(20),
        node_cumulative: NanoUnits::new(5).unwrap(),
        epoch: gaia_ledger::account::EpochNumber(1),
        time: gaia_ledger::account::Timestamp(1),
    };
    let digest = receipt.digest(&domain);
    SignedReceipt {
        domain,
        receipt,
        node_signature: signature(&digest, NODE),
        gateway_signature: signature(&digest, GATEWAY),
    }
}

#[test]
fn a_receipt_is_checked_without_asking_anybody() {
    let sandbox = with_password();
    let verify = |receipt: &SignedReceipt| {
        let text = serde_json::to_string(receipt).unwrap();
        sandbox.gaia_with_input(&["receipt", "verify", "-", "--json"], &text)
    };
    let verdict = |checks: &Value, what: &str| {
        let checks = checks["checks"].as_array().unwrap().iter();
        checks.clone().find(|check| check["what"] == what).unwrap()["holds"].clone()
    };
    let checks = verify(&receipt(5)).json();
    assert_eq!(verdict(&checks, "node's signature"), "holds");
    assert_eq!(verdict(&checks, "sums"), "holds");
    // Whose gateway that is, only the chain knows.
    assert_eq!(verdict(&checks, "gateway's signature"), "unknown");
    let mut altered = receipt(5);
    altered.receipt.cost = NanoUsd::new(6).unwrap();
    let refused = verify(&altered);
    assert_eq!(refused.code, 1);
    let checks = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(verdict(&checks, "node's signature"), "fails");
    assert_eq!(verify(&receipt(11)).code, 1, "a sum without its part");
}

#[test]
fn what_the_domain_said_instead_of_a_receipt_is_told() {
    let sandbox = with_password();
    let said = r#"{"error": {"message": "Receipt with id '0x12' not found."}}"#;
    let refused = sandbox.gaia_with_input(&["receipt", "verify", "-"], said);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("Receipt with id '0x12' not found."),
        "{}",
        refused.err
    );
}

#[test]
fn a_home_without_a_wallet_is_told_how_to_make_one() {
    let sandbox = with_password();
    let shown = sandbox.gaia(&["wallet", "show"]);
    assert_eq!(shown.code, 1);
    assert!(shown.err.contains("gaia wallet new"), "{}", shown.err);
}

#[test]
fn a_home_without_a_node_joins_nothing_and_says_so() {
    // Asked for a password that is not there, somebody would look for it.
    let sandbox = with_password();
    let password = sandbox.path("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let refused = sandbox.gaia(&["leave", "--password-file", password.to_str().unwrap()]);
    assert!(refused.err.contains("joined no domain"), "{}", refused.err);
    let wrong = sandbox.path("wrong");
    std::fs::write(&wrong, "battery staple\n").unwrap();
    sandbox.gaia(&["init"]).ok();
    let file = wrong.to_str().unwrap();
    let started = sandbox.gaia(&["start", "--password-file", file]);
    assert_eq!(started.code, 1);
    assert!(started.err.contains("wrong password"), "{}", started.err);
    let missing = sandbox.gaia(&["start", "--password-file", "/nowhere"]);
    assert!(missing.err.contains("/nowhere"), "{}", missing.err);
}
