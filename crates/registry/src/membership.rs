//! The members of a domain, and what makes them more or less.

use crate::canary::CanaryVerdict;
use crate::config::NodeConfig;
use crate::evidence::Observed;
use crate::join::{JoinRefusal, JoinRequest, LastNonces};
use crate::member::{Member, Reason, Status};
use crate::policy::{Policy, PolicyRefusal};
use crate::record::MemberRecord;
use crate::rules::Rules;
use crate::statement::{
    Heartbeat, LIFETIME_SECONDS_MAX, NodeLeave, Place, Signed, StatementRefusal, check_nonce,
    check_time,
};
use alloy_primitives::{Address, B256};
use gaia_statements::{Claimed, Counted};
use std::collections::BTreeMap;

/// A member stands elsewhere than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub node: Address,
    /// Where it stands now; `None` when it is forgotten.
    pub status: Option<Status>,
}

/// Why nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipRefusal {
    /// The join is none.
    #[error("the join is refused")]
    Join(#[from] JoinRefusal),
    /// The policy is against it.
    #[error("the domain's policy refuses the node")]
    Policy(#[from] PolicyRefusal),
    /// The leave or heartbeat is none.
    #[error("the statement is refused")]
    Statement(#[from] StatementRefusal),
    /// Not a member.
    #[error("{0} is no node of this domain: join first")]
    Unknown(Address),
    /// It left.
    #[error("{0} has left this domain: join again")]
    Left(Address),
    /// An old heartbeat.
    #[error(
        "the heartbeat {sequence} is not after {last}: send each once, counting up, also across restarts"
    )]
    Sequence {
        /// The heartbeat's.
        sequence: u64,
        /// The last one's.
        last: u64,
    },
    /// A clock that is off.
    #[error("the heartbeat says it is {theirs}, here it is {ours}: set the node's clock")]
    Clock {
        /// By the node's clock.
        theirs: u64,
        /// By the domain's.
        ours: u64,
    },
    /// No room.
    #[error("the domain remembers {0} nodes and takes no more: ask its operator")]
    Full(usize),
    /// Not suspended.
    #[error("{0} is not suspended: nothing to lift")]
    NotSuspended(Address),
}

/// The members of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    place: Place,
    rules: Rules,
    members: BTreeMap<Address, Member>,
    /// By node and operator.
    consents: BTreeMap<(Address, Address), u64>,
}

impl Registry {
    /// A domain without members.
    #[must_use]
    pub fn new(place: Place, rules: Rules) -> Self {
        Self {
            place,
            rules,
            members: BTreeMap::new(),
            consents: BTreeMap::new(),
        }
    }

    /// Takes a node in, or renews what is known of it. Only the node's own key can.
    ///
    /// # Errors
    /// Why not; then nothing has changed, and no nonce is used up.
    pub fn join(
        &mut self,
        request: &JoinRequest,
        config: &NodeConfig,
        staked: u64,
        policy: &Policy,
        now: u64,
    ) -> Result<Change, MembershipRefusal> {
        let join = &request.join.statement;
        let last = LastNonces {
            node: self.members.get(&join.node).map(|member| member.nonce),
            consent: self.consents.get(&(join.node, join.operator)).copied(),
        };
        let verified = request.verify(&self.place, last, now)?;
        policy.admit(&verified, config, staked)?;
        let node = join.node;
        if !self.members.contains_key(&node) && self.members.len() >= self.rules.members_max {
            return Err(MembershipRefusal::Full(self.rules.members_max));
        }
        if let Some(nonce) = verified.consent_nonce() {
            self.consents.insert((node, join.operator), nonce);
        }
        let member = self.members.entry(node);
        let member = member
            .and_modify(|member| member.rejoin(&verified, config, now))
            .or_insert_with(|| Member::first(&verified, config, now));
        Ok(changed(member))
    }

    /// A node goes by its own word.
    ///
    /// # Errors
    /// Why not.
    pub fn leave(
        &mut self,
        leave: &Signed<NodeLeave>,
        now: u64,
    ) -> Result<Change, MembershipRefusal> {
        self.place.check(leave)?;
        check_time(leave.statement.expiry, now)?;
        let member = active(&mut self.members, leave.statement.node)?;
        check_nonce(leave.statement.nonce, Some(member.nonce))?;
        member.nonce = leave.statement.nonce;
        let suspended = match member.status {
            Status::Suspended { reason, .. } if reason.is_earned() => Some(reason),
            _ => None,
        };
        member.status = Status::Left {
            since: now,
            suspended,
        };
        Ok(changed(member))
    }

