//! A node as its domain knows it.

use crate::config::NodeConfig;
use crate::evidence::{Evidence, EvidenceLog, Observed};
use crate::join::VerifiedJoin;
use crate::policy::{Policy, PolicyRefusal};
use crate::rules::Rules;
use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a node gets no requests for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It fell silent. Over with the next heartbeat, and canaries.
    Silence,
    /// It answered canaries wrongly. Over after a while, and canaries.
    Canaries,
    /// Its operator has too little at stake. Over when there is enough, and canaries.
    Stake,
    /// The domain's policy is against it. Over when the policy or the node changes, and canaries.
    Policy,
    /// It counted in its own favour. Over when the domain's operator says so.
    Counts,
}

impl Reason {
    /// Whether the node has earned it by what it did: such a suspension outlasts going away and coming back.
    #[must_use]
    pub fn is_earned(self) -> bool {
        matches!(self, Self::Canaries | Self::Counts)
    }

    /// The graver one stays.
    fn gravity(self) -> u8 {
        match self {
            Self::Silence => 0,
            Self::Canaries => 1,
            Self::Stake => 2,
            Self::Policy => 3,
            Self::Counts => 4,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "no heartbeats: start the node, it comes back by itself",
            Self::Canaries => {
                "wrong answers to canaries: check its model and prompts, it is tried again"
            }
            Self::Stake => {
                "its operator has less staked than the domain asks for: stake the rest, it comes back by itself"
            }
            Self::Policy => {
                "the domain's policy is against it: see what it asks for, join again with that, or ask its operator"
            }
            Self::Counts => {
                "token counts that differ from the gateway's: ask the domain's operator"
            }
        })
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// Gets canaries, and nothing else.
    Probation,
    /// Gets requests.
    Serving,
    /// Gets none.
    Suspended {
        /// Why.
        reason: Reason,
        /// Seconds since 1970.
        since: u64,
    },
    /// It went. Its record stays.
    Left {
        /// Seconds since 1970.
        since: u64,
        /// What it was suspended for, which waits for it.
        suspended: Option<Reason>,
    },
}

/// What a policy makes of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It gets no requests any more: for what, and in words.
    Suspended(Reason, String),
    /// What stood against it is over.
    Lifted,
}

/// A node as its domain knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its address.
    pub node: Address,
    /// Who earns for it.
    pub operator: Address,
    /// Where it is; empty when it dials out.
    pub endpoint: String,
    /// What it has signed that it serves with.
    pub config_hash: B256,
    /// The same in full; unknown of who joined before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<NodeConfig>,
    /// Of its last join or leave.
    pub nonce: u64,
    /// Where it stands.
    pub status: Status,
    /// Of its last heartbeat.
    pub sequence: Option<u64>,
    /// Seconds since 1970 of its last sign of life, by the domain's clock.
    pub last_seen: u64,
    /// Canaries it has passed since it is on probation.
    pub canaries_passed: u32,
    /// Canaries it has failed since it passed one.
    pub canaries_failed: u32,
    /// Requests in which its count differed, since `counts_since`.
    pub counts_differed: u32,
    /// When the counting of these began.
    pub counts_since: u64,
    /// What was observed of it.
    pub evidence: EvidenceLog,
}

