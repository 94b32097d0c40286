//! The statements of nodes and operators, and what must hold of every one of them.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolStruct;
use gaia_statements::{ForeignDomain, Signature, SignatureError, SigningDomain};
use serde::{Deserialize, Serialize};

/// The longest that a statement may be good for, in seconds. So long its nonce must be remembered.
pub const LIFETIME_SECONDS_MAX: u64 = 3600;

mod solidity {
    alloy_sol_types::sol! {
        struct NodeJoin {
            bytes32 domainId;
            address node;
            address operator;
            bytes32 configHash;
            string endpoint;
            uint64 nonce;
            uint64 expiry;
        }
        struct OperatorConsent {
            bytes32 domainId;
            address node;
            address operator;
            uint64 nonce;
            uint64 expiry;
        }
        struct NodeLeave {
            bytes32 domainId;
            address node;
            uint64 nonce;
            uint64 expiry;
        }
        struct Heartbeat {
            bytes32 domainId;
            address node;
            uint64 sequence;
            uint64 time;
            bytes32 stateHash;
        }
    }
}

/// A node asks to serve a domain. Signed by the node's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeJoin {
    /// Which domain.
    pub domain_id: B256,
    /// The node: the address of its key.
    pub node: Address,
    /// Who earns for it.
    pub operator: Address,
    /// What it serves with: [`crate::NodeConfig::hash`].
    pub config_hash: B256,
    /// Where it is; empty when it dials out to the domain.
    pub endpoint: String,
    /// Higher than that of the node's last statement.
    pub nonce: u64,
    /// Seconds since 1970 until which it is good.
    pub expiry: u64,
}

/// An operator's word that a node earns for it. Signed by the operator's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatorConsent {
    /// In which domain.
    pub domain_id: B256,
    /// Which node.
    pub node: Address,
    /// Who consents.
    pub operator: Address,
    /// Higher than that of the operator's last consent to this node.
    pub nonce: u64,
    /// Seconds since 1970 until which it is good.
    pub expiry: u64,
}

/// A node goes. Signed by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeLeave {
    /// Out of which domain.
    pub domain_id: B256,
    /// Which node.
    pub node: Address,
    /// Higher than that of the node's last statement.
    pub nonce: u64,
    /// Seconds since 1970 until which it is good.
    pub expiry: u64,
}

/// A node lives. Signed by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Heartbeat {
    /// In which domain.
    pub domain_id: B256,
    /// Which node.
    pub node: Address,
    /// Higher than that of the last one.
    pub sequence: u64,
    /// Seconds since 1970 by the node's clock.
    pub time: u64,
    /// Hash of what the node says of its load.
    pub state_hash: B256,
}

/// What is signed by somebody for some domain.
pub trait Statement {
    /// What its key signs.
    fn digest(&self, domain: &SigningDomain) -> B256;
    /// Whose key must sign.
    fn author(&self) -> Address;
    /// For which domain.
    fn domain_id(&self) -> B256;
}

macro_rules! statement {
    ($name:ident, $author:ident, |$it:ident| $solidity:expr) => {
        impl Statement for $name {
            fn digest(&self, domain: &SigningDomain) -> B256 {
                let $it = self;
                domain.digest(&$solidity)
            }

            fn author(&self) -> Address {
                self.$author
            }

            fn domain_id(&self) -> B256 {
                self.domain_id
            }
        }

        impl $name {
            /// The struct's hash without the domain.
            #[must_use]
            pub fn struct_hash(&self) -> B256 {
                let $it = self;
                $solidity.eip712_hash_struct()
            }
        }
    };
}

statement!(NodeJoin, node, |it| solidity::NodeJoin {
    domainId: it.domain_id,
    node: it.node,
    operator: it.operator,
    configHash: it.config_hash,
    endpoint: it.endpoint.clone(),
    nonce: it.nonce,
    expiry: it.expiry,
});

statement!(OperatorConsent, operator, |it| solidity::OperatorConsent {
    domainId: it.domain_id,
    node: it.node,
    operator: it.operator,
    nonce: it.nonce,
    expiry: it.expiry,
});

