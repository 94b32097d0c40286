//! Members are held against the policy as it is now, and against what their operators have staked now.

use std::collections::BTreeSet;
use std::convert::Infallible;

use alloy_primitives::Address;
use gaia_registry::{Judgement, Policy, Status};
use tokio::time::timeout;

use super::{Members, http};

/// What notices about stakes are about.
const ABOUT: &str = "stakes";

impl Members {
    /// Suspends who does not fit any more, and lifts that from who does again.
    pub(crate) async fn judge(&self) {
        let policy = self.0.policies.now.get();
        let known = |operator| self.known_stake(&policy, operator);
        let otherwise = self.0.store.all(|member| {
            let judged = member.judged(&policy, known(member.operator))?;
            Some((member.node, member.operator, judged))
        });
        for (node, operator, judged) in otherwise.await {
            match &judged {
                Judgement::Suspended(_, why) => tracing::warn!("the node {node}: {why}"),
                Judgement::Lifted => tracing::info!("the node {node} fits the policy again"),
            }
            let staked = known(operator);
            let changed = self.0.store.change(node, |registry, _| {
                registry.judge(node, &policy, staked, http::now())
            });
            match changed.await {
                Ok((_, change)) => self.apply(change).await,
                Err(error) => {
                    let error = http::chain(&error);
                    tracing::warn!("{node} is not held against the policy: {error}");
                }
            }
        }
    }

    /// Without anybody to ask, nothing is staked.
    fn known_stake(&self, policy: &Policy, operator: Address) -> Option<u64> {
        match &self.0.config.stakes {
            Some(stakes) if policy.minimum_stake > 0 => stakes.known(operator),
            Some(_) => None,
            None => Some(0),
        }
    }

    /// Asks again and again what operators have staked, where the policy asks for that.
    pub(crate) async fn keep_stakes(&self) -> Infallible {
        loop {
            match self.0.policies.now.get().minimum_stake {
                0 => {
                    self.0.config.notices.clear(ABOUT);
                }
                _ => self.ask_stakes().await,
            }
            // A new policy may ask for more than the last one.
            let changed = self.0.policy_changed.notified();
            let _either = timeout(self.0.config.stakes_interval, changed).await;
        }
    }

    async fn ask_stakes(&self) {
        let Some(stakes) = &self.0.config.stakes else {
            return;
        };
        let operators = self.0.store.all(|member| {
            let stays = !matches!(member.status, Status::Left { .. });
            stays.then_some(member.operator)
        });
        let operators: BTreeSet<Address> = operators.await.into_iter().collect();
        let mut failed = None;
        for operator in operators {
            if let Err(error) = stakes.staked(operator).await {
                failed = Some(error);
            }
        }
        match failed {
            None => {
                self.0.config.notices.clear(ABOUT);
            }
            Some(error) => {
                let text = http::chain(&error);
                if self.0.config.notices.set(ABOUT, text.clone()) {
                    tracing::warn!("{text}");
                }
            }
        }
        self.judge().await;
    }
}