impl Member {
    /// Whether it may get requests of users.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.status == Status::Serving
    }

    /// What stands against the node by `policy`. `staked` is what its operator has at stake, where that is known.
    ///
    /// # Errors
    /// The first thing that does.
    pub fn fits(&self, policy: &Policy, staked: Option<u64>) -> Result<(), PolicyRefusal> {
        policy.takes(self.node, self.operator)?;
        if let Some(config) = &self.config {
            policy.takes_config(config)?;
        }
        staked.map_or(Ok(()), |staked| policy.takes_stake(staked))
    }

    /// Where the node would stand by `policy`, if that is elsewhere: suspended for a reason, or on probation.
    #[must_use]
    pub fn judged(&self, policy: &Policy, staked: Option<u64>) -> Option<Judgement> {
        let now = match self.status {
            Status::Left { .. } => return None,
            Status::Suspended { reason, .. } => Some(reason),
            Status::Probation | Status::Serving => None,
        };
        match self.fits(policy, staked) {
            Err(refusal) => {
                let reason = refusal.reason();
                let is_new = match now {
                    Some(Reason::Policy | Reason::Stake) => now != Some(reason),
                    Some(now) => now.gravity() < reason.gravity(),
                    None => true,
                };
                is_new.then(|| Judgement::Suspended(reason, refusal.to_string()))
            }
            Ok(()) => match now {
                Some(Reason::Policy) => Some(Judgement::Lifted),
                // What is not known lifts nothing.
                Some(Reason::Stake) if staked.is_some() || policy.minimum_stake == 0 => {
                    Some(Judgement::Lifted)
                }
                _ => None,
            },
        }
    }

    pub(crate) fn begin_probation(&mut self) {
        self.status = Status::Probation;
        self.canaries_passed = 0;
        self.canaries_failed = 0;
    }

    pub(crate) fn first(verified: &VerifiedJoin, config: &NodeConfig, now: u64) -> Self {
        let join = verified.join();
        Self {
            node: join.node,
            operator: join.operator,
            endpoint: join.endpoint.clone(),
            config_hash: join.config_hash,
            config: Some(config.clone()),
            nonce: join.nonce,
            status: Status::Probation,
            sequence: None,
            last_seen: now,
            canaries_passed: 0,
            canaries_failed: 0,
            counts_differed: 0,
            counts_since: now,
            evidence: EvidenceLog::default(),
        }
    }

    /// A suspension that was earned outlasts going away and coming back.
    pub(crate) fn rejoin(&mut self, verified: &VerifiedJoin, config: &NodeConfig, now: u64) {
        let join = verified.join();
        let same = self.config_hash == join.config_hash;
        self.operator = join.operator;
        self.endpoint.clone_from(&join.endpoint);
        self.config_hash = join.config_hash;
        self.config = Some(config.clone());
        self.nonce = join.nonce;
        self.last_seen = now;
        match self.status {
            Status::Left {
                suspended: Some(reason),
                since,
            } => self.status = Status::Suspended { reason, since },
            // The policy has admitted it just now.
            Status::Suspended { reason, .. } if reason.is_earned() => {}
            Status::Serving if same => {}
            _ => self.begin_probation(),
        }
    }

    pub(crate) fn record(&mut self, observed: Observed, now: u64) {
        self.evidence.add(Evidence {
            time: now,
            config_hash: self.config_hash,
            observed,
        });
    }

    /// Whether that changes anything: the graver reason stays.
    pub(crate) fn suspend(&mut self, reason: Reason, now: u64) -> bool {
        if let Status::Suspended { reason: before, .. } = self.status
            && before.gravity() >= reason.gravity()
        {
            return false;
        }
        self.status = Status::Suspended { reason, since: now };
        true
    }

    /// What the policy changes. Whether it did.
    pub(crate) fn judge(&mut self, policy: &Policy, staked: Option<u64>, now: u64) -> bool {
        match self.judged(policy, staked) {
            None => return false,
            Some(Judgement::Lifted) => self.begin_probation(),
            Some(Judgement::Suspended(reason, why)) => {
                self.record(Observed::Policy { why }, now);
                self.status = Status::Suspended { reason, since: now };
            }
        }
        true
    }

    /// What time alone changes. Whether it did.
    pub(crate) fn age(&mut self, rules: &Rules, now: u64) -> bool {
        match self.status {
            Status::Probation | Status::Serving
                if now.saturating_sub(self.last_seen) > rules.silence_seconds_max =>
            {
                let last_seen = self.last_seen;
                self.record(Observed::Silence { last_seen }, now);
                self.suspend(Reason::Silence, now)
            }
            Status::Suspended {
                reason: Reason::Canaries,
                since,
            } if now.saturating_sub(since) >= rules.canary_pause_seconds => {
                self.begin_probation();
                true
            }
            _ => false,
        }
    }
}
