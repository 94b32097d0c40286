//! What payers and earners do with an escrow: deposit, ask back, claim.

use crate::contracts::{Account, Escrow, Token};
use crate::domain::{Asset, ChainError, Domain};
use crate::rpc::{At, Mined};
use crate::shares::ProvenShare;
use crate::wallet::{SendError, Wallet};
use alloy_primitives::{Address, B256, U256};
use gaia_ledger::NanoUnits;
use gaia_ledger::amount::AmountError;

/// Money was not moved.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// By a transaction.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The chain does not answer.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// An amount that the asset cannot express.
    #[error("{symbol} has {decimals} digits after the point, the amount has more: round it")]
    TooFine {
        /// Which asset.
        symbol: String,
        /// Its digits.
        decimals: u8,
    },
    /// An amount that is none.
    #[error(transparent)]
    Amount(#[from] AmountError),
    /// More than the wallet has.
    #[error(
        "{owner} has {} {symbol}, {} are needed: get more first",
        decimal(*held, *decimals),
        decimal(*needed, *decimals)
    )]
    TooLittle {
        /// Whose wallet.
        owner: Address,
        /// Of what.
        symbol: String,
        /// Its digits after the point.
        decimals: u8,
        /// What is there, in base units.
        held: U256,
        /// What is needed.
        needed: U256,
    },
    /// A proof that proves nothing, from a gateway that lies or is mistaken.
    #[error(
        "the gateway's proof does not lead to the root {root} on the chain: nothing was sent; ask the domain's owner"
    )]
    ProofWrong {
        /// The root on the chain.
        root: B256,
    },
}

/// Base units of an asset with so many digits after the point, as people write them.
fn decimal(units: U256, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let digits = format!(
        "{units:0>width$}",
        units = units.to_string(),
        width = decimals + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// Base units of `amount`, exactly.
///
/// # Errors
/// When the asset is coarser than that.
pub fn base_units(asset: &Asset, amount: NanoUnits) -> Result<U256, PayError> {
    let (base, whole) = amount.to_base(asset.decimals)?;
    if whole != amount {
        return Err(PayError::TooFine {
            symbol: asset.symbol.clone(),
            decimals: asset.decimals,
        });
    }
    Ok(base)
}

/// Allows the escrow to take `amount`, exactly, and deposits it for the wallet's own account.
///
/// # Errors
/// [`PayError`]. After a failure of the second step the allowance stands; the next deposit uses it.
pub async fn deposit(
    wallet: &Wallet,
    domain: &Domain,
    asset: &Asset,
    amount: NanoUnits,
) -> Result<Mined, PayError> {
    let needed = base_units(asset, amount)?;
    let owner = wallet.address();
    let call = Token::balanceOfCall { account: owner };
    let held = domain.rpc.view(asset.address, call, At::Latest).await?;
    if held < needed {
        return Err(PayError::TooLittle {
            owner,
            symbol: asset.symbol.clone(),
            decimals: asset.decimals,
            held,
            needed,
        });
    }
    let call = Token::allowanceCall {
        owner,
        spender: domain.escrow,
    };
    if domain.rpc.view(asset.address, call, At::Latest).await? < needed {
        let call = Token::approveCall {
            spender: domain.escrow,
            value: needed,
        };
        wallet.send(asset.address, call).await?;
    }
    let call = Escrow::depositCall {
        asset: asset.address,
        baseUnits: needed,
        payer: owner,
    };
    Ok(wallet.send(domain.escrow, call).await?)
}

/// An account as the chain has it.
///
/// # Errors
/// When the chain does not answer.
pub async fn account(
    domain: &Domain,
    payer: Address,
    asset: Address,
) -> Result<Account, ChainError> {
    let call = Escrow::accountOfCall { payer, asset };
    domain.rpc.view(domain.escrow, call, At::Latest).await
}

/// Asks for a refund; it can be drawn when the domain's delay is over.
///
/// # Errors
/// As the contract refuses.
pub async fn ask_refund(
    wallet: &Wallet,
    domain: &Domain,
    asset: &Asset,
    amount: NanoUnits,
) -> Result<Mined, SendError> {
    let call = Escrow::requestRefundCall {
        asset: asset.address,
        amount: amount.get(),
    };
    wallet.send(domain.escrow, call).await
}

/// Takes the request for a refund back.
///
/// # Errors
/// As the contract refuses.
pub async fn cancel_refund(
    wallet: &Wallet,
    domain: &Domain,
    asset: &Asset,
) -> Result<Mined, SendError> {
    let call = Escrow::cancelRefundCall {
        asset: asset.address,
    };
    wallet.send(domain.escrow, call).await
}

/// Draws a refund whose delay is over. No operator is needed.
///
/// # Errors
/// As the contract refuses.
pub async fn draw_refund(
    wallet: &Wallet,
    domain: &Domain,
    asset: &Asset,
) -> Result<Mined, SendError> {
    let call = Escrow::withdrawRefundCall {
        asset: asset.address,
    };
    wallet.send(domain.escrow, call).await
}

/// Draws a share for whom it belongs to, after its proof was checked against the root on the chain.
///
/// # Errors
/// [`PayError::ProofWrong`] before anything is sent; then as the contract refuses.
pub async fn claim(
    wallet: &Wallet,
    domain: &Domain,
    proven: &ProvenShare,
) -> Result<Mined, PayError> {
    let root = crate::shares::root(domain).await?;
    if !proven.share.is_proven(&proven.proof, root) {
        return Err(PayError::ProofWrong { root });
    }
    let call = Escrow::claimCall {
        account: proven.share.account,
        asset: proven.share.asset,
        cumulative: proven.share.cumulative.get(),
        proof: proven.proof.clone(),
    };
    Ok(wallet.send(domain.escrow, call).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_as_people_write_them() {
        let check = |units: u64, decimals, expected: &str| {
            assert_eq!(decimal(U256::from(units), decimals), expected);
        };
        check(0, 6, "0");
        check(12_500_000, 6, "12.5");
        check(1, 6, "0.000001");
        check(99_999_800, 6, "99.9998");
        check(7, 0, "7");
        check(u64::MAX, 18, "18.446744073709551615");
    }
}
