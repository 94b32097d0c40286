//! Who earns which part of what a request costs.

use alloy_primitives::Address;
use gaia_ledger::split::{BasisPoints, SplitRule};
use gaia_ledger::{Party, Role};
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
    /// The same, as requests are divided by it.
    #[must_use]
    pub fn rule(&self) -> SplitRule {
        let party = |role, address| Party { role, address };
        let own = (
            party(Role::Domain, self.domain_address),
            BasisPoints(self.domain),
        );
        let own = (self.domain > 0).then_some(own);
        let others = self.others.iter();
        let others =
            others.map(|other| (party(other.role, other.address), BasisPoints(other.part)));
        SplitRule {
            node_operator: BasisPoints(self.node_operator),
            others: own.into_iter().chain(others).collect(),
        }
    }
}
