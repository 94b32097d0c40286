//! Who earns which part of what a request costs.

use alloy_primitives::Address;
use gaia_ledger::split::{BasisPoints, SplitError};
use gaia_ledger::{Party, Role, Split};
use serde::Deserialize;

/// The table `[split]`: parts of 10,000.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFile {
    /// For who runs the node that served.
    pub node_operator: u16,
    /// For the domain.
    pub domain: u16,
    /// Who draws the domain's part.
    pub domain_address: Address,
    /// Others, such as stakers and authors of components.
    #[serde(default)]
    pub others: Vec<OtherPart>,
}

/// A table `[[split.others]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtherPart {
    /// For what.
    pub role: Role,
    /// Who.
    pub address: Address,
    /// Of 10,000.
    pub part: u16,
}

impl SplitFile {
    /// The parts of a request that a node of `operator` served.
    ///
    /// # Errors
    /// When they do not add up, or somebody stands in it twice.
    pub fn of(&self, operator: Address) -> Result<Split, SplitError> {
        let party = |role, address| Party { role, address };
        let own = [
            (party(Role::NodeOperator, operator), self.node_operator),
            (party(Role::Domain, self.domain_address), self.domain),
        ];
        let own = own.into_iter().filter(|(_, part)| *part > 0);
        let others = self.others.iter();
        let others = others.map(|other| (party(other.role, other.address), other.part));
        let parts = own.chain(others);
        let parts = parts
            .map(|(party, part)| (party, BasisPoints(part)))
            .collect();
        Split::new(parts)
    }
}
