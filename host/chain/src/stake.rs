//! What operators have at stake for a domain, in its `DomainStake`.

use std::sync::Arc;

use crate::contracts::{Stake, Token};
use crate::domain::ChainError;
use crate::rpc::{At, Rpc};
use alloy_primitives::{Address, B256, U256};
use tokio::sync::OnceCell;

/// Decimals of a nano-unit.
const NANO_DECIMALS: u8 = 9;

/// A domain's `DomainStake`. Clones are the same.
#[derive(Debug, Clone)]
pub struct StakeVault {
    rpc: Rpc,
    address: Address,
    domain_id: B256,
    /// Of the token that is staked; asked once.
    decimals: Arc<OnceCell<u8>>,
}

impl StakeVault {
    /// The vault at `address` of the domain `domain_id`. Nothing is asked yet.
    #[must_use]
    pub fn new(rpc: Rpc, address: Address, domain_id: B256) -> Self {
        Self {
            rpc,
            address,
            domain_id,
            decimals: Arc::default(),
        }
    }

    /// What `operator` has at stake, in nano-units of the token. Shares on their way out do not count.
    ///
    /// # Errors
    /// When the chain does not answer, or the vault is another domain's.
    pub async fn staked(&self, operator: Address) -> Result<u64, ChainError> {
        let decimals = *self.decimals.get_or_try_init(|| self.checked()).await?;
        let call = Stake::balanceOfCall { account: operator };
        let shares = self.rpc.view(self.address, call, At::Latest).await?;
        if shares.is_zero() {
            return Ok(0);
        }
        let call = Stake::convertToAssetsCall { shares };
        let assets = self.rpc.view(self.address, call, At::Latest).await?;
        Ok(nano(assets, decimals))
    }

    /// The decimals of the token, of a vault that is this domain's.
    async fn checked(&self) -> Result<u8, ChainError> {
        let call = Stake::domainIdCall {};
        let found = self.rpc.view(self.address, call, At::Latest).await?;
        if found != self.domain_id {
            return Err(ChainError::StakeForeign {
                stake: self.address,
                found,
            });
        }
        let call = Stake::assetCall {};
        let token = self.rpc.view(self.address, call, At::Latest).await?;
        let call = Token::decimalsCall {};
        self.rpc.view(token, call, At::Latest).await
    }
}

/// Base units in nano-units, rounded down; more than fits is the most.
fn nano(base_units: U256, decimals: u8) -> u64 {
    let ten = |power: u8| U256::from(10).checked_pow(U256::from(power));
    let nano = match decimals.checked_sub(NANO_DECIMALS) {
        Some(more) => ten(more).and_then(|unit| base_units.checked_div(unit)),
        None => ten(NANO_DECIMALS - decimals).map(|unit| base_units.saturating_mul(unit)),
    };
    // A unit too large for any number makes any stake nothing.
    u64::try_from(nano.unwrap_or_default()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_units_become_nano_units() {
        let check = |base: u128, decimals, expected| {
            assert_eq!(
                nano(U256::from(base), decimals),
                expected,
                "{base} {decimals}"
            );
        };
        check(1_500_000_000_000_000_000, 18, 1_500_000_000);
        check(999_999_999, 18, 0);
        check(7, 9, 7);
        check(7, 6, 7_000);
        check(u128::MAX, 18, u64::MAX);
        check(u128::MAX, 0, u64::MAX);
        check(u128::MAX, 255, 0);
        assert_eq!(nano(U256::MAX, 0), u64::MAX);
    }
}
