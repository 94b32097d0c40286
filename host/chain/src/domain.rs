//! A domain as its contracts have it: which escrow, which clock, which assets.

use crate::contracts::{Escrow, Prices, Registry, Token};
use crate::refusal::Refusal;
use crate::rpc::{At, Rpc, RpcError};
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use gaia_ledger::amount::AmountError;
use gaia_ledger::{NanoUsd, Price};
use gaia_statements::SigningDomain;
use serde::{Deserialize, Serialize};

/// Where a domain is: all that has to be known, and to be chosen by somebody who trusts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// The `DomainRegistry`.
    pub registry: Address,
    /// The domain's id in it.
    pub domain_id: B256,
}

/// What can be deposited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The token's contract.
    pub address: Address,
    /// What people call it.
    pub symbol: String,
    /// Digits after the point in base units.
    pub decimals: u8,
    /// Whether it counts as a dollar; the other is the payment token.
    pub is_stable: bool,
}

/// A domain and the way to its chain.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The way.
    pub rpc: Rpc,
    /// Where it is.
    pub place: Place,
    /// Its `DomainEscrow`.
    pub escrow: Address,
    /// The `EpochPrice` that it goes by.
    pub prices: Address,
    /// What it takes: the payment token, then stablecoins.
    pub assets: Vec<Asset>,
}

/// The chain gave no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// It gave none.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// A contract refused.
    #[error("{0}")]
    Refused(Refusal),
    /// A contract gave back something else.
    #[error(
        "{contract} did not answer {function} as a contract of a domain does: is it the right address?"
    )]
    Foreign {
        /// Which address.
        contract: Address,
        /// What was asked.
        function: &'static str,
    },
    /// Another chain.
    #[error(
        "{host} is chain {found}, the domain lives on chain {expected}: give the URL of that one"
    )]
    WrongChain {
        /// Who answered.
        host: String,
        /// The domain's chain.
        expected: u64,
        /// The chain that answered.
        found: u64,
    },
    /// The registry knows no such domain, or it takes no deposits yet.
    #[error(
        "the registry {registry} names no escrow of the domain {domain_id}: is it the right chain and id?"
    )]
    NoEscrow {
        /// Which registry.
        registry: Address,
        /// Which domain.
        domain_id: B256,
    },
    /// The escrow is another domain's.
    #[error(
        "the escrow {escrow} says that it belongs to {found}: do not use it; ask the domain's owner"
    )]
    EscrowForeign {
        /// Which escrow.
        escrow: Address,
        /// Whose it says it is.
        found: B256,
    },
    /// The vault of stakes is another domain's.
    #[error("the stake {stake} says that it belongs to {found}: is deployment.json this domain's?")]
    StakeForeign {
        /// Which vault.
        stake: Address,
        /// Whose it says it is.
        found: B256,
    },
    /// The domain does not take it.
    #[error("the domain does not take `{asked}`; it takes {taken}")]
    AssetUnknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        taken: String,
    },
    /// A number that is no amount.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl Rpc {
    /// Asks a contract, for nothing in return.
    ///
    /// # Errors
    /// [`ChainError`]: not reached, refused, or another contract.
    pub async fn view<C: SolCall>(
        &self,
        contract: Address,
        call: C,
        at: At,
    ) -> Result<C::Return, ChainError> {
        let answer = self.call(None, contract, call.abi_encode(), at).await;
        let answer = answer.map_err(refused)?;
        C::abi_decode_returns(&answer).map_err(|_| ChainError::Foreign {
            contract,
            function: C::SIGNATURE,
        })
    }
}

/// Tells a contract's refusal from a server's.
pub(crate) fn refused(error: RpcError) -> ChainError {
    match error.reverted() {
        Some(data) => ChainError::Refused(Refusal::decode(data)),
        None => ChainError::Rpc(error),
    }
}