statement!(NodeLeave, node, |it| solidity::NodeLeave {
    domainId: it.domain_id,
    node: it.node,
    nonce: it.nonce,
    expiry: it.expiry,
});

statement!(Heartbeat, node, |it| solidity::Heartbeat {
    domainId: it.domain_id,
    node: it.node,
    sequence: it.sequence,
    time: it.time,
    stateHash: it.state_hash,
});

/// A statement as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<S> {
    /// Where it was signed for.
    pub domain: SigningDomain,
    /// What it says.
    pub statement: S,
    /// By the author's key.
    pub signature: Signature,
}

/// The domain that statements are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// Chain and registry.
    pub signing: SigningDomain,
    /// The domain's id there.
    pub domain_id: B256,
}

/// Why a statement does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementRefusal {
    /// Another chain or registry.
    #[error(transparent)]
    Foreign(#[from] ForeignDomain),
    /// Another domain.
    #[error("signed for the domain {theirs}, this is {ours}: sign again for this one")]
    AnotherDomain {
        /// The domain that it names.
        theirs: B256,
        /// This one.
        ours: B256,
    },
    /// Bytes that nobody has signed.
    #[error("the signature of {author} is none: sign the statement with that key")]
    Malformed {
        /// Who should have signed.
        author: Address,
        /// Why it is none.
        #[source]
        source: SignatureError,
    },
    /// Somebody else's name, or altered afterwards.
    #[error(
        "the statement names {author}, but {signer} signed it: sign with the key of the address it names, and change nothing afterwards"
    )]
    AnotherSigner {
        /// Who should have signed.
        author: Address,
        /// Who signed what is there.
        signer: Address,
    },
    /// Too late.
    #[error(
        "the statement was good until {expiry}, it is {now}: sign a new one, and check the clock"
    )]
    Expired {
        /// Until when it was good.
        expiry: u64,
        /// What time it is.
        now: u64,
    },
    /// Good for too long.
    #[error(
        "the statement is good until {expiry}, more than {LIFETIME_SECONDS_MAX} s from now ({now}): sign one with a nearer expiry"
    )]
    LifetimeTooLong {
        /// Until when it would be good.
        expiry: u64,
        /// What time it is.
        now: u64,
    },
    /// Seen before.
    #[error("the nonce {nonce} was used: the next must be above {last}")]
    Replayed {
        /// The statement's.
        nonce: u64,
        /// The last one's.
        last: u64,
    },
}

impl Place {
    /// Whether `signed` was made for here and signed by the one it names.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check<S: Statement>(&self, signed: &Signed<S>) -> Result<(), StatementRefusal> {
        self.signing.accepts(&signed.domain)?;
        let statement = &signed.statement;
        if statement.domain_id() != self.domain_id {
            return Err(StatementRefusal::AnotherDomain {
                theirs: statement.domain_id(),
                ours: self.domain_id,
            });
        }
        let author = statement.author();
        let signer = signed.signature.signer(&statement.digest(&self.signing));
        let signer = signer.map_err(|source| StatementRefusal::Malformed { author, source })?;
        if signer != author {
            return Err(StatementRefusal::AnotherSigner { author, signer });
        }
        Ok(())
    }
}

/// Whether a statement with this `expiry` is good now.
pub(crate) fn check_time(expiry: u64, now: u64) -> Result<(), StatementRefusal> {
    if expiry < now {
        return Err(StatementRefusal::Expired { expiry, now });
    }
    if expiry > now.saturating_add(LIFETIME_SECONDS_MAX) {
        return Err(StatementRefusal::LifetimeTooLong { expiry, now });
    }
    Ok(())
}

/// Whether a statement with this `nonce` is new.
pub(crate) fn check_nonce(nonce: u64, last: Option<u64>) -> Result<(), StatementRefusal> {
    match last {
        Some(last) if nonce <= last => Err(StatementRefusal::Replayed { nonce, last }),
        _ => Ok(()),
    }
}
