//! What a domain says of itself on the chain: its gateway, its prices, its nodes.

use crate::contracts::{self, Registry};
use crate::domain::{ChainError, Domain};
use crate::rpc::{At, Mined};
use crate::wallet::{SendError, Wallet};
use alloy_primitives::{Address, B256, Bytes};
use gaia_ledger::price::{ModelId, ModelPrice};
use gaia_ledger::{NanoUsd, PriceTable};

/// The address of the key that signs the domain's receipts.
///
/// # Errors
/// When the chain does not answer, as in all that follow.
pub async fn gateway(domain: &Domain) -> Result<Address, ChainError> {
    let call = Registry::gatewayOfCall {
        id: domain.place.domain_id,
    };
    domain
        .rpc
        .view(domain.place.registry, call, At::Latest)
        .await
}

/// Whether a node serves or served the domain, by the chain.
///
/// # Errors
/// When the chain does not answer.
pub async fn was_admitted(domain: &Domain, node: Address) -> Result<bool, ChainError> {
    let call = Registry::wasAdmittedCall {
        id: domain.place.domain_id,
        node,
    };
    domain
        .rpc
        .view(domain.place.registry, call, At::Latest)
        .await
}

/// Hash of a version of the price table; zero where it was not published.
///
/// # Errors
/// When the chain does not answer.
pub async fn price_table(domain: &Domain, version: u32) -> Result<B256, ChainError> {
    let call = Registry::priceTableCall {
        id: domain.place.domain_id,
        version,
    };
    domain
        .rpc
        .view(domain.place.registry, call, At::Latest)
        .await
}

/// A model's prices in a version of the table; `None` where that was not published.
///
/// # Errors
/// When the chain does not answer.
pub async fn price(
    domain: &Domain,
    version: u32,
    model: ModelId,
) -> Result<Option<ModelPrice>, ChainError> {
    let call = Registry::priceOfCall {
        id: domain.place.domain_id,
        version,
        model: model.0,
    };
    match domain
        .rpc
        .view(domain.place.registry, call, At::Latest)
        .await
    {
        Ok(row) => Ok(Some(ModelPrice {
            model,
            input: NanoUsd::try_from(row.input)?,
            cached: NanoUsd::try_from(row.cached)?,
            output: NanoUsd::try_from(row.output)?,
        })),
        Err(ChainError::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Publishes a table as the domain's next version, which must be its own. One that is there already is not published
/// again. Whether a transaction was sent.
///
/// # Errors
/// When the contract refuses: only the domain's owner may.
pub async fn publish_prices(
    wallet: &Wallet,
    domain: &Domain,
    table: &PriceTable,
) -> Result<bool, SendError> {
    if price_table(domain, table.version()).await? == table.hash() {
        return Ok(false);
    }
    let row = |price: &ModelPrice| contracts::PriceRow {
        model: price.model.0,
        input: price.input.get(),
        cached: price.cached.get(),
        output: price.output.get(),
    };
    let call = Registry::publishPricesCall {
        id: domain.place.domain_id,
        rows: table.models().iter().map(row).collect(),
    };
    wallet.send(domain.place.registry, call).await?;
    Ok(true)
}

/// A node's signed wish to serve, as the contract takes it.
#[derive(Debug, Clone)]
pub struct SignedJoin {
    /// What the node says.
    pub join: contracts::NodeJoin,
    /// Its signature.
    pub signature: Bytes,
    /// What its operator says, and the operator's signature; not needed where the node is its own operator.
    pub consent: Option<(contracts::OperatorConsent, Bytes)>,
}

/// Admits a node on the chain, so that its receipts count in challenges.
///
/// # Errors
/// When the contract refuses: the gateway's key or the owner's may.
pub async fn admit(
    wallet: &Wallet,
    domain: &Domain,
    signed: SignedJoin,
) -> Result<Mined, SendError> {
    let (consent, operator_signature) = signed.consent.unwrap_or_else(|| {
        let nobody = contracts::OperatorConsent {
            domainId: signed.join.domainId,
            node: signed.join.node,
            operator: signed.join.operator,
            nonce: 0,
            expiry: 0,
        };
        (nobody, Bytes::new())
    });
    let call = Registry::admitNodeCall {
        join: signed.join,
        nodeSignature: signed.signature,
        consent,
        operatorSignature: operator_signature,
    };
    wallet.send(domain.place.registry, call).await
}