impl Domain {
    /// Reads the domain at `place` from the chain, and checks that what it says fits together.
    ///
    /// # Errors
    /// [`ChainError`], with what to do.
    pub async fn read(rpc: Rpc, place: Place) -> Result<Self, ChainError> {
        check_chain(&rpc, place.chain_id).await?;
        let escrow = Registry::escrowOfCall {
            id: place.domain_id,
        };
        let escrow = rpc.view(place.registry, escrow, At::Latest).await?;
        if escrow.is_zero() {
            return Err(ChainError::NoEscrow {
                registry: place.registry,
                domain_id: place.domain_id,
            });
        }
        let found = rpc
            .view(escrow, Escrow::domainIdCall {}, At::Latest)
            .await?;
        if found != place.domain_id {
            return Err(ChainError::EscrowForeign { escrow, found });
        }
        let prices = rpc.view(escrow, Escrow::pricesCall {}, At::Latest).await?;
        let assets = read_assets(&rpc, escrow, prices).await?;
        Ok(Self {
            rpc,
            place,
            escrow,
            prices,
            assets,
        })
    }

    /// Under which the domain's statements are signed.
    #[must_use]
    pub fn signing_domain(&self) -> SigningDomain {
        SigningDomain {
            chain_id: self.place.chain_id,
            verifying_contract: self.place.registry,
        }
    }

    /// The asset that somebody calls `asked`: its symbol, its address, `stable` or `token`.
    ///
    /// # Errors
    /// When the domain takes nothing of that name.
    pub fn asset(&self, asked: &str) -> Result<&Asset, ChainError> {
        let is = |asset: &&Asset| match asked {
            "stable" => asset.is_stable,
            "token" => !asset.is_stable,
            _ => asset.symbol.eq_ignore_ascii_case(asked) || asked.parse() == Ok(asset.address),
        };
        let found = self.assets.iter().find(is);
        found.ok_or_else(|| {
            let named = |asset: &Asset| format!("{} ({})", asset.symbol, asset.address);
            ChainError::AssetUnknown {
                asked: asked.chars().take(64).collect(),
                taken: self.assets.iter().map(named).collect::<Vec<_>>().join(", "),
            }
        })
    }

    /// The epoch that runs now, by the time of the block that is being made.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn current_epoch(&self) -> Result<u64, ChainError> {
        let call = Prices::currentEpochCall {};
        match self.rpc.view(self.prices, call, At::Pending).await {
            // Not every server computes on the pending block.
            Err(ChainError::Rpc(RpcError::Refused { .. })) => {
                let call = Prices::currentEpochCall {};
                self.rpc.view(self.prices, call, At::Latest).await
            }
            answer => answer,
        }
    }

    /// What a whole unit of the asset is worth in an epoch.
    ///
    /// # Errors
    /// When the epoch has no price, or the chain does not answer.
    pub async fn price_of(&self, asset: Address, epoch: u64) -> Result<Price, ChainError> {
        let call = Escrow::priceOfCall { asset, epoch };
        let price = self.rpc.view(self.escrow, call, At::Latest).await?;
        Ok(Price::new(NanoUsd::try_from(price)?)?)
    }
}

pub(crate) async fn check_chain(rpc: &Rpc, expected: u64) -> Result<(), ChainError> {
    let found = rpc.chain_id().await?;
    if found == expected {
        return Ok(());
    }
    Err(ChainError::WrongChain {
        host: rpc.host(),
        expected,
        found,
    })
}

async fn read_assets(
    rpc: &Rpc,
    escrow: Address,
    prices: Address,
) -> Result<Vec<Asset>, ChainError> {
    let token = rpc.view(prices, Prices::tokenCall {}, At::Latest).await?;
    let mut assets = Vec::new();
    for address in rpc.view(escrow, Escrow::assetsCall {}, At::Latest).await? {
        let symbol = rpc.view(address, Token::symbolCall {}, At::Latest).await?;
        assets.push(Asset {
            address,
            // A token may call itself anything.
            symbol: symbol
                .chars()
                .filter(char::is_ascii_graphic)
                .take(16)
                .collect(),
            decimals: rpc
                .view(address, Token::decimalsCall {}, At::Latest)
                .await?,
            is_stable: address != token,
        });
    }
    Ok(assets)
}
