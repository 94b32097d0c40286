//! Epochs, charges, challenges, claims: all the money that comes in goes out where it belongs.

use crate::chain::*;
use crate::kills::{What, Work};
use crate::proxy::Proxy;
use crate::scene::*;
use alloy_primitives::{Address, U256};
use gaia_chain::contracts::{Escrow, Prices, Token};
use gaia_chain::payer::{self, PayError};
use gaia_chain::rpc::At;
use gaia_chain::settle::{BatchState, CHARGES_MAX};
use gaia_chain::shares::{self, ProvenShare};
use gaia_chain::{Asset, Settled};
use gaia_ledger::Price;

/// Ends the epoch that runs, with a post of the token's price for the next.
pub async fn next_epoch(scene: &Scene, price: Option<u64>) {
    if let Some(price) = price {
        let owner = scene.chain.wallet(OWNER).await;
        owner
            .send(scene.domain.prices, Prices::postCall { price })
            .await
            .unwrap();
    }
    scene.chain.pass(EPOCH_SECONDS).await;
}

pub async fn claim_all(scene: &Scene, who: usize) {
    let wallet = scene.chain.wallet(STRANGER).await;
    for proven in shares::proven(&scene.domain, &scene.ledger, address(who))
        .await
        .unwrap()
    {
        payer::claim(&wallet, &scene.domain, &proven).await.unwrap();
    }
}

/// What the escrow has of an asset, in nano-units.
async fn in_escrow(scene: &Scene, asset: &Asset) -> u64 {
    let base = scene
        .chain
        .balance(asset.address, scene.domain.escrow)
        .await;
    gaia_ledger::NanoUnits::from_base(base, asset.decimals)
        .unwrap()
        .get()
}

pub async fn paid(scene: &Scene, who: usize, asset: &Asset) -> u64 {
    shares::paid(&scene.domain, address(who), asset.address)
        .await
        .unwrap()
        .get()
}

async fn purse(scene: &Scene, asset: &Asset) -> (u128, u128) {
    let call = Escrow::purseOfCall {
        asset: asset.address,
    };
    let purse = scene
        .domain
        .rpc
        .view(scene.domain.escrow, call, At::Latest)
        .await
        .unwrap();
    (purse.earned, purse.paid)
}

/// Settles until the epoch before is through. What all calls together did.
pub async fn settle_through(scene: &Scene) -> Settled {
    let proposed = scene.settle().await;
    scene.chain.pass(CHALLENGE_SECONDS).await;
    let mut finalised = scene.settle().await;
    finalised.proposed.splice(0..0, proposed.proposed);
    finalised
}

#[tokio::test]
async fn what_is_paid_and_what_is_left_is_what_was_deposited() {
    let scene = Scene::with_node().await;
    let (stable, token) = (scene.stable().clone(), scene.token().clone());
    scene.chain.mint(ALICE, 100).await;
    scene.chain.mint(BOB, 50).await;
    scene.chain.give_tokens(ALICE, 30).await;
    scene.deposit(ALICE, &stable, 100 * ONE).await;
    scene.deposit(BOB, &stable, 50 * ONE).await;
    scene.deposit(ALICE, &token, 30 * ONE).await;
    assert_eq!(scene.follow().await, 3);
    scene.settle().await;
    // Amounts that no split divides evenly.
    for (who, tokens) in [(ALICE, 12_345_678), (BOB, 1), (ALICE, 333)] {
        scene.serve(who, &stable, tokens).await;
    }
    scene.serve(ALICE, &token, 7_777_777).await;
    next_epoch(&scene, Some(1_100_000_000)).await;
    // What is served while the epoch before is settled belongs to the next.
    let first = scene.settle().await;
    assert_eq!(first.proposed.len(), 1, "{first:?}");
    scene.serve(ALICE, &stable, 1_000_001).await;
    scene.chain.pass(CHALLENGE_SECONDS).await;
    assert_eq!(scene.settle().await.finalised, first.proposed);
    next_epoch(&scene, None).await;
    assert_eq!(settle_through(&scene).await.finalised.len(), 1);
    for who in [OPERATOR, TREASURY] {
        claim_all(&scene, who).await;
    }
    scene.follow().await;
    for (asset, deposited) in [(&stable, 150 * ONE), (&token, 30 * ONE)] {
        let balances = scene.on_chain(ALICE, asset).await + scene.on_chain(BOB, asset).await;
        let drawn = paid(&scene, OPERATOR, asset).await + paid(&scene, TREASURY, asset).await;
        let (earned, out) = purse(&scene, asset).await;
        assert_eq!(u128::from(balances) + earned, u128::from(deposited));
        assert_eq!(out, u128::from(drawn));
        assert_eq!(in_escrow(&scene, asset).await, deposited - drawn);
        // Less than a base unit for each of two earners is left to be claimed.
        assert!(earned - out < 2 * 1_000, "{earned} earned, {out} paid");
        for who in [ALICE, BOB] {
            assert_eq!(
                scene.held(who, asset).await,
                scene.on_chain(who, asset).await
            );
        }
    }
    scene.ledger.audit().await.unwrap();
}

