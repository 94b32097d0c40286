//! Canaries: questions whose answers are known, at times that nobody foresees.

use std::time::Duration;

use alloy_primitives::Address;
use gaia_registry::canary::{self, Reply};
use gaia_registry::{Canary, CanaryVerdict, Status};
use tokio::time::sleep;

use super::chat::{self, NoAnswer, Question};
use super::{Members, http};

/// Canaries of a node on probation come after so long at most: it waits for them.
const PROBATION_WAIT_MAX: Duration = Duration::from_millis(500);

/// How often it is looked whether a suspended node may be asked again.
const SUSPENDED_WAIT: Duration = Duration::from_secs(5);

/// How often a node that has no room is asked again before that is a failure: nobody who is busy can be told from one
/// who will not.
const BUSY_MAX: u32 = 20;

/// The pause before.
const BUSY_WAIT: Duration = Duration::from_secs(3);

/// Tokens of an answer.
const TOKENS_MAX: u32 = 64;

/// How long any answer may take where no canaries are given.
const ANY_TIME_MAX: Duration = Duration::from_secs(60);

/// The name of a canary of which any answer is right.
const ANY: &str = "any-answer";

impl Members {
    /// Asks a connected node until its tunnel ends.
    pub(crate) async fn keep_canaries(&self, node: Address, generation: u64) {
        loop {
            let Some(status) = self.status_of(node, generation) else {
                return;
            };
            sleep(self.wait(status)).await;
            let Some(status @ (Status::Probation | Status::Serving)) =
                self.status_of(node, generation)
            else {
                continue;
            };
            if let Some((canary, verdict)) = self.try_one(node, generation).await {
                self.judged(node, &canary, verdict, status).await;
            }
        }
    }

    fn status_of(&self, node: Address, generation: u64) -> Option<Status> {
        let all = self.live();
        let live = all.get(&node)?;
        (live.generation == generation).then_some(live.status)
    }

    fn wait(&self, status: Status) -> Duration {
        let chance = getrandom::u64().unwrap_or_default();
        match status {
            Status::Serving => {
                let seconds = self.0.config.canary_interval.next(0, chance);
                Duration::from_secs(seconds)
            }
            Status::Probation => {
                let millis = u64::try_from(PROBATION_WAIT_MAX.as_millis()).unwrap_or(u64::MAX);
                Duration::from_millis(chance % millis.max(1))
            }
            Status::Suspended { .. } | Status::Left { .. } => SUSPENDED_WAIT,
        }
    }

    /// Asks one. `None` where the tunnel ended meanwhile: that is told elsewhere.
    async fn try_one(&self, node: Address, generation: u64) -> Option<(String, CanaryVerdict)> {
        let chance = getrandom::u64().unwrap_or_default();
        let canary = canary::choose(&self.0.config.canaries, chance);
        for _ in 0..BUSY_MAX {
            let verdict = self.asked(node, generation, canary).await?;
            if let Some(verdict) = verdict {
                let name = canary.map_or(ANY, |canary| canary.id.as_str());
                return Some((name.to_owned(), verdict));
            }
            sleep(BUSY_WAIT).await;
        }
        Some(("busy".to_owned(), CanaryVerdict::Failed))
    }

    /// A verdict; none where the node has no room.
    async fn asked(
        &self,
        node: Address,
        generation: u64,
        canary: Option<&Canary>,
    ) -> Option<Option<CanaryVerdict>> {
        let live = self.live().get(&node).cloned();
        let live = live.filter(|live| live.generation == generation)?;
        let service = live.offer.services.first();
        let question = Question {
            model: service.map(|service| service.model.clone()),
            prompt: canary.map_or("Hello", |canary| canary.prompt.as_str()),
            tokens_max: TOKENS_MAX,
        };
        let time_max = canary.map_or(ANY_TIME_MAX, |canary| {
            Duration::from_millis(canary.duration_ms_max)
        });
        let answer = chat::ask(&live.channel, &question, time_max).await;
        if live.channel.is_closed() {
            return None;
        }
        let reply = match &answer {
            Err(NoAnswer::Busy) => return Some(None),
            Err(NoAnswer::Failed) => Reply::Error,
            Ok(answer) if !answer.has_written => Reply::Error,
            Ok(answer) => Reply::Text {
                text: &answer.text,
                duration_ms: u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
            },
        };
        let any = || match reply {
            Reply::Text { .. } => CanaryVerdict::Passed,
            Reply::Error => CanaryVerdict::Failed,
        };
        Some(Some(canary.map_or_else(any, |canary| canary.judge(&reply))))
    }

    async fn judged(&self, node: Address, canary: &str, verdict: CanaryVerdict, before: Status) {
        // What passed on probation counts; later it only has to be noted that nothing failed.
        if verdict != CanaryVerdict::Passed {
            tracing::warn!("the node {node} did not pass the canary `{canary}`: {verdict:?}");
        }
        let changed = self.0.store.change(node, |registry, _| {
            registry.canary(node, canary, verdict, http::now())
        });
        match changed.await {
            Ok((_, change)) => self.apply(change).await,
            Err(error) => {
                tracing::warn!(%error, "what a canary has shown of {node} ({before:?}) is not kept");
            }
        }
    }
}
