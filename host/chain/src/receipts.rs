//! A receipt looked at from all sides: what holds, what does not, and what could not be looked at.

use crate::domain::{ChainError, Domain};
use crate::registry;
use gaia_ledger::price::PriceTable;
use gaia_ledger::{NanoUsd, SignedReceipt};
use gaia_statements::Counted;
use serde::Serialize;

/// One thing that a receipt is held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub holds: Verdict,
    /// In words.
    pub says: String,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// It takes the chain to know.
    Unknown,
}

impl Check {
    fn new(what: &'static str, holds: bool, says: String) -> Self {
        let holds = match holds {
            true => Verdict::Holds,
            false => Verdict::Fails,
        };
        Self { what, holds, says }
    }

    fn unknown(what: &'static str) -> Self {
        Self {
            what,
            holds: Verdict::Unknown,
            says: "not looked at: name the chain to know".to_owned(),
        }
    }
}

/// Holds a receipt to everything that can be known: alone, or with the domain on the chain.
///
/// # Errors
/// When the chain does not answer.
pub async fn check(
    signed: &SignedReceipt,
    domain: Option<&Domain>,
) -> Result<Vec<Check>, ChainError> {
    let mut checks = vec![node_signature(signed), sums(signed)];
    let Some(domain) = domain else {
        checks.push(gateway_alone(signed));
        checks.extend(["domain", "node admitted", "price"].map(Check::unknown));
        return Ok(checks);
    };
    checks.push(place(signed, domain));
    checks.push(gateway(signed, domain).await?);
    let node = signed.receipt.node;
    let admitted = registry::was_admitted(domain, node).await?;
    let is = if admitted { "is or was" } else { "never was" };
    checks.push(Check::new(
        "node admitted",
        admitted,
        format!("{node} {is} a node of the domain"),
    ));
    checks.push(price(signed, domain).await?);
    Ok(checks)
}

fn node_signature(signed: &SignedReceipt) -> Check {
    let digest = signed.receipt.digest(&signed.domain);
    let expected = signed.receipt.node;
    match signed.node_signature.signer(&digest) {
        Ok(found) => {
            let says = match found == expected {
                true => format!("signed by the node {expected}"),
                false => {
                    format!("signed by {found}, not by the node {expected}: altered or forged")
                }
            };
            Check::new("node's signature", found == expected, says)
        }
        Err(error) => Check::new("node's signature", false, error.to_string()),
    }
}

fn gateway_alone(signed: &SignedReceipt) -> Check {
    let digest = signed.receipt.digest(&signed.domain);
    match signed.gateway_signature.signer(&digest) {
        Ok(found) => Check {
            what: "gateway's signature",
            holds: Verdict::Unknown,
            says: format!(
                "signed by {found}; whether that is the domain's gateway, the chain knows"
            ),
        },
        Err(error) => Check::new("gateway's signature", false, error.to_string()),
    }
}

async fn gateway(signed: &SignedReceipt, domain: &Domain) -> Result<Check, ChainError> {
    let expected = registry::gateway(domain).await?;
    let digest = signed.receipt.digest(&domain.signing_domain());
    Ok(match signed.gateway_signature.signer(&digest) {
        Ok(found) => {
            let says = match found == expected {
                true => format!("signed by the domain's gateway {expected}"),
                false => format!("signed by {found}, the domain's gateway is {expected}"),
            };
            Check::new("gateway's signature", found == expected, says)
        }
        Err(error) => Check::new("gateway's signature", false, error.to_string()),
    })
}

fn place(signed: &SignedReceipt, domain: &Domain) -> Check {
    let ours = domain.place.domain_id;
    match domain.signing_domain().accepts(&signed.domain) {
        Err(foreign) => Check::new("domain", false, foreign.to_string()),
        Ok(()) if signed.receipt.domain_id != ours => {
            let says = format!("of the domain {}, not of {ours}", signed.receipt.domain_id);
            Check::new("domain", false, says)
        }
        Ok(()) => Check::new("domain", true, format!("of the domain {ours}")),
    }
}

fn sums(signed: &SignedReceipt) -> Check {
    let receipt = &signed.receipt;
    let (cost, key, account) = (
        receipt.cost,
        receipt.key_cumulative,
        receipt.account_cumulative,
    );
    let usd = |amount: NanoUsd| amount.decimal().to_string();
    let says = format!(
        "this request {}, the access token {}, the account {} USD",
        usd(cost),
        usd(key),
        usd(account)
    );
    Check::new("sums", cost <= key && key <= account, says)
}

async fn price(signed: &SignedReceipt, domain: &Domain) -> Result<Check, ChainError> {
    let receipt = &signed.receipt;
    let version = receipt.price_version;
    let Some(price) = registry::price(domain, version, receipt.model).await? else {
        let says = format!("the domain has not published table {version} with this model");
        return Ok(Check::new("price", false, says));
    };
    let table = PriceTable::new(version, vec![price]);
    let cost = table.ok().and_then(|table| {
        let price = table.price(receipt.model).ok()?;
        price.cost(&Counted(receipt.tokens)).ok()
    });
    let says = match cost {
        Some(cost) => format!(
            "{} tokens read, {} of them known, {} written cost {} USD by table {version}; the receipt says {}",
            receipt.tokens.prompt(),
            receipt.tokens.cached,
            receipt.tokens.output,
            cost.decimal(),
            receipt.cost.decimal()
        ),
        None => "the cost cannot be computed".to_owned(),
    };
    Ok(Check::new("price", cost == Some(receipt.cost), says))
}
