//! The EIP-712 domain under which everything is signed.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `name` of the signing domain.
pub const NAME: &str = "Gaia";

/// `version` of the signing domain. Signatures of another version do not count.
pub const VERSION: &str = "1";

/// Where statements count: one chain, and on it one `DomainRegistry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningDomain {
    /// The chain's id (EIP-155).
    pub chain_id: u64,
    /// Address of the `DomainRegistry`.
    pub verifying_contract: Address,
}

/// A statement was made for somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignDomain {
    /// Made for another chain.
    #[error(
        "signed for chain {theirs}, this domain lives on chain {ours}: sign again with the chain that the domain names"
    )]
    Chain {
        /// The chain that the statement names.
        theirs: u64,
        /// The chain of this domain.
        ours: u64,
    },
    /// Made for another registry on this chain.
    #[error(
        "signed for the registry {theirs}, this domain is in {ours}: sign again with the registry that the domain names"
    )]
    Contract {
        /// The contract that the statement names.
        theirs: Address,
        /// The contract of this domain.
        ours: Address,
    },
}

impl SigningDomain {
    /// The domain as EIP-712 has it.
    #[must_use]
    pub fn eip712(&self) -> Eip712Domain {
        Eip712Domain::new(
            Some(Cow::Borrowed(NAME)),
            Some(Cow::Borrowed(VERSION)),
            Some(U256::from(self.chain_id)),
            Some(self.verifying_contract),
            None,
        )
    }

    /// The separator that contracts show as `DOMAIN_SEPARATOR`.
    #[must_use]
    pub fn separator(&self) -> B256 {
        self.eip712().separator()
    }

    /// What a key signs for `statement`.
    #[must_use]
    pub fn digest<S: SolStruct>(&self, statement: &S) -> B256 {
        statement.eip712_signing_hash(&self.eip712())
    }

    /// Whether a statement that says it was made for `theirs` counts here.
    ///
    /// A statement can only lie about this in vain: its digest covers the domain, so that a lie
    /// makes the signature another's.
    ///
    /// # Errors
    /// Names what differs, the chain first.
    pub fn accepts(&self, theirs: &Self) -> Result<(), ForeignDomain> {
        if theirs.chain_id != self.chain_id {
            return Err(ForeignDomain::Chain {
                theirs: theirs.chain_id,
                ours: self.chain_id,
            });
        }
        if theirs.verifying_contract != self.verifying_contract {
            return Err(ForeignDomain::Contract {
                theirs: theirs.verifying_contract,
                ours: self.verifying_contract,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(chain_id: u64, contract: u8) -> SigningDomain {
        SigningDomain {
            chain_id,
            verifying_contract: Address::repeat_byte(contract),
        }
    }

    #[test]
    fn a_foreign_chain_and_a_foreign_registry_are_told_apart() {
        let ours = domain(31337, 1);
        assert_eq!(ours.accepts(&domain(31337, 1)), Ok(()));
        assert!(matches!(
            ours.accepts(&domain(1, 2)),
            Err(ForeignDomain::Chain { theirs: 1, .. })
        ));
        assert!(matches!(
            ours.accepts(&domain(31337, 2)),
            Err(ForeignDomain::Contract { .. })
        ));
    }

    #[test]
    fn every_part_of_the_domain_is_in_its_separator() {
        let separators = [domain(1, 1), domain(2, 1), domain(1, 2)].map(|d| d.separator());
        assert_ne!(separators[0], separators[1]);
        assert_ne!(separators[0], separators[2]);
    }
}
