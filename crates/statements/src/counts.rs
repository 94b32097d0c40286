//! Tokens of a request, and whose word they are.

use serde::{Deserialize, Serialize};

/// Tokens that one request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenCounts {
    /// Tokens read, without the cached ones.
    pub input: u64,
    /// Tokens of the prompt that were read before and did not have to be read again.
    pub cached: u64,
    /// Tokens written.
    pub output: u64,
}

/// Counted by the gateway with the model's own tokenizer: what money may hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counted(pub TokenCounts);

/// Said by the node, who profits from it: never money, at most evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claimed(pub TokenCounts);

/// How far a claim may be from the count before it is evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountTolerance {
    /// So many tokens always: templates differ by a token or two.
    pub tokens: u64,
    /// So many ten-thousandths of the count besides.
    pub basis_points: u16,
}

impl Default for CountTolerance {
    fn default() -> Self {
        Self {
            tokens: 4,
            basis_points: 100,
        }
    }
}

impl TokenCounts {
    /// Tokens of the prompt, cached or not.
    #[must_use]
    pub fn prompt(&self) -> u64 {
        self.input.saturating_add(self.cached)
    }
}

impl CountTolerance {
    /// Whether `claimed` is as near to `counted` as it must be, in the prompt and in the answer.
    ///
    /// What was cached only the node can know; it cannot gain by it, because the prompt as a whole
    /// is compared.
    #[must_use]
    pub fn covers(&self, counted: &Counted, claimed: &Claimed) -> bool {
        let (counted, claimed) = (&counted.0, &claimed.0);
        self.near(counted.prompt(), claimed.prompt()) && self.near(counted.output, claimed.output)
    }

    fn near(&self, counted: u64, claimed: u64) -> bool {
        let share = u128::from(counted) * u128::from(self.basis_points) / 10_000;
        u128::from(counted.abs_diff(claimed)) <= u128::from(self.tokens) + share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(counted: (u64, u64, u64), claimed: (u64, u64, u64), covered: bool) {
        let counts = |(input, cached, output)| TokenCounts {
            input,
            cached,
            output,
        };
        let covers =
            CountTolerance::default().covers(&Counted(counts(counted)), &Claimed(counts(claimed)));
        assert_eq!(covers, covered, "{counted:?} and {claimed:?}");
    }

    #[test]
    fn a_claim_may_be_off_by_a_little_and_no_more() {
        check((10, 0, 10), (10, 0, 10), true);
        check((10, 0, 10), (10, 0, 14), true);
        check((10, 0, 10), (10, 0, 15), false);
        check((10, 0, 10), (5, 0, 10), false);
        check((1000, 0, 0), (1014, 0, 0), true);
        check((1000, 0, 0), (1015, 0, 0), false);
        check((0, 0, u64::MAX), (0, 0, 0), false);
    }

    #[test]
    fn what_was_cached_is_compared_within_the_prompt() {
        check((100, 0, 1), (0, 100, 1), true);
        check((100, 50, 1), (0, 100, 1), false);
    }
}
