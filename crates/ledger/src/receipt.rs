//! Receipts: what a request cost, in the words of the node and of the gateway.
//!
//! Cumulative, so that the last receipt of an account proves all that it was charged, and one
//! that is missing shows in the next. The payer checks it without asking anybody.

use crate::account::{AccountId, EpochNumber, KeyId, ReservationId, Timestamp};
use crate::amount::{NanoUnits, NanoUsd};
use crate::price::{ModelId, PriceError, PriceTable};
use alloy_primitives::{Address, B256};
use alloy_sol_types::SolStruct;
use gaia_statements::{
    Counted, ForeignDomain, Signature, SignatureError, SigningDomain, TokenCounts,
};
use serde::{Deserialize, Serialize};
use std::fmt;

mod solidity {
    alloy_sol_types::sol! {
        struct Receipt {
            bytes32 domainId;
            bytes32 requestId;
            bytes32 keyId;
            address payer;
            address asset;
            address node;
            address operator;
            bytes32 model;
            uint32 priceVersion;
            uint64 inputTokens;
            uint64 cachedTokens;
            uint64 outputTokens;
            uint64 cost;
            uint64 keyCumulative;
            uint64 accountCumulative;
            uint64 nodeCumulative;
            uint64 epoch;
            uint64 time;
        }
    }
}

/// What a request cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// The domain that served.
    pub domain_id: B256,
    /// The request.
    pub request_id: ReservationId,
    /// The access token that asked.
    pub key_id: KeyId,
    /// Who pays.
    pub payer: Address,
    /// In which asset.
    pub asset: Address,
    /// The node that served.
    pub node: Address,
    /// Who earns for the node; the zero address where the domain serves by itself.
    pub operator: Address,
    /// The model that was asked.
    pub model: ModelId,
    /// The price table that held.
    pub price_version: u32,
    /// What the gateway counted.
    pub tokens: TokenCounts,
    /// What that cost.
    pub cost: NanoUsd,
    /// All that the access token was ever charged, this included.
    pub key_cumulative: NanoUsd,
    /// All that the account was ever charged, this included.
    pub account_cumulative: NanoUsd,
    /// All that the node has earned for its operator in this asset, through this receipt's epoch and with this
    /// receipt: the operator's parts (after the split), each in whole nano-units of the asset at its epoch's price.
    /// The share of the operator in a tree of that epoch or a later one is at least the sum of this over its nodes.
    pub node_cumulative: NanoUnits,
    /// When it is settled.
    pub epoch: EpochNumber,
    /// When it was served.
    pub time: Timestamp,
}

/// A receipt with both signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedReceipt {
    /// Where it counts.
    pub domain: SigningDomain,
    /// What it says.
    pub receipt: Receipt,
    /// By the node's key.
    pub node_signature: Signature,
    /// By the domain's gateway key.
    pub gateway_signature: Signature,
}

/// What a receipt is held to.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Where statements count.
    pub domain: SigningDomain,
    /// The domain's id on the chain.
    pub domain_id: B256,
    /// The domain's gateway key on the chain.
    pub gateway: Address,
    /// Whether the node was admitted to the domain; `None` where that is not known.
    pub node_admitted: Option<bool>,
    /// The price table of the receipt's version; `None` where it is not known.
    pub prices: Option<&'a PriceTable>,
}

/// Whose signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The node that served.
    Node,
    /// The domain's gateway.
    Gateway,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Gateway => "gateway",
        })
    }
}

/// Why a receipt does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Another chain or registry.
    #[error("the receipt is not of this chain: {0}")]
    Foreign(ForeignDomain),
    /// Another domain.
    #[error("the receipt is of the domain {theirs}, not of {ours}: verify it against that one")]
    AnotherDomain {
        /// The domain it names.
        theirs: B256,
        /// The domain expected.
        ours: B256,
    },
    /// No signature at all.
    #[error("the {signer}'s signature is none: fetch the receipt again")]
    Malformed {
        /// Whose.
        signer: Signer,
        /// Why.
        #[source]
        source: SignatureError,
    },
    /// Signed by somebody else, or altered afterwards.
    #[error(
        "the {signer}'s signature is by {found}, not by {expected}: the receipt was altered, or is a forgery"
    )]
    Forged {
        /// Whose.
        signer: Signer,
        /// Who signed what is there.
        found: Address,
        /// Who should have.
        expected: Address,
    },
    /// By a node that is none of the domain's.
    #[error("{0} never was a node of the domain: the gateway has made a receipt up")]
    NodeNotAdmitted(Address),
    /// A sum that does not contain its part.
    #[error(
        "cumulatives do not add up (cost {cost}, key {key}, account {account}): the gateway counts wrongly"
    )]
    Cumulative {
        /// This request's.
        cost: NanoUsd,
        /// The access token's.
        key: NanoUsd,
        /// The account's.
        account: NanoUsd,
    },
    /// A promise to nobody.
    #[error(
        "the receipt says that the node has earned {0}, and for nobody: the gateway counts wrongly"
    )]
    NobodyEarns(NanoUnits),
    /// The table at hand is another one.
    #[error("the receipt is by price table {theirs}, not {ours}: verify it with that one")]
    PriceVersion {
        /// The version it names.
        theirs: u32,
        /// The version at hand.
        ours: u32,
    },
    /// No price for it.
    #[error("the receipt's cost cannot be computed")]
    Price(#[source] PriceError),
    /// Another cost than its tokens have.
    #[error("the receipt says {stated}, its tokens cost {computed}: the gateway charges wrongly")]
    Cost {
        /// What it says.
        stated: NanoUsd,
        /// What it should.
        computed: NanoUsd,
    },
    /// Not after the other.
    #[error(
        "the receipts are of different accounts or tokens, or the earlier one's sums or promises are too high: one of them is missing or false"
    )]
    NotAfter,
}