    /// A sign of life. Who was suspended for silence is on probation from here.
    ///
    /// # Errors
    /// Why it is none.
    pub fn heartbeat(
        &mut self,
        beat: &Signed<Heartbeat>,
        now: u64,
    ) -> Result<Option<Change>, MembershipRefusal> {
        self.place.check(beat)?;
        let beat = &beat.statement;
        if beat.time.abs_diff(now) > self.rules.clock_skew_seconds_max {
            return Err(MembershipRefusal::Clock {
                theirs: beat.time,
                ours: now,
            });
        }
        let member = active(&mut self.members, beat.node)?;
        if let Some(last) = member.sequence
            && beat.sequence <= last
        {
            return Err(MembershipRefusal::Sequence {
                sequence: beat.sequence,
                last,
            });
        }
        member.sequence = Some(beat.sequence);
        member.last_seen = now;
        if let Status::Suspended {
            reason: Reason::Silence,
            ..
        } = member.status
        {
            member.begin_probation();
            return Ok(Some(changed(member)));
        }
        Ok(None)
    }

    /// Holds a member against the policy as it is now. `staked` is what its operator has at stake, where that is known.
    ///
    /// # Errors
    /// When the node is no member.
    pub fn judge(
        &mut self,
        node: Address,
        policy: &Policy,
        staked: Option<u64>,
        now: u64,
    ) -> Result<Option<Change>, MembershipRefusal> {
        let member = active(&mut self.members, node)?;
        Ok(member.judge(policy, staked, now).then(|| changed(member)))
    }

    /// What a canary has shown.
    ///
    /// # Errors
    /// When the node is no member.
    pub fn canary(
        &mut self,
        node: Address,
        canary: &str,
        verdict: CanaryVerdict,
        now: u64,
    ) -> Result<Option<Change>, MembershipRefusal> {
        let rules = self.rules;
        let member = active(&mut self.members, node)?;
        if verdict == CanaryVerdict::Passed {
            member.canaries_failed = 0;
            member.canaries_passed = member.canaries_passed.saturating_add(1);
            let proven = member.canaries_passed >= rules.canaries_to_serve;
            if member.status == Status::Probation && proven {
                member.status = Status::Serving;
                return Ok(Some(changed(member)));
            }
            return Ok(None);
        }
        let canary = canary.to_owned();
        member.record(Observed::Canary { canary, verdict }, now);
        member.canaries_passed = 0;
        member.canaries_failed = member.canaries_failed.saturating_add(1);
        if member.canaries_failed >= rules.canaries_failed_max {
            return Ok(member
                .suspend(Reason::Canaries, now)
                .then(|| changed(member)));
        }
        Ok(None)
    }

    /// What gateway and node have counted in a request. Returns a change when that was once too often.
    ///
    /// # Errors
    /// When the node is no member.
    pub fn counts(
        &mut self,
        node: Address,
        request: B256,
        (counted, claimed): (Counted, Claimed),
        now: u64,
    ) -> Result<Option<Change>, MembershipRefusal> {
        let rules = self.rules;
        let member = active(&mut self.members, node)?;
        if rules.tolerance.covers(&counted, &claimed) {
            return Ok(None);
        }
        let observed = Observed::Counts {
            request,
            counted,
            claimed,
        };
        member.record(observed, now);
        if now.saturating_sub(member.counts_since) > rules.counts_window_seconds {
            member.counts_since = now;
            member.counts_differed = 0;
        }
        member.counts_differed = member.counts_differed.saturating_add(1);
        if member.counts_differed >= rules.counts_differed_max {
            return Ok(member.suspend(Reason::Counts, now).then(|| changed(member)));
        }
        Ok(None)
    }

