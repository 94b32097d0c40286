//! A gateway's receipt, held against what this node has seen; signed where it is true.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use gaia_statements::{Claimed, CountTolerance, Counted, TokenCounts};
use gaia_tunnel::messages::{DomainFacts, ReceiptAsked, ReceiptSigned};

use crate::book::{Book, BookError, Unfit};
use crate::claims::{Claims, Served};
use crate::sign::{self, SignError};

/// How old a receipt may be, in seconds; and how far ahead its gateway's clock.
const AGE_SECONDS_MAX: u64 = 3_600;

/// Why the node does not sign.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptRefusal {
    /// Another domain, chain or registry.
    #[error("the receipt is not of the domain that this node has joined")]
    AnotherDomain,
    /// Not by the domain's gateway.
    #[error("the receipt is not signed by the domain's gateway key {0}")]
    AnotherGateway(Address),
    /// For another node.
    #[error("the receipt is for the node {theirs}, this is {ours}")]
    AnotherNode {
        /// The node that it names.
        theirs: Address,
        /// This one.
        ours: Address,
    },
    /// Somebody else would earn.
    #[error("the receipt pays the operator {theirs}, this node's is {ours}")]
    AnotherOperator {
        /// The operator that it names.
        theirs: Address,
        /// This node's.
        ours: Address,
    },
    /// A time that is not now.
    #[error("the receipt says it is {theirs}, here it is {ours}")]
    Time {
        /// Its time.
        theirs: u64,
        /// The node's.
        ours: u64,
    },
    /// An epoch that is not of its time.
    #[error("the receipt is for the epoch {theirs}, its time is in {ours}")]
    Epoch {
        /// Its epoch.
        theirs: u64,
        /// The epoch of its time.
        ours: u64,
    },
    /// Nothing of the kind was served here.
    #[error("this node has not served that request")]
    NotServed,
    /// Other tokens than the node has counted.
    #[error("the receipt counts {theirs:?}, this node has counted {ours:?}")]
    Tokens {
        /// What it says.
        theirs: TokenCounts,
        /// What the node said.
        ours: TokenCounts,
    },
    /// It does not follow those before it.
    #[error("{0}")]
    Unfit(String),
    /// It could not be noted.
    #[error(transparent)]
    Book(#[from] BookError),
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<Unfit> for ReceiptRefusal {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit.to_string())
    }
}

/// Signs receipts of one domain.
pub(crate) struct Receipts {
    pub(crate) key: PrivateKeySigner,
    pub(crate) operator: Address,
    pub(crate) claims: Arc<Claims>,
    pub(crate) book: Mutex<Book>,
}

impl Receipts {
    /// The node's signature under a receipt that is true. Blocks until it is noted on the disk.
    pub(crate) fn sign(
        &self,
        facts: &DomainFacts,
        asked: &ReceiptAsked,
        now: u64,
    ) -> Result<ReceiptSigned, ReceiptRefusal> {
        let digest = asked.receipt.digest(&facts.signing);
        self.check_parties(facts, asked, digest)?;
        check_times(facts, asked, now)?;
        self.check_tokens(asked)?;
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.check(asked, digest)?;
        book.note(asked, digest)?;
        Ok(ReceiptSigned {
            node_signature: sign::digest(&self.key, &digest)?,
        })
    }

    fn check_parties(
        &self,
        facts: &DomainFacts,
        asked: &ReceiptAsked,
        digest: B256,
    ) -> Result<(), ReceiptRefusal> {
        let receipt = &asked.receipt;
        if asked.domain != facts.signing || receipt.domain_id != facts.domain_id {
            return Err(ReceiptRefusal::AnotherDomain);
        }
        if asked.gateway_signature.signer(&digest) != Ok(facts.gateway_key) {
            return Err(ReceiptRefusal::AnotherGateway(facts.gateway_key));
        }
        let ours = self.key.address();
        if receipt.node != ours {
            let theirs = receipt.node;
            return Err(ReceiptRefusal::AnotherNode { theirs, ours });
        }
        if receipt.operator != self.operator {
            return Err(ReceiptRefusal::AnotherOperator {
                theirs: receipt.operator,
                ours: self.operator,
            });
        }
        Ok(())
    }

    /// An answer that did not come to its end has no count of the node's: what it is paid for it, it takes.
    fn check_tokens(&self, asked: &ReceiptAsked) -> Result<(), ReceiptRefusal> {
        let receipt = &asked.receipt;
        let ours = match self.claims.of(receipt.request_id) {
            None => return Err(ReceiptRefusal::NotServed),
            Some(Served::Uncounted) => return Ok(()),
            Some(Served::Counted(Claimed(ours))) => ours,
        };
        let theirs = receipt.tokens;
        match CountTolerance::default().covers(&Counted(theirs), &Claimed(ours)) {
            true => Ok(()),
            false => Err(ReceiptRefusal::Tokens { theirs, ours }),
        }
    }
}

fn check_times(facts: &DomainFacts, asked: &ReceiptAsked, now: u64) -> Result<(), ReceiptRefusal> {
    let (time, epoch) = (asked.receipt.time.0, asked.receipt.epoch.0);
    if time.abs_diff(now) > AGE_SECONDS_MAX {
        return Err(ReceiptRefusal::Time {
            theirs: time,
            ours: now,
        });
    }
    let ours = time.saturating_sub(facts.genesis) / facts.epoch_seconds.max(1);
    // What is captured at an epoch's edge may be settled in the next.
    if epoch.abs_diff(ours) > 1 {
        return Err(ReceiptRefusal::Epoch {
            theirs: epoch,
            ours,
        });
    }
    Ok(())
}
