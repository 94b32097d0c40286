//! What operators have staked, as the chain says, remembered for a while.
//!
//! Invariant: a chain that is out of reach changes nothing for whom it was asked before.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::Address;
use gaia_chain::stake::StakeVault;
use tokio::sync::Semaphore;

/// Operators whose stake is remembered; beyond, the one that was asked longest ago is forgotten.
pub const STAKES_KEPT_MAX: usize = 10_000;

/// How long a stake is believed without asking again.
pub const STAKE_AGE_MAX: Duration = Duration::from_secs(30);

/// Questions to the chain at a time: strangers may cause them.
const QUESTIONS_MAX: usize = 8;

/// How long a question waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// Nobody knows what an operator has staked.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "what {operator} has staked cannot be read from the chain just now ({why}): try again later"
)]
pub struct StakeUnknown {
    /// The operator.
    pub operator: Address,
    /// Why not.
    pub why: String,
}

/// What is staked for operators, where somebody knows it.
pub trait Stakes: Send + Sync {
    /// Nano-units that `operator` has staked for this domain. Where that cannot be asked, what was known last.
    fn staked(&self, operator: Address) -> Answer<'_>;

    /// What was known last, without asking.
    fn known(&self, operator: Address) -> Option<u64>;
}

/// An answer of [`Stakes`].
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<u64, StakeUnknown>> + Send + 'a>>;

/// The stakes in a domain's `DomainStake`.
#[derive(Debug)]
pub struct ChainStakes {
    vault: StakeVault,
    kept: Mutex<Kept>,
    turns: Semaphore,
    age_max: Duration,
}

#[derive(Debug, Default)]
struct Kept(BTreeMap<Address, (u64, Instant)>);

impl ChainStakes {
    /// Asks nothing yet. What is older than `age_max` is asked again; [`STAKE_AGE_MAX`] is about right.
    #[must_use]
    pub fn new(vault: StakeVault, age_max: Duration) -> Self {
        Self {
            vault,
            kept: Mutex::default(),
            turns: Semaphore::new(QUESTIONS_MAX),
            age_max,
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, operator: Address) -> Result<u64, StakeUnknown> {
        let unknown = |why| StakeUnknown { operator, why };
        let turn = tokio::time::timeout(TURN_WAIT, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(unknown("too many ask".to_owned()));
        };
        let staked = self.vault.staked(operator).await;
        staked.map_err(|error| unknown(super::http::chain(&error)))
    }
}

impl Stakes for ChainStakes {
    fn staked(&self, operator: Address) -> Answer<'_> {
        Box::pin(async move {
            let before = self.kept().get(operator);
            if let Some((staked, at)) = before
                && at.elapsed() < self.age_max
            {
                return Ok(staked);
            }
            match (self.ask(operator).await, before) {
                (Ok(staked), _) => {
                    self.kept().put(operator, staked, STAKES_KEPT_MAX);
                    Ok(staked)
                }
                (Err(error), Some((staked, _))) => {
                    tracing::warn!("{error}; {staked} nano-units are believed");
                    Ok(staked)
                }
                (Err(error), None) => Err(error),
            }
        })
    }

    fn known(&self, operator: Address) -> Option<u64> {
        self.kept().get(operator).map(|(staked, _)| staked)
    }
}

impl Kept {
    fn get(&self, operator: Address) -> Option<(u64, Instant)> {
        self.0.get(&operator).copied()
    }

    fn put(&mut self, operator: Address, staked: u64, len_max: usize) {
        if self.0.len() >= len_max && !self.0.contains_key(&operator) {
            let oldest = self.0.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(oldest) = oldest.map(|(operator, _)| *operator) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(operator, (staked, Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_asked_longest_ago_makes_room() {
        let mut kept = Kept::default();
        let address = |number| Address::left_padding_from(&[number]);
        (0..4).for_each(|number| kept.put(address(number), u64::from(number), 4));
        kept.put(address(0), 10, 4);
        kept.put(address(9), 9, 4);
        assert_eq!(kept.0.len(), 4);
        assert_eq!(kept.get(address(0)).map(|(staked, _)| staked), Some(10));
        assert!(kept.get(address(1)).is_none());
        assert!(kept.get(address(9)).is_some());
    }
}
