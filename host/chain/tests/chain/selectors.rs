//! Bindings and contracts cannot drift apart: every signature that is bound stands in what the compiler made.

use crate::chain::{Chain, project, script};
use alloy_primitives::{B256, hex, keccak256};
use alloy_sol_types::{SolEvent, SolEventInterface as _, SolInterface as _};
use gaia_chain::contracts::{Escrow, Prices, Refusals, Registry, Stake, Token};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Once;

struct Artifact {
    functions: BTreeSet<[u8; 4]>,
    errors: BTreeSet<[u8; 4]>,
    /// Which parameters of an event are topics.
    events: BTreeMap<B256, Vec<bool>>,
}

fn artifact(name: &str) -> Artifact {
    // In a fresh clone nothing was compiled yet.
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let built = script().arg("build").status().unwrap();
        assert!(built.success(), "the contracts compile");
    });
    let path = project().join(format!("contracts/out/{name}.json"));
    let artifact: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let of = |kind: &'static str| {
        let all = artifact["abi"].as_array().unwrap().iter();
        all.filter(move |item| item["type"] == kind)
    };
    let selector = |item| -> [u8; 4] { keccak256(signature(item))[..4].try_into().unwrap() };
    let indexed = |item: &Value| {
        let inputs = item["inputs"].as_array().unwrap().iter();
        inputs.map(|input| input["indexed"] == true).collect()
    };
    Artifact {
        functions: of("function").map(selector).collect(),
        errors: of("error").map(selector).collect(),
        events: of("event")
            .map(|item| (keccak256(signature(item)), indexed(item)))
            .collect(),
    }
}

fn signature(item: &Value) -> String {
    let inputs = item["inputs"].as_array().unwrap().iter().map(kind);
    let inputs: Vec<_> = inputs.collect();
    format!("{}({})", item["name"].as_str().unwrap(), inputs.join(","))
}

/// A type as signatures write it: structs as tuples.
fn kind(input: &Value) -> String {
    let name = input["type"].as_str().unwrap();
    match name.strip_prefix("tuple") {
        Some(array) => {
            let parts: Vec<_> = input["components"]
                .as_array()
                .unwrap()
                .iter()
                .map(kind)
                .collect();
            format!("({}){array}", parts.join(","))
        }
        None => name.to_owned(),
    }
}

fn check_functions(selectors: impl Iterator<Item = [u8; 4]>, artifacts: &[&Artifact]) {
    for selector in selectors {
        let known = artifacts
            .iter()
            .any(|artifact| artifact.functions.contains(&selector));
        assert!(
            known,
            "no contract has the function 0x{}",
            hex::encode(selector)
        );
    }
}

fn check_event<E: SolEvent>(artifact: &Artifact, indexed: &[bool]) {
    let found = artifact.events.get(&E::SIGNATURE_HASH);
    assert_eq!(found.map(Vec::as_slice), Some(indexed), "{}", E::SIGNATURE);
}

#[tokio::test]
async fn what_is_bound_is_in_the_contracts() {
    // A deployment compiles them.
    let _chain = Chain::start().await;
    let escrow = artifact("DomainEscrow.sol/DomainEscrow");
    let prices = artifact("EpochPrice.sol/EpochPrice");
    let registry = artifact("DomainRegistry.sol/DomainRegistry");
    let token = artifact("GaiaToken.sol/GaiaToken");
    let dollar = artifact("Tokens.sol/TestDollar");
    check_functions(Escrow::EscrowCalls::selectors(), &[&escrow]);
    check_functions(Prices::PricesCalls::selectors(), &[&prices]);
    check_functions(Registry::RegistryCalls::selectors(), &[&registry]);
    let stake = artifact("DomainStake.sol/DomainStake");
    check_functions(Stake::StakeCalls::selectors(), &[&stake]);
    check_functions(Token::TokenCalls::selectors(), &[&token, &dollar]);
    for selector in Refusals::RefusalsErrors::selectors() {
        let all = [&escrow, &prices, &registry, &token];
        let known = all
            .iter()
            .any(|artifact| artifact.errors.contains(&selector));
        assert!(
            known,
            "no contract has the error 0x{}",
            hex::encode(selector)
        );
    }
    check_event::<Escrow::Deposited>(&escrow, &[true, true, false, false]);
    check_event::<Escrow::RefundRequested>(&escrow, &[true, true, false, false]);
    check_event::<Escrow::RefundCancelled>(&escrow, &[true, true]);
    check_event::<Escrow::Refunded>(&escrow, &[true, true, false, false]);
    check_event::<Escrow::Claimed>(&escrow, &[true, true, false, false]);
    check_event::<Escrow::ChargesProposed>(&escrow, &[true, true, false, false, false]);
    assert_eq!(
        Escrow::EscrowEvents::COUNT,
        6,
        "an event is bound and not checked here"
    );
}