impl Receipt {
    /// The account that was charged.
    #[must_use]
    pub fn account(&self) -> AccountId {
        AccountId {
            payer: self.payer,
            asset: self.asset,
        }
    }

    /// What node and gateway sign.
    #[must_use]
    pub fn digest(&self, domain: &SigningDomain) -> B256 {
        domain.digest(&self.solidity())
    }

    /// The struct's hash without the domain.
    #[must_use]
    pub fn struct_hash(&self) -> B256 {
        self.solidity().eip712_hash_struct()
    }

    fn solidity(&self) -> solidity::Receipt {
        solidity::Receipt {
            domainId: self.domain_id,
            requestId: self.request_id,
            keyId: self.key_id,
            payer: self.payer,
            asset: self.asset,
            node: self.node,
            operator: self.operator,
            model: self.model.0,
            priceVersion: self.price_version,
            inputTokens: self.tokens.input,
            cachedTokens: self.tokens.cached,
            outputTokens: self.tokens.output,
            cost: self.cost.get(),
            keyCumulative: self.key_cumulative.get(),
            accountCumulative: self.account_cumulative.get(),
            nodeCumulative: self.node_cumulative.get(),
            epoch: self.epoch.0,
            time: self.time.0,
        }
    }

    /// Whether this can come after `earlier`, of the same access token: then its sums contain it, and what it says of the
    /// same node is no less.
    ///
    /// # Errors
    /// When they do not.
    pub fn comes_after(&self, earlier: &Self) -> Result<(), ReceiptError> {
        let same = self.domain_id == earlier.domain_id
            && self.account() == earlier.account()
            && self.key_id == earlier.key_id
            && self.request_id != earlier.request_id;
        let contains = |sum: NanoUsd, before: NanoUsd| {
            before
                .checked_add(self.cost)
                .is_some_and(|least| least <= sum)
        };
        let rises = contains(self.key_cumulative, earlier.key_cumulative)
            && contains(self.account_cumulative, earlier.account_cumulative);
        let promise_holds = self.node != earlier.node
            || self.operator != earlier.operator
            || self.epoch < earlier.epoch
            || self.node_cumulative >= earlier.node_cumulative;
        if same && rises && promise_holds {
            Ok(())
        } else {
            Err(ReceiptError::NotAfter)
        }
    }

    fn check_sums(&self) -> Result<(), ReceiptError> {
        if self.cost <= self.key_cumulative && self.key_cumulative <= self.account_cumulative {
            return Ok(());
        }
        Err(ReceiptError::Cumulative {
            cost: self.cost,
            key: self.key_cumulative,
            account: self.account_cumulative,
        })
    }

    fn check_operator(&self) -> Result<(), ReceiptError> {
        if self.operator.is_zero() && !self.node_cumulative.is_zero() {
            return Err(ReceiptError::NobodyEarns(self.node_cumulative));
        }
        Ok(())
    }

    fn check_cost(&self, prices: &PriceTable) -> Result<(), ReceiptError> {
        if prices.version() != self.price_version {
            return Err(ReceiptError::PriceVersion {
                theirs: self.price_version,
                ours: prices.version(),
            });
        }
        let price = prices.price(self.model).map_err(ReceiptError::Price)?;
        let cost = price.cost(&Counted(self.tokens));
        let computed = cost.map_err(|error| ReceiptError::Price(error.into()))?;
        if computed != self.cost {
            return Err(ReceiptError::Cost {
                stated: self.cost,
                computed,
            });
        }
        Ok(())
    }
}

impl SignedReceipt {
    /// Checks everything that can be checked of one receipt alone.
    ///
    /// # Errors
    /// The first thing that is wrong, from where it counts to what it cost.
    pub fn verify(&self, expected: &Expected<'_>) -> Result<(), ReceiptError> {
        let receipt = &self.receipt;
        let here = expected.domain.accepts(&self.domain);
        here.map_err(ReceiptError::Foreign)?;
        if receipt.domain_id != expected.domain_id {
            return Err(ReceiptError::AnotherDomain {
                theirs: receipt.domain_id,
                ours: expected.domain_id,
            });
        }
        let digest = receipt.digest(&expected.domain);
        signed(
            Signer::Gateway,
            &self.gateway_signature,
            &digest,
            expected.gateway,
        )?;
        signed(Signer::Node, &self.node_signature, &digest, receipt.node)?;
        if expected.node_admitted == Some(false) {
            return Err(ReceiptError::NodeNotAdmitted(receipt.node));
        }
        receipt.check_sums()?;
        receipt.check_operator()?;
        match expected.prices {
            Some(prices) => receipt.check_cost(prices),
            None => Ok(()),
        }
    }
}

fn signed(
    signer: Signer,
    signature: &Signature,
    digest: &B256,
    expected: Address,
) -> Result<(), ReceiptError> {
    let found = signature.signer(digest);
    let found = found.map_err(|source| ReceiptError::Malformed { signer, source })?;
    if found == expected {
        Ok(())
    } else {
        Err(ReceiptError::Forged {
            signer,
            found,
            expected,
        })
    }
}
