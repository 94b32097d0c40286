//! What nodes claim, against what the gateway has counted.

use alloy_primitives::{Address, B256};
use gaia_statements::{Claimed, Counted};

use super::{Members, http};

/// Differences that wait to be noted. Further ones are dropped, and said.
pub(crate) const WAITING_MAX: usize = 1_024;

/// A count, and a claim that is too far from it.
#[derive(Debug)]
pub(crate) struct Counts {
    node: Address,
    request: B256,
    counted: Counted,
    claimed: Claimed,
}

impl Members {
    /// What the gateway has counted in a request, and what its node says. Too often too far apart suspends.
    pub fn count(&self, node: Address, request: B256, counted: Counted, claimed: Claimed) {
        if self.0.config.rules.tolerance.covers(&counted, &claimed) {
            return;
        }
        let counts = Counts {
            node,
            request,
            counted,
            claimed,
        };
        if self.0.evidence.try_send(counts).is_err() {
            tracing::warn!("that the node {node} counts otherwise is not noted: too much waits");
        }
    }

    pub(crate) async fn keep_evidence(&self) {
        let waiting = {
            let mut waiting = self.0.evidence_waiting.lock();
            waiting.as_mut().ok().and_then(|waiting| waiting.take())
        };
        // It runs already.
        let Some(mut waiting) = waiting else { return };
        while let Some(counts) = waiting.recv().await {
            let Counts {
                node,
                request,
                counted,
                claimed,
            } = counts;
            tracing::info!("the node {node} claims {claimed:?} for {request}, it was {counted:?}");
            let changed = self.0.store.change(node, |registry, _| {
                registry.counts(node, request, (counted, claimed), http::now())
            });
            match changed.await {
                Ok((_, change)) => self.apply(change).await,
                Err(error) => tracing::warn!(%error, "evidence against {node} is not noted"),
            }
        }
    }
}
