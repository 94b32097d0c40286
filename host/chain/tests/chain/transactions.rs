//! Transactions and the errors that people see.

use crate::chain::*;
use crate::scene::*;
use alloy_primitives::{Address, B256};
use gaia_chain::payer::{self, PayError};
use gaia_chain::{ChainError, Domain, Place, Rpc, RpcError, Wallet};

#[tokio::test]
async fn what_a_contract_refuses_costs_nothing_and_says_why() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    let alice = scene.chain.wallet(ALICE).await;
    let before = alice.balance().await.unwrap();
    let error = payer::ask_refund(&alice, &scene.domain, &stable, units(ONE))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 asked back, 0 are there: ask for that or less"
    );
    let error = payer::deposit(&alice, &scene.domain, &stable, units(ONE))
        .await
        .unwrap_err();
    assert!(matches!(error, PayError::TooLittle { .. }), "{error}");
    let error = payer::deposit(&alice, &scene.domain, &stable, units(1))
        .await
        .unwrap_err();
    assert!(
        matches!(error, PayError::TooFine { decimals: 6, .. }),
        "{error}"
    );
    assert_eq!(alice.balance().await.unwrap(), before);
}

#[tokio::test]
async fn a_payment_allows_no_more_than_it_takes() {
    let scene = Scene::new().await;
    let stable = scene.stable().clone();
    scene.chain.mint(ALICE, 100).await;
    scene.deposit(ALICE, &stable, 40 * ONE).await;
    let call = gaia_chain::contracts::Token::allowanceCall {
        owner: address(ALICE),
        spender: scene.domain.escrow,
    };
    let left = scene
        .chain
        .rpc
        .view(stable.address, call, gaia_chain::rpc::At::Latest)
        .await
        .unwrap();
    assert!(left.is_zero());
    assert_eq!(scene.on_chain(ALICE, &stable).await, 40 * ONE);
}

#[tokio::test]
async fn the_wrong_chain_registry_or_url_is_named() {
    let chain = Chain::start().await;
    let read = async |rpc: &Rpc, place: Place| Domain::read(rpc.clone(), place).await.unwrap_err();
    let place = chain.place();
    let error = read(
        &chain.rpc,
        Place {
            chain_id: 1,
            ..place
        },
    )
    .await;
    assert!(
        matches!(
            error,
            ChainError::WrongChain {
                expected: 1,
                found: 31337,
                ..
            }
        ),
        "{error}"
    );
    let error = read(
        &chain.rpc,
        Place {
            domain_id: B256::ZERO,
            ..place
        },
    )
    .await;
    assert!(matches!(error, ChainError::NoEscrow { .. }), "{error}");
    let registry = Address::repeat_byte(9);
    let error = read(&chain.rpc, Place { registry, ..place }).await;
    assert!(matches!(error, ChainError::Foreign { .. }), "{error}");
    let error = read(&Rpc::new("http://127.0.0.1:1"), place).await;
    assert!(
        matches!(error, ChainError::Rpc(RpcError::Reach { .. })),
        "{error}"
    );
    let wallet = Wallet::open(chain.rpc.clone(), 1, key(ALICE)).await;
    assert!(matches!(wallet, Err(ChainError::WrongChain { .. })));
}

#[tokio::test]
async fn assets_go_by_symbol_address_and_kind() {
    let scene = Scene::new().await;
    let stable = scene.stable();
    for name in ["TUSD", "tusd", &stable.address.to_string()] {
        assert_eq!(scene.domain.asset(name).unwrap(), stable);
    }
    assert_eq!((stable.decimals, scene.token().decimals), (6, 18));
    let error = scene.domain.asset("doubloon").unwrap_err().to_string();
    assert!(
        error.contains("doubloon") && error.contains("TUSD"),
        "{error}"
    );
}