/// Deposits `$100` in tokens at a dollar each, and spends in the epoch in which one costs `price`.
async fn buys(price: u64, worth: u64) {
    let scene = Scene::with_node().await;
    let token = scene.token().clone();
    scene.chain.give_tokens(ALICE, 100).await;
    scene.deposit(ALICE, &token, 100 * ONE).await;
    scene.follow().await;
    scene.settle().await;
    next_epoch(&scene, Some(price)).await;
    scene.settle().await;
    assert_eq!(
        scene
            .domain
            .price_of(token.address, scene.domain.current_epoch().await.unwrap())
            .await
            .unwrap(),
        Price::new(usd(price)).unwrap()
    );
    // A token of the model costs 1,000 nano-USD.
    scene.serve(ALICE, &token, worth * ONE / 1_000).await;
    let more = scene.try_reserve(ALICE, &token, 1).await;
    assert!(more.is_err(), "the deposit buys more than it is worth");
    next_epoch(&scene, None).await;
    settle_through(&scene).await;
    assert_eq!(scene.on_chain(ALICE, &token).await, 0);
    assert_eq!(purse(&scene, &token).await.0, u128::from(100 * ONE));
}

#[tokio::test]
async fn a_deposit_of_a_hundred_buys_what_it_is_worth_when_it_is_used() {
    buys(1_100_000_000, 110).await;
    buys(900_000_000, 90).await;
}

#[tokio::test]
async fn settlement_goes_on_wherever_it_is_killed() {
    let scene = Scene::with_node().await;
    let stable = scene.stable().clone();
    for who in [ALICE, BOB] {
        scene.chain.mint(who, 100).await;
        scene.deposit(who, &stable, 100 * ONE).await;
    }
    scene.follow().await;
    scene.settle().await;
    for (who, tokens) in [(ALICE, 1_000), (BOB, 2_000), (ALICE, 3_000)] {
        scene.serve(who, &stable, tokens).await;
    }
    next_epoch(&scene, Some(ONE)).await;
    let proxy = Proxy::new(&scene.chain.url);
    let mut snapshot = scene.chain.snapshot().await;
    for requests in 1.. {
        scene.chain.revert(&snapshot).await;
        snapshot = scene.chain.snapshot().await;
        let file = scene.file(&format!("ledger-{requests}.sqlite"));
        scene.copy_ledger(&file);
        let work = Work::new(&proxy, scene.chain.place(), &file, What::Settle);
        let (survived, _) = proxy.let_live(requests, || work.start());
        assert!(
            proxy.let_live(u64::MAX, || work.start()).0,
            "after {requests}: no proposal"
        );
        scene.chain.pass(CHALLENGE_SECONDS).await;
        proxy.let_live(requests, || work.start());
        for _ in 0..2 {
            assert!(
                proxy.let_live(u64::MAX, || work.start()).0,
                "after {requests}: not taken"
            );
        }
        check_settled_once(&scene, &file).await;
        if survived {
            assert!(requests > 20, "nobody was killed in the middle: {requests}");
            break;
        }
    }
}

