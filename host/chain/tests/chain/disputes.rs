//! Charges that somebody doubts, and trees that give somebody too little.

use crate::chain::*;
use crate::scene::*;
use crate::settlement::*;
use alloy_primitives::U256;
use gaia_chain::contracts::{Charge, CoSigned, Escrow};
use gaia_chain::rpc::At;

/// What a dispute costs.
async fn bond(scene: &Scene) -> U256 {
    let call = Escrow::termsCall {};
    let terms = scene.domain.rpc.view(scene.domain.escrow, call, At::Latest);
    terms.await.unwrap().bond
}

#[tokio::test]
async fn a_challenge_is_answered_with_the_receipt() {
    let scene = Scene::with_node().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    scene.deposit(ALICE, &stable, 100 * ONE).await;
    scene.follow().await;
    scene.settle().await;
    for tokens in [1_000, 2_000, 3_000] {
        scene.serve(ALICE, &stable, tokens).await;
    }
    next_epoch(&scene, None).await;
    let proposal = scene.settle().await.proposed[0];
    let charges = vec![Charge {
        payer: address(ALICE),
        asset: stable.address,
        cost: 6_000_000,
        cumulative: 6_000_000,
    }];
    let bond = bond(&scene).await;
    let stranger = scene.chain.wallet(STRANGER).await;
    let call = Escrow::challengeCall {
        id: proposal,
        charges,
        index: U256::ZERO,
    };
    stranger.pay(scene.domain.escrow, call, bond).await.unwrap();
    let answered = scene.settle().await;
    assert_eq!(answered.answered, [(proposal, 0)], "{answered:?}");
    assert!(answered.finalised.is_empty());
    scene.chain.pass(CHALLENGE_SECONDS).await;
    assert_eq!(scene.settle().await.finalised, [proposal]);
    assert_eq!(scene.on_chain(ALICE, &stable).await, 100 * ONE - 6_000_000);
}

#[tokio::test]
async fn a_contest_is_answered_with_the_tree() {
    let scene = Scene::with_node().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    scene.deposit(ALICE, &stable, 100 * ONE).await;
    scene.follow().await;
    scene.settle().await;
    scene.serve(ALICE, &stable, 1_000).await;
    let last = scene.serve(ALICE, &stable, 2_000).await;
    next_epoch(&scene, None).await;
    let proposal = scene.settle().await.proposed[0];
    let stored = scene.ledger.receipt(last).await.unwrap().unwrap();
    assert_eq!(stored.receipt.node_cumulative, units(2_550_000));
    let receipt = CoSigned {
        receipt: gaia_chain::evidence::on_chain(&stored.receipt),
        nodeSignature: stored.node_signature.unwrap().to_vec().into(),
        gatewaySignature: stored.gateway_signature.unwrap().to_vec().into(),
    };
    let node = scene.chain.wallet(NODE).await;
    for _ in 0..2 {
        let call = Escrow::contestCall {
            id: proposal,
            receipts: vec![receipt.clone()],
        };
        node.pay(scene.domain.escrow, call, bond(&scene).await)
            .await
            .unwrap();
    }
    // All leaves for the first, one for the second.
    let shown = scene.settle().await;
    assert_eq!(shown.shown, [(proposal, 0), (proposal, 1)], "{shown:?}");
    scene.chain.pass(CHALLENGE_SECONDS).await;
    assert_eq!(scene.settle().await.finalised, [proposal]);
    // A base unit of this asset is a thousand nano-units.
    claim_all(&scene, OPERATOR).await;
    assert_eq!(paid(&scene, OPERATOR, &stable).await, 2_550_000);
}

#[tokio::test]
async fn a_charge_without_a_receipt_is_lost_and_the_others_are_not() {
    let scene = Scene::with_node().await;
    let stable = scene.stable().clone();
    for who in [ALICE, BOB] {
        scene.chain.mint(who, 100).await;
        scene.deposit(who, &stable, 100 * ONE).await;
    }
    scene.follow().await;
    scene.settle().await;
    scene.serve(ALICE, &stable, 1_000).await;
    scene.serve_unsigned(BOB, &stable, 2_000).await;
    next_epoch(&scene, None).await;
    let proposal = scene.settle().await.proposed[0];
    let charge = |who, cost| Charge {
        payer: address(who),
        asset: stable.address,
        cost,
        cumulative: cost,
    };
    let mut charges = vec![charge(ALICE, 1_000_000), charge(BOB, 2_000_000)];
    charges.sort_by_key(|charge| charge.payer);
    let index = charges
        .iter()
        .position(|charge| charge.payer == address(BOB))
        .unwrap();
    let bond = bond(&scene).await;
    let stranger = scene.chain.wallet(STRANGER).await;
    let index = U256::from(index);
    let call = Escrow::challengeCall {
        id: proposal,
        charges: charges.clone(),
        index,
    };
    stranger.pay(scene.domain.escrow, call, bond).await.unwrap();
    let waiting = scene.settle().await;
    assert!(waiting.answered.is_empty());
    assert!(
        waiting.waiting.iter().any(|why| why.contains("no receipt")),
        "{waiting:?}"
    );
    scene.chain.pass(RESPONSE_SECONDS + 1).await;
    let call = Escrow::cancelCall {
        id: proposal,
        charges,
        index,
    };
    stranger.send(scene.domain.escrow, call).await.unwrap();
    // Seen in one call, proposed anew in the next.
    scene.settle().await;
    let again = settle_through(&scene).await;
    assert_eq!(again.finalised.len(), 1, "{again:?}");
    assert_eq!(scene.on_chain(ALICE, &stable).await, 100 * ONE - 1_000_000);
    assert_eq!(scene.on_chain(BOB, &stable).await, 100 * ONE);
}
