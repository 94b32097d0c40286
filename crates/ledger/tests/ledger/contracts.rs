//! The samples that the contracts have written: both sides compute the same.

use crate::scene::{party, usd};
use alloy_primitives::{Address, B256};
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::price::ModelId;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{
    ModelPrice, NanoUnits, Price, PriceTable, Receipt, Role, Share, ShareTree, Split,
};
use gaia_statements::{Signature, SigningDomain, TokenCounts};
use serde_json::Value;

fn samples() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contracts/vectors/eip712.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_str().unwrap().parse().unwrap()
}

fn hash(value: &Value) -> B256 {
    value.as_str().unwrap().parse().unwrap()
}

fn address(value: &Value) -> Address {
    value.as_str().unwrap().parse().unwrap()
}

/// The contracts' list: an object by place.
fn list(value: &Value) -> Vec<&Value> {
    let all = value.as_object().unwrap();
    (0..all.len())
        .map(|place| &value[place.to_string()])
        .collect()
}

fn domain(samples: &Value) -> SigningDomain {
    SigningDomain {
        chain_id: number(&samples["domain"]["chainId"]),
        verifying_contract: address(&samples["domain"]["verifyingContract"]),
    }
}

fn receipt(sample: &Value) -> Receipt {
    Receipt {
        domain_id: hash(&sample["domainId"]),
        request_id: hash(&sample["requestId"]),
        key_id: hash(&sample["keyId"]),
        payer: address(&sample["payer"]),
        asset: address(&sample["asset"]),
        node: address(&sample["node"]),
        operator: address(&sample["operator"]),
        model: ModelId(hash(&sample["model"])),
        price_version: u32::try_from(number(&sample["priceVersion"])).unwrap(),
        tokens: TokenCounts {
            input: number(&sample["inputTokens"]),
            cached: number(&sample["cachedTokens"]),
            output: number(&sample["outputTokens"]),
        },
        cost: usd(number(&sample["cost"])),
        key_cumulative: usd(number(&sample["keyCumulative"])),
        account_cumulative: usd(number(&sample["accountCumulative"])),
        node_cumulative: NanoUnits::new(number(&sample["nodeCumulative"])).unwrap(),
        epoch: EpochNumber(number(&sample["epoch"])),
        time: Timestamp(number(&sample["time"])),
    }
}

#[test]
fn the_signing_domain_is_the_contracts() {
    let samples = samples();
    let separator = domain(&samples).separator();
    assert_eq!(separator, hash(&samples["domain"]["separator"]));
}

#[test]
fn a_receipt_hashes_and_recovers_as_in_the_contracts() {
    let samples = samples();
    let sample = &samples["Receipt"];
    let receipt = receipt(sample);
    assert_eq!(receipt.struct_hash(), hash(&sample["structHash"]));
    let digest = receipt.digest(&domain(&samples));
    assert_eq!(digest, hash(&sample["digest"]));
    let signature = Signature::from_hex(sample["signature"].as_str().unwrap()).unwrap();
    assert_eq!(signature.signer(&digest), Ok(address(&sample["signer"])));
}

#[test]
fn the_tree_of_shares_is_the_contracts() {
    let samples = samples();
    let leaves = list(&samples["shares"]["leaves"]);
    let share = |leaf: &&Value| Share {
        account: address(&leaf["account"]),
        asset: address(&leaf["asset"]),
        cumulative: NanoUnits::new(number(&leaf["cumulative"])).unwrap(),
    };
    let shares: Vec<Share> = leaves.iter().map(share).collect();
    let tree = ShareTree::new(&shares).unwrap();
    assert_eq!(tree.root(), hash(&samples["shares"]["root"]));
    for (share, leaf) in shares.iter().zip(leaves) {
        assert_eq!(share.leaf(), hash(&leaf["leaf"]));
        let proof: Vec<B256> = leaf["proof"].as_array().unwrap().iter().map(hash).collect();
        let ours = tree.proof(share.account, share.asset).unwrap();
        assert_eq!(ours, (*share, proof));
    }
}

#[test]
fn splits_are_the_contracts() {
    let samples = samples();
    let parts = samples["splits"]["bps"].as_array().unwrap();
    let parts = parts.iter().zip(1..).map(|(part, address)| {
        let part = BasisPoints(u16::try_from(number(part)).unwrap());
        (party(Role::Domain, address), part)
    });
    let split = Split::new(parts.collect()).unwrap();
    let cases = list(&samples["splits"]["cases"]);
    assert!(!cases.is_empty());
    for case in cases {
        let wanted: Vec<u64> = case["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .collect();
        let parts = split.of(usd(number(&case["amount"])));
        let found: Vec<u64> = parts.iter().map(|(_, part)| part.get()).collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn conversions_are_the_contracts() {
    let samples = samples();
    let cases = list(&samples["units"]["cases"]);
    assert!(!cases.is_empty());
    for case in cases {
        let price = Price::new(usd(number(&case["priceNanoUsd"]))).unwrap();
        let units = price.units_for(usd(number(&case["costNanoUsd"]))).unwrap();
        assert_eq!(units.get(), number(&case["units"]));
        assert_eq!(price.worth(units).get(), number(&case["worth"]));
    }
}

#[test]
fn the_hash_of_a_price_table_is_the_contracts() {
    let samples = samples();
    let row = |row: &Value| ModelPrice {
        model: ModelId(hash(&row["model"])),
        input: usd(number(&row["input"])),
        cached: usd(number(&row["cached"])),
        output: usd(number(&row["output"])),
    };
    let rows = list(&samples["prices"]["rows"]).into_iter().map(row);
    let table = PriceTable::new(1, rows.collect()).unwrap();
    assert_eq!(table.hash(), hash(&samples["prices"]["tableHash"]));
}