/// One proposal, and both accounts charged once.
async fn check_settled_once(scene: &Scene, file: &std::path::Path) {
    let stable = scene.stable();
    let call = Escrow::proposalCountCall {};
    let count = scene
        .domain
        .rpc
        .view(scene.domain.escrow, call, At::Latest)
        .await
        .unwrap();
    assert_eq!(count, U256::ONE);
    assert_eq!(scene.on_chain(ALICE, stable).await, 100 * ONE - 4_000_000);
    assert_eq!(scene.on_chain(BOB, stable).await, 100 * ONE - 2_000_000);
    let ledger = open(file);
    let wallet = scene.chain.wallet(GATEWAY).await;
    let settler = gaia_chain::Settler::new(scene.domain.clone(), ledger.clone(), wallet);
    let batches = settler.batches().await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].0.state, BatchState::Finalised);
    let proven = shares::proven(&scene.domain, &ledger, address(OPERATOR))
        .await
        .unwrap();
    assert_eq!(proven[0].share.cumulative, units(5_100_000));
    ledger.audit().await.unwrap();
}

#[tokio::test]
async fn a_false_proof_is_not_sent() {
    let scene = Scene::with_node().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    scene.deposit(ALICE, &stable, 100 * ONE).await;
    scene.follow().await;
    scene.settle().await;
    scene.serve(ALICE, &stable, 1_000).await;
    next_epoch(&scene, None).await;
    settle_through(&scene).await;
    let proven = shares::proven(&scene.domain, &scene.ledger, address(OPERATOR))
        .await
        .unwrap();
    let mut false_one: ProvenShare = proven[0].clone();
    false_one.share.cumulative = units(ONE);
    let stranger = scene.chain.wallet(STRANGER).await;
    let error = payer::claim(&stranger, &scene.domain, &false_one)
        .await
        .unwrap_err();
    assert!(matches!(error, PayError::ProofWrong { .. }), "{error}");
    let nobody = shares::proven(&scene.domain, &scene.ledger, Address::repeat_byte(1)).await;
    assert!(nobody.unwrap().is_empty());
    claim_all(&scene, OPERATOR).await;
    assert_eq!(paid(&scene, OPERATOR, &stable).await, 850_000);
    let again = payer::claim(&stranger, &scene.domain, &proven[0])
        .await
        .unwrap_err();
    assert!(again.to_string().contains("nothing to claim"), "{again}");
}

#[tokio::test]
async fn more_charges_than_a_batch_holds_go_in_two() {
    let scene = Scene::with_node().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 1_000).await;
    // One deposit of her own allows the escrow enough for all others.
    let alice = scene.chain.wallet(ALICE).await;
    let call = Token::approveCall {
        spender: scene.domain.escrow,
        value: U256::from(1_000_000_000),
    };
    alice.send(stable.address, call).await.unwrap();
    let payers: Vec<Address> = (1..=CHARGES_MAX as u64 + 1)
        .map(|number| Address::left_padding_from(&number.to_be_bytes()))
        .collect();
    for payer in &payers {
        let call = Escrow::depositCall {
            asset: stable.address,
            baseUnits: U256::from(1_000_000),
            payer: *payer,
        };
        alice.send(scene.domain.escrow, call).await.unwrap();
    }
    assert_eq!(scene.follow().await, payers.len());
    scene.settle().await;
    for payer in &payers {
        scene.serve_account(*payer, &stable, 7).await;
    }
    next_epoch(&scene, None).await;
    let settled = settle_through(&scene).await;
    assert_eq!((settled.proposed.len(), settled.finalised.len()), (2, 2));
    for payer in &payers {
        let account = payer::account(&scene.domain, *payer, stable.address)
            .await
            .unwrap();
        assert_eq!((account.balance, account.charged), (ONE - 7_000, 7_000));
    }
    // The last of the two brought the tree.
    let earned = shares::proven(&scene.domain, &scene.ledger, address(OPERATOR))
        .await
        .unwrap();
    assert_eq!(
        earned[0].share.cumulative,
        units(payers.len() as u64 * 5_950)
    );
}
