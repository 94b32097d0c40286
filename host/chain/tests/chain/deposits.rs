//! What the watcher brings into the ledger, and what it refuses.

use crate::chain::*;
use crate::kills::{What, Work};
use crate::proxy::Proxy;
use crate::scene::*;
use gaia_chain::{WatchError, Watcher, payer};

#[tokio::test]
async fn a_deposit_is_credited_once_wherever_the_watcher_dies() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    for who in [ALICE, BOB] {
        scene.chain.mint(who, 100).await;
        scene.deposit(who, &stable, 40 * ONE).await;
        scene.deposit(who, &stable, 60 * ONE).await;
    }
    let alice = scene.chain.wallet(ALICE).await;
    payer::ask_refund(&alice, &scene.domain, &stable, units(10 * ONE))
        .await
        .unwrap();
    let proxy = Proxy::new(&scene.chain.url);
    for requests in 1.. {
        let file = scene.file(&format!("ledger-{requests}.sqlite"));
        let work = Work::new(&proxy, scene.chain.place(), &file, What::Follow);
        let (survived, _) = proxy.let_live(requests, || work.start());
        for _ in 0..2 {
            assert!(
                proxy.let_live(u64::MAX, || work.start()).0,
                "a watcher does not go on"
            );
        }
        let ledger = open(&file);
        for (who, refunding) in [(ALICE, 10 * ONE), (BOB, 0)] {
            let account = gaia_ledger::AccountId {
                payer: address(who),
                asset: stable.address,
            };
            let row = ledger.account(account).await.unwrap();
            assert_eq!(
                (row.held, row.refunding),
                (units(100 * ONE), units(refunding))
            );
        }
        assert_eq!(ledger.audit().await.unwrap().entries, 5);
        if survived {
            assert!(requests > 10, "nobody was killed in the middle: {requests}");
            break;
        }
    }
}

#[tokio::test]
async fn nothing_counts_before_its_confirmations() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    let watcher = Watcher::new(scene.domain.clone(), scene.ledger.clone(), 3);
    scene.deposit(ALICE, &stable, ONE).await;
    for confirmations in 0..3 {
        watcher.step().await.unwrap();
        assert_eq!(scene.held(ALICE, &stable).await, 0, "after {confirmations}");
        scene.chain.mine(1).await;
    }
    watcher.step().await.unwrap();
    assert_eq!(scene.held(ALICE, &stable).await, ONE);
}

#[tokio::test]
async fn a_change_above_the_confirmations_is_followed() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    let watcher = Watcher::new(scene.domain.clone(), scene.ledger.clone(), 3);
    scene.chain.mine(4).await;
    watcher.step().await.unwrap();
    let before = scene.chain.snapshot().await;
    scene.deposit(ALICE, &stable, ONE).await;
    watcher.step().await.unwrap();
    scene.chain.revert(&before).await;
    scene.chain.pass(77).await;
    scene.deposit(ALICE, &stable, 5 * ONE).await;
    scene.chain.mine(4).await;
    watcher.step().await.unwrap();
    assert_eq!(scene.held(ALICE, &stable).await, 5 * ONE);
}

#[tokio::test]
async fn a_change_below_the_confirmations_is_refused_loudly() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    let watcher = Watcher::new(scene.domain.clone(), scene.ledger.clone(), 2);
    let before = scene.chain.snapshot().await;
    scene.deposit(ALICE, &stable, ONE).await;
    scene.chain.mine(3).await;
    watcher.step().await.unwrap();
    assert_eq!(scene.held(ALICE, &stable).await, ONE);
    scene.chain.revert(&before).await;
    scene.chain.pass(77).await;
    scene.deposit(ALICE, &stable, ONE).await;
    scene.chain.mine(9).await;
    for _ in 0..2 {
        let error = watcher.step().await.unwrap_err();
        assert!(matches!(error, WatchError::Reorganised { .. }), "{error}");
        assert!(!error.is_passing());
        assert!(error.to_string().contains(&watcher.record_id()), "{error}");
    }
    assert_eq!(scene.held(ALICE, &stable).await, ONE, "credited twice");
}

#[tokio::test]
async fn a_refund_needs_no_operator_and_is_booked() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    scene.deposit(ALICE, &stable, 100 * ONE).await;
    let alice = scene.chain.wallet(ALICE).await;
    payer::ask_refund(&alice, &scene.domain, &stable, units(30 * ONE))
        .await
        .unwrap();
    payer::cancel_refund(&alice, &scene.domain, &stable)
        .await
        .unwrap();
    payer::ask_refund(&alice, &scene.domain, &stable, units(25 * ONE))
        .await
        .unwrap();
    let early = payer::draw_refund(&alice, &scene.domain, &stable)
        .await
        .unwrap_err();
    assert!(early.to_string().contains("wait until then"), "{early}");
    scene.chain.pass(REFUND_SECONDS).await;
    payer::draw_refund(&alice, &scene.domain, &stable)
        .await
        .unwrap();
    assert_eq!(scene.follow().await, 5);
    assert_eq!(scene.held(ALICE, &stable).await, 75 * ONE);
    assert_eq!(scene.on_chain(ALICE, &stable).await, 75 * ONE);
}
