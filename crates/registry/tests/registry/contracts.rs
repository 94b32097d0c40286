//! The samples that the contracts have written: both sides hash the same and find the same signer.

use gaia_registry::{
    Heartbeat, NodeJoin, NodeLeave, OperatorConsent, Place, Signed, Statement, StatementRefusal,
};
use gaia_statements::{Signature, SigningDomain};
use serde_json::Value;

fn samples() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contracts/vectors/eip712.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap()
}

fn check<S: Statement>(name: &str, read: impl Fn(&Value) -> S, hash: impl Fn(&S) -> String) {
    let samples = samples();
    let sample = &samples[name];
    let signing = SigningDomain {
        chain_id: number(&samples["domain"]["chainId"]),
        verifying_contract: text(&samples["domain"]["verifyingContract"])
            .parse()
            .unwrap(),
    };
    let statement = read(sample);
    assert_eq!(hash(&statement), text(&sample["structHash"]));
    let digest = statement.digest(&signing).to_string();
    assert_eq!(digest, text(&sample["digest"]));
    assert_eq!(statement.author().to_string(), text(&sample["signer"]));
    let place = Place {
        signing,
        domain_id: statement.domain_id(),
    };
    let signed = Signed {
        domain: signing,
        statement,
        signature: Signature::from_hex(text(&sample["signature"])).unwrap(),
    };
    assert_eq!(place.check(&signed), Ok::<(), StatementRefusal>(()));
}

#[test]
fn a_join_is_the_contracts() {
    let read = |sample: &Value| NodeJoin {
        domain_id: text(&sample["domainId"]).parse().unwrap(),
        node: text(&sample["node"]).parse().unwrap(),
        operator: text(&sample["operator"]).parse().unwrap(),
        config_hash: text(&sample["configHash"]).parse().unwrap(),
        endpoint: text(&sample["endpoint"]).to_owned(),
        nonce: number(&sample["nonce"]),
        expiry: number(&sample["expiry"]),
    };
    check("NodeJoin", read, |join| join.struct_hash().to_string());
}

#[test]
fn a_consent_is_the_contracts() {
    let read = |sample: &Value| OperatorConsent {
        domain_id: text(&sample["domainId"]).parse().unwrap(),
        node: text(&sample["node"]).parse().unwrap(),
        operator: text(&sample["operator"]).parse().unwrap(),
        nonce: number(&sample["nonce"]),
        expiry: number(&sample["expiry"]),
    };
    check("OperatorConsent", read, |it| it.struct_hash().to_string());
}

#[test]
fn a_leave_is_the_contracts() {
    let read = |sample: &Value| NodeLeave {
        domain_id: text(&sample["domainId"]).parse().unwrap(),
        node: text(&sample["node"]).parse().unwrap(),
        nonce: number(&sample["nonce"]),
        expiry: number(&sample["expiry"]),
    };
    check("NodeLeave", read, |leave| leave.struct_hash().to_string());
}

#[test]
fn a_heartbeat_is_the_contracts() {
    let read = |sample: &Value| Heartbeat {
        domain_id: text(&sample["domainId"]).parse().unwrap(),
        node: text(&sample["node"]).parse().unwrap(),
        sequence: number(&sample["sequence"]),
        time: number(&sample["time"]),
        state_hash: text(&sample["stateHash"]).parse().unwrap(),
    };
    check("Heartbeat", read, |beat| beat.struct_hash().to_string());
}
