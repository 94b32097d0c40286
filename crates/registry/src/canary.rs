//! Questions whose answers are known, asked of nodes at times that they cannot foresee.
//!
//! A canary looks like any other request. Chance is an argument: the caller takes it from the system.

use serde::{Deserialize, Serialize};

/// The most prompts in a set of canaries.
pub const CANARIES_MAX: usize = 1_000;

/// What a right answer looks like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// To the letter, as the same model, prompts and a temperature of 0 give it.
    Exactly(String),
    /// Holds one of these, whatever the case.
    Contains(Vec<String>),
}

/// A question whose answer is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Its name, for evidence.
    pub id: String,
    /// What is asked.
    pub prompt: String,
    /// What a right answer looks like.
    pub expected: Expectation,
    /// How long an answer may take.
    pub duration_ms_max: u64,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// An answer.
    Text {
        /// The answer.
        text: &'a str,
        /// How long it took.
        duration_ms: u64,
    },
    /// An HTTP status other than 200, a broken stream, no connection.
    Error,
}

/// What to think of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CanaryVerdict {
    /// The answer was right.
    Passed,
    /// The answer was another.
    WrongAnswer,
    /// The answer came too late.
    TooSlow,
    /// There was no answer. An error is an error, never health.
    Failed,
}

/// Between which times canaries come, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// At the earliest after the last.
    pub seconds_min: u64,
    /// At the latest.
    pub seconds_max: u64,
}

impl Canary {
    /// What to think of `reply`.
    #[must_use]
    pub fn judge(&self, reply: &Reply<'_>) -> CanaryVerdict {
        let Reply::Text { text, duration_ms } = reply else {
            return CanaryVerdict::Failed;
        };
        if *duration_ms > self.duration_ms_max {
            return CanaryVerdict::TooSlow;
        }
        let right = match &self.expected {
            Expectation::Exactly(expected) => text.trim() == expected.trim(),
            Expectation::Contains(any) => {
                let text = text.to_lowercase();
                any.iter()
                    .any(|part| !part.is_empty() && text.contains(&part.to_lowercase()))
            }
        };
        if right {
            CanaryVerdict::Passed
        } else {
            CanaryVerdict::WrongAnswer
        }
    }
}

impl Interval {
    /// When the next canary comes.
    #[must_use]
    pub fn next(&self, now: u64, chance: u64) -> u64 {
        let span = self.seconds_max.saturating_sub(self.seconds_min);
        let offset = below(chance, span.saturating_add(1));
        now.saturating_add(self.seconds_min).saturating_add(offset)
    }
}

/// Which canary comes next; none out of none.
#[must_use]
pub fn choose(canaries: &[Canary], chance: u64) -> Option<&Canary> {
    let canaries = &canaries[..canaries.len().min(CANARIES_MAX)];
    let place = below(chance, canaries.len() as u64);
    canaries.get(usize::try_from(place).ok()?)
}

/// Spreads a random number evenly over 0..bound; 0 for a bound of 0.
fn below(chance: u64, bound: u64) -> u64 {
    ((u128::from(chance) * u128::from(bound)) >> 64) as u64
}
