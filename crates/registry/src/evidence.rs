//! What was observed of a node, kept for its operator and for whoever decides a quarrel.

use crate::canary::CanaryVerdict;
use alloy_primitives::B256;
use gaia_statements::{Claimed, Counted};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The most records kept of one node; the oldest go first, and are counted.
pub const RECORDS_MAX: usize = 64;

/// The longest name of a canary in a record, in bytes.
pub const CANARY_ID_LEN_MAX: usize = 64;

/// What was observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "observed", rename_all = "kebab-case")]
pub enum Observed {
    /// No heartbeat since then.
    Silence {
        /// Seconds since 1970 of the last sign of life.
        last_seen: u64,
    },
    /// A canary that did not pass.
    Canary {
        /// Which.
        canary: String,
        /// What was wrong.
        verdict: CanaryVerdict,
    },
    /// The domain's policy, or what its operator has staked, is against the node.
    Policy {
        /// What [`crate::PolicyRefusal`] says, which is short.
        why: String,
    },
    /// The node counted other tokens than the gateway.
    Counts {
        /// In which request.
        request: B256,
        /// By the gateway.
        counted: Counted,
        /// By the node.
        claimed: Claimed,
    },
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Seconds since 1970.
    pub time: u64,
    /// What the node had signed that it serves with.
    pub config_hash: B256,
    /// What was observed.
    #[serde(flatten)]
    pub observed: Observed,
}

/// Records of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceLog {
    records: VecDeque<Evidence>,
    dropped: u64,
}

impl EvidenceLog {
    pub(crate) fn add(&mut self, mut evidence: Evidence) {
        if let Observed::Canary { canary, .. } = &mut evidence.observed {
            let cut = canary.floor_char_boundary(CANARY_ID_LEN_MAX);
            canary.truncate(cut);
        }
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
            self.dropped += 1;
        }
        self.records.push_back(evidence);
    }

    /// Oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Evidence> {
        self.records.iter()
    }

    /// How many were dropped for newer ones.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
