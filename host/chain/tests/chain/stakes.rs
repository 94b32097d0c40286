//! What operators have at stake, read from the real contract.

use crate::chain::*;
use alloy_primitives::{Address, B256, U256};
use gaia_chain::contracts::{Stake, Token};
use gaia_chain::stake::StakeVault;
use gaia_chain::{ChainError, Rpc};

const ONE: u64 = 1_000_000_000;

fn tokens(number: u64) -> U256 {
    U256::from(number) * U256::from(10).pow(U256::from(18))
}

#[tokio::test]
async fn a_stake_is_what_is_in_the_vault_and_not_on_its_way_out() {
    let chain = Chain::start().await;
    let (address_of_vault, id) = (chain.contract("stake"), chain.place().domain_id);
    let vault = StakeVault::new(chain.rpc.clone(), address_of_vault, id);
    let staked = async || vault.staked(address(OPERATOR)).await.unwrap();
    assert_eq!(staked().await, 0);
    chain.give_tokens(OPERATOR, 10).await;
    let wallet = chain.wallet(OPERATOR).await;
    let approve = Token::approveCall {
        spender: address_of_vault,
        value: tokens(10),
    };
    wallet.send(chain.contract("token"), approve).await.unwrap();
    let deposit = Stake::depositCall {
        assets: tokens(10),
        receiver: address(OPERATOR),
    };
    wallet.send(address_of_vault, deposit).await.unwrap();
    assert_eq!(staked().await, 10 * ONE);
    assert_eq!(vault.staked(address(STRANGER)).await.unwrap(), 0);
    let call = Stake::balanceOfCall {
        account: address(OPERATOR),
    };
    let at = gaia_chain::rpc::At::Latest;
    let all = chain.rpc.view(address_of_vault, call, at).await.unwrap();
    let leave = Stake::requestUnstakeCall {
        shares: all / U256::from(5),
    };
    wallet.send(address_of_vault, leave).await.unwrap();
    assert_eq!(staked().await, 8 * ONE);
}

#[tokio::test]
async fn what_is_not_the_domains_vault_is_refused() {
    let chain = Chain::start().await;
    let (rpc, id) = (chain.rpc.clone(), chain.place().domain_id);
    let check = async |rpc: Rpc, address: Address, id: B256, expected: &str| {
        let vault = StakeVault::new(rpc, address, id);
        let error = vault.staked(Address::ZERO).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        error
    };
    let stake = chain.contract("stake");
    let foreign = check(rpc.clone(), stake, B256::ZERO, "belongs to").await;
    assert!(matches!(foreign, ChainError::StakeForeign { .. }));
    check(rpc, Address::repeat_byte(1), id, "right address").await;
    let nowhere = Rpc::new("http://127.0.0.1:1");
    check(nowhere, stake, id, "failed to reach").await;
}
