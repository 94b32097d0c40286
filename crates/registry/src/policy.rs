//! Whom a domain admits: a file of its operator's, and what it says in words.

use crate::config::NodeConfig;
use crate::join::VerifiedJoin;
use crate::member::Reason;
use crate::misread::Misread;
use alloy_primitives::{Address, B256};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most entries of any list of a policy.
pub const LIST_LEN_MAX: usize = 10_000;

/// Who may come at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// Everybody who is not denied.
    Open,
    /// Only those who are allowed, and not denied. What holds when nothing is said.
    #[default]
    AllowList,
}

/// A domain's `policy.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Who may come at all.
    pub admission: Admission,
    /// Nodes or operators that may.
    pub allow: BTreeSet<Address>,
    /// Nodes or operators that may not, whatever else is said.
    pub deny: BTreeSet<Address>,
    /// SHA-256 of models, one of which a node must serve; any when empty.
    pub required_models: BTreeSet<B256>,
    /// Digests of knowledge bases, one of which a node must have.
    pub required_knowledge: BTreeSet<B256>,
    /// Digests of prompts, one of which a node must have.
    pub required_prompts: BTreeSet<B256>,
    /// Nano-units that the operator must have staked.
    pub minimum_stake: u64,
}

/// Why a file is no policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML, or with keys that mean nothing.
    #[error("{0}")]
    Read(Misread),
    /// Too long a list.
    #[error("`{list}` has {len} entries, a list may have {LIST_LEN_MAX}: shorten it")]
    TooLong {
        /// Which.
        list: &'static str,
        /// How long.
        len: usize,
    },
    /// Nobody could ever come.
    #[error(
        "`admission` is allow-list and `allow` is empty, so that nobody could join: add addresses, or say `admission = \"open\"` (gaia domain policy allow 0x…, gaia domain policy open)"
    )]
    Nobody,
}

/// Why a node is not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// On the list of those who may not.
    #[error("{0} is denied in this domain: ask its operator")]
    Denied(Address),
    /// Not on the list of those who may.
    #[error(
        "neither the node {node} nor its operator {operator} is on this domain's list: ask its operator to add one of them"
    )]
    NotAllowed {
        /// The node.
        node: Address,
        /// Its operator.
        operator: Address,
    },
    /// What the node says it serves with is not what it has signed.
    #[error(
        "the configuration's hash is {found}, {signed} was signed: sign a join for the configuration that the node runs"
    )]
    ConfigHash {
        /// Of what it sent.
        found: B256,
        /// What it signed.
        signed: B256,
    },
    /// Another model.
    #[error("the domain does not take the model {0}: serve one of those that its policy names")]
    Model(B256),
    /// Another knowledge base.
    #[error(
        "the domain does not take the knowledge base {0}: load one of those that its policy names"
    )]
    Knowledge(B256),
    /// Other prompts.
    #[error("the domain does not take the prompts {0}: load those that its policy names")]
    Prompts(B256),
    /// Too little at stake.
    #[error(
        "the operator has staked {staked} nano-units, the domain asks for {minimum}: stake the rest first"
    )]
    Stake {
        /// What is staked.
        staked: u64,
        /// What is asked for.
        minimum: u64,
    },
}

impl PolicyRefusal {
    /// What a member is suspended for that this stands against.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Stake { .. } => Reason::Stake,
            _ => Reason::Policy,
        }
    }
}

impl Policy {
    /// Reads `policy.toml`.
    ///
    /// # Errors
    /// For keys that mean nothing, lists too long, and a policy under which nobody could join.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Read(Misread::of(text, &error)))?;
        let lists = [
            ("allow", policy.allow.len()),
            ("deny", policy.deny.len()),
            ("required_models", policy.required_models.len()),
            ("required_knowledge", policy.required_knowledge.len()),
            ("required_prompts", policy.required_prompts.len()),
        ];
        if let Some((list, len)) = lists.into_iter().find(|(_, len)| *len > LIST_LEN_MAX) {
            return Err(PolicyError::TooLong { list, len });
        }
        if policy.admission == Admission::AllowList && policy.allow.is_empty() {
            return Err(PolicyError::Nobody);
        }
        Ok(policy)
    }

    /// Whether a node that has proven who it is may serve with `config`.
    ///
    /// # Errors
    /// The first thing that stands against it.
    pub fn admit(
        &self,
        verified: &VerifiedJoin,
        config: &NodeConfig,
        staked: u64,
    ) -> Result<(), PolicyRefusal> {
        let join = verified.join();
        self.takes(join.node, join.operator)?;
        let (found, signed) = (config.hash(), join.config_hash);
        if found != signed {
            return Err(PolicyRefusal::ConfigHash { found, signed });
        }
        self.takes_config(config)?;
        self.takes_stake(staked)
    }

    /// Whether it says nothing against who they are.
    pub(crate) fn takes(&self, node: Address, operator: Address) -> Result<(), PolicyRefusal> {
        let ids = [node, operator];
        if let Some(denied) = ids.iter().find(|id| self.deny.contains(*id)) {
            return Err(PolicyRefusal::Denied(*denied));
        }
        let listed = ids.iter().any(|id| self.allow.contains(id));
        match self.admission == Admission::AllowList && !listed {
            true => Err(PolicyRefusal::NotAllowed { node, operator }),
            false => Ok(()),
        }
    }

    pub(crate) fn takes_stake(&self, staked: u64) -> Result<(), PolicyRefusal> {
        let minimum = self.minimum_stake;
        match staked < minimum {
            true => Err(PolicyRefusal::Stake { staked, minimum }),
            false => Ok(()),
        }
    }

    pub(crate) fn takes_config(&self, config: &NodeConfig) -> Result<(), PolicyRefusal> {
        let takes = |list: &BTreeSet<B256>, digest| list.is_empty() || list.contains(digest);
        if !takes(&self.required_models, &config.model) {
            return Err(PolicyRefusal::Model(config.model));
        }
        if !takes(&self.required_knowledge, &config.knowledge) {
            return Err(PolicyRefusal::Knowledge(config.knowledge));
        }
        if !takes(&self.required_prompts, &config.prompts) {
            return Err(PolicyRefusal::Prompts(config.prompts));
        }
        Ok(())
    }

    /// The policy in words, a sentence a line.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![match self.admission {
            Admission::Open => "Anybody may join who is not denied.".to_owned(),
            Admission::AllowList => {
                format!(
                    "Only nodes and operators on the list may join ({}).",
                    self.allow.len()
                )
            }
        }];
        match self.deny.len() {
            0 => {}
            1 => lines.push("One address is denied.".to_owned()),
            more => lines.push(format!("{more} addresses are denied.")),
        }
        for (what, list) in [
            ("model", &self.required_models),
            ("knowledge base", &self.required_knowledge),
            ("prompt set", &self.required_prompts),
        ] {
            match list.first() {
                Some(only) if list.len() == 1 => {
                    lines.push(format!("A node must serve with the {what} {only}."));
                }
                Some(_) => lines.push(format!(
                    "A node must serve with one of {} {what}s.",
                    list.len()
                )),
                None => {}
            }
        }
        if self.minimum_stake > 0 {
            let stake = self.minimum_stake;
            lines.push(format!("Its operator must have staked {stake} nano-units."));
        }
        lines
    }
}