    /// What time alone changes: silence, the end of a pause, forgetting.
    pub fn tick(&mut self, now: u64) -> Vec<Change> {
        let rules = self.rules;
        let mut changes: Vec<Change> = self
            .members
            .values_mut()
            .filter_map(|member| member.age(&rules, now).then(|| changed(member)))
            .collect();
        let forget = rules.forget_seconds.max(LIFETIME_SECONDS_MAX);
        let gone = |member: &Member| match member.status {
            Status::Left {
                since,
                suspended: None,
            } => now.saturating_sub(since) > forget,
            Status::Suspended { reason, since } if !reason.is_earned() => {
                now.saturating_sub(since.max(member.last_seen)) > forget
            }
            _ => false,
        };
        let forgotten: Vec<Address> = self
            .members
            .values()
            .filter(|member| gone(member))
            .map(|member| member.node)
            .collect();
        for node in forgotten {
            self.members.remove(&node);
            changes.push(Change { node, status: None });
        }
        let members = &self.members;
        self.consents
            .retain(|(node, _), _| members.contains_key(node));
        changes
    }

    /// Nobody was listening before `now`: who was not heard until then is not to blame.
    pub fn listening_since(&mut self, now: u64) {
        for member in self.members.values_mut() {
            if matches!(member.status, Status::Probation | Status::Serving) {
                member.last_seen = member.last_seen.max(now);
            }
        }
    }

    /// The domain's operator lifts a suspension: the node is on probation.
    ///
    /// # Errors
    /// When there is none.
    pub fn reinstate(&mut self, node: Address) -> Result<Change, MembershipRefusal> {
        let member = self.members.get_mut(&node);
        let member = member.ok_or(MembershipRefusal::Unknown(node))?;
        match &mut member.status {
            Status::Suspended { .. } => member.begin_probation(),
            Status::Left { suspended, .. } if suspended.is_some() => *suspended = None,
            _ => return Err(MembershipRefusal::NotSuspended(node)),
        }
        member.counts_differed = 0;
        Ok(changed(member))
    }

    /// What to keep of a node.
    #[must_use]
    pub fn record(&self, node: Address) -> Option<MemberRecord> {
        let member = self.members.get(&node)?.clone();
        let consents = self.consents.range((node, Address::ZERO)..);
        let consents = consents.take_while(|((of, _), _)| *of == node);
        Some(MemberRecord {
            member,
            consents: consents.map(|((_, by), nonce)| (*by, *nonce)).collect(),
        })
    }

    /// Takes over what was kept of a node, here or by another gateway of the domain. Returns a change when it stands
    /// elsewhere than was known.
    ///
    /// Nonces, sequence and the last sign of life never go back: what was used up stays so, and a heartbeat that was
    /// heard here is not forgotten because another gateway has not heard it.
    pub fn restore(&mut self, record: MemberRecord) -> Option<Change> {
        let MemberRecord {
            mut member,
            consents,
        } = record;
        let node = member.node;
        for (operator, nonce) in consents {
            let kept = self.consents.entry((node, operator)).or_insert(nonce);
            *kept = nonce.max(*kept);
        }
        let before = self.members.get(&node);
        if let Some(before) = before {
            member.nonce = member.nonce.max(before.nonce);
            member.sequence = member.sequence.max(before.sequence);
            member.last_seen = member.last_seen.max(before.last_seen);
        }
        let is_same = before.is_some_and(|before| before.status == member.status);
        let status = Some(member.status);
        self.members.insert(node, member);
        (!is_same).then_some(Change { node, status })
    }

    /// Another gateway has forgotten the node.
    pub fn forget(&mut self, node: Address) -> Option<Change> {
        self.members.remove(&node)?;
        self.consents.retain(|(of, _), _| *of != node);
        Some(Change { node, status: None })
    }

    /// What is known of a node.
    #[must_use]
    pub fn member(&self, node: Address) -> Option<&Member> {
        self.members.get(&node)
    }

    /// All, by address.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Nodes by the operator that earns for them, without those that left.
    #[must_use]
    pub fn operators(&self) -> BTreeMap<Address, Vec<&Member>> {
        let mut operators: BTreeMap<Address, Vec<&Member>> = BTreeMap::new();
        for member in self.members.values() {
            if !matches!(member.status, Status::Left { .. }) {
                operators.entry(member.operator).or_default().push(member);
            }
        }
        operators
    }
}

fn active(
    members: &mut BTreeMap<Address, Member>,
    node: Address,
) -> Result<&mut Member, MembershipRefusal> {
    let member = members.get_mut(&node);
    let member = member.ok_or(MembershipRefusal::Unknown(node))?;
    match member.status {
        Status::Left { .. } => Err(MembershipRefusal::Left(node)),
        _ => Ok(member),
    }
}

fn changed(member: &mut Member) -> Change {
    Change {
        node: member.node,
        status: Some(member.status),
    }
}
