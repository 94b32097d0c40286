//! What steps take, and how many guessed tokens are worth adding to one.
//!
//! Whether a draft pays depends on the machine, the model and how many write at the time: a processor
//! that computes a second row for free gains by every token that is right, one that takes twice as
//! long loses by every one that is wrong. A second model that guesses takes its own time, which counts
//! as well. So all of that is measured while it happens.

use std::time::Duration;

use crate::speculation::ACCEPTANCE_FIRST;

/// Steps with more rows than this are neither measured nor lengthened.
const ROWS_MAX: usize = 31;

/// How many rows may be added to a step of `rows`.
pub(crate) fn rows_left(rows: usize) -> usize {
    ROWS_MAX.saturating_sub(rows)
}

/// Weight of what was measured last against all before it.
const NEWEST: f64 = 0.125;

/// What a row beside others costs of a step with one, before it was measured.
const ROW_FIRST: f64 = 0.1;

/// A draft must promise this much more than a step without.
const GAIN_MIN: f64 = 1.15;

/// Of so many drafts that seem not to pay one is tried: what they cost may have changed.
const TRIED_AGAIN: u32 = 256;

/// The seconds that computations took, by their rows.
#[derive(Debug, Default)]
struct Times([Option<f64>; ROWS_MAX + 1]);

/// What steps cost that only write, and what guesses of a second model cost.
#[derive(Debug, Default)]
pub(crate) struct StepCosts {
    steps: Times,
    guesses: Times,
    /// Drafts that did not seem to pay.
    refused: u32,
    /// Whether drafts are added whatever they cost.
    always: bool,
}

impl StepCosts {
    /// Without any measurement. With `always` every draft is worth it.
    pub fn new(always: bool) -> Self {
        Self {
            always,
            ..Self::default()
        }
    }

    /// A step of `rows` rows, each a token of an answer or of a draft, took `elapsed`.
    pub fn note(&mut self, rows: usize, elapsed: Duration) {
        self.steps.note(rows, elapsed);
    }

    /// The second model took `elapsed` for `rows` rows.
    pub fn note_guesses(&mut self, rows: usize, elapsed: Duration) {
        self.guesses.note(rows, elapsed);
    }

    /// How much of a draft of `len` tokens is worth adding to a step of `rows` rows, when each guess is
    /// right with probability `acceptance`: the length with the most tokens a second.
    pub fn draft_len(&mut self, rows: usize, len: usize, acceptance: f64) -> usize {
        let len = len.min(rows_left(rows));
        if self.always {
            return len;
        }
        let best = self.best_len(rows, len, acceptance, 1, |_| 0.0);
        if best == 0 && acceptance >= ACCEPTANCE_FIRST {
            self.refused += 1;
            if self.refused.is_multiple_of(TRIED_AGAIN) {
                return len;
            }
        }
        best
    }

    /// How many tokens, at most `len`, the second model should guess for each of `texts` texts that
    /// have a row in a step of `rows` rows, when each guess is right with probability `acceptance`.
    pub fn guesses_len(&self, rows: usize, texts: usize, len: usize, acceptance: f64) -> usize {
        let len = len.min(rows_left(rows) / texts.max(1));
        if self.always {
            return len;
        }
        self.best_len(rows, len, acceptance, texts, |len| {
            self.guessing_time(texts, len)
        })
    }

    /// What the second model takes for `len` guesses in each of `texts` texts. First it reads what has
    /// come since its last guess: one token, or two where that was right. Nothing before any measurement.
    fn guessing_time(&self, texts: usize, len: usize) -> f64 {
        let of = |rows: usize| self.guesses.of(rows.min(ROWS_MAX)).unwrap_or(0.0);
        of(2 * texts) + (len - 1) as f64 * of(texts)
    }

    /// The number of guesses a text with the most tokens a second, where `more` says what guessing so
    /// many takes beside the step.
    fn best_len(
        &self,
        rows: usize,
        len: usize,
        acceptance: f64,
        texts: usize,
        more: impl Fn(usize) -> f64,
    ) -> usize {
        // What more rows take says nothing about what is left without them.
        let is_known = self.steps.0.iter().take(rows + 1).any(Option::is_some);
        let Some(alone) = self.steps.of(rows).filter(|_| is_known && len > 0) else {
            return 0;
        };
        let (mut best, mut best_rate) = (0, GAIN_MIN * rows as f64 / alone);
        let (mut tokens, mut right) = (rows as f64, 1.0);
        for len in 1..=len {
            right *= acceptance;
            tokens += right * texts as f64;
            let time = self.steps.of(rows + len * texts);
            let rate = time.map_or(0.0, |time| tokens / (time + more(len)));
            if rate > best_rate {
                (best, best_rate) = (len, rate);
            }
        }
        best
    }
}

impl Times {
    fn note(&mut self, rows: usize, elapsed: Duration) {
        let Some(seconds) = self.0.get_mut(rows) else {
            return;
        };
        let now = elapsed.as_secs_f64();
        *seconds = Some(match *seconds {
            Some(before) => before + NEWEST * (now - before),
            None => now,
        });
    }

    /// What `rows` rows take, between what was measured on both sides; `None` before any measurement.
    fn of(&self, rows: usize) -> Option<f64> {
        let at = |rows: usize| Some((rows, self.0.get(rows).copied()??));
        let below = (1..=rows).rev().find_map(at);
        let above = (rows..=ROWS_MAX).find_map(at);
        let (left, right) = match (below, above) {
            (Some(left), Some(right)) => (left, right),
            (Some((count, cost)), None) => {
                let more = (rows - count) as f64;
                return Some(cost * (1.0 + ROW_FIRST * more));
            }
            (None, above) => return above.map(|(_, cost)| cost),
        };
        if left.0 == right.0 {
            return Some(left.1);
        }
        let share = (rows - left.0) as f64 / (right.0 - left.0) as f64;
        Some(left.1 + share * (right.1 - left.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Costs in milliseconds of steps with one and with nine rows.
    fn costs(one: u64, nine: u64) -> StepCosts {
        let mut costs = StepCosts::default();
        costs.note(1, Duration::from_millis(one));
        costs.note(9, Duration::from_millis(nine));
        costs
    }

    #[test]
    fn drafts_are_as_long_as_they_pay() {
        let check = |(one, nine), acceptance, expected| {
            let found = costs(one, nine).draft_len(1, 8, acceptance);
            assert_eq!(found, expected, "{one} {nine} {acceptance}");
        };
        // Rows are free.
        check((10, 10), 0.9, 8);
        check((10, 10), 0.01, 0);
        // Each row costs as much as the first.
        check((10, 90), 1.0, 0);
        // Each costs half.
        check((10, 50), 1.0, 8);
        check((10, 50), 0.5, 0);
        check((10, 18), 0.5, 2);
        assert_eq!(StepCosts::default().draft_len(1, 8, 1.0), 0);
        assert_eq!(StepCosts::new(true).draft_len(1, 8, 0.0), 8);
        assert_eq!(costs(10, 10).draft_len(ROWS_MAX, 8, 1.0), 0);
    }

    #[test]
    fn what_was_not_measured_lies_between() {
        let costs = costs(10, 18);
        let cost = |rows| costs.steps.of(rows).map(|seconds| (seconds * 1e3).round());
        assert_eq!(cost(1), Some(10.0));
        assert_eq!(cost(5), Some(14.0));
        assert_eq!(cost(9), Some(18.0));
        assert_eq!(cost(19), Some(36.0));
    }

    /// As `costs`, with what the second model takes for one row, in milliseconds.
    fn with_guesses(one: u64, nine: u64, guess: u64) -> StepCosts {
        let mut costs = costs(one, nine);
        for rows in [1, 31] {
            costs.note_guesses(rows, Duration::from_millis(guess));
        }
        costs
    }

    #[test]
    fn guesses_of_a_second_model_cost_its_time() {
        let check = |(one, nine, guess), acceptance, expected| {
            let costs = with_guesses(one, nine, guess);
            let found = costs.guesses_len(1, 1, 8, acceptance);
            assert_eq!(found, expected, "{one} {nine} {guess} {acceptance}");
        };
        // Rows and guesses are free.
        check((10, 10, 0), 0.9, 8);
        // A guess takes a tenth of a step.
        check((100, 100, 10), 0.9, 8);
        check((100, 100, 10), 0.5, 2);
        check((100, 100, 10), 0.1, 0);
        // As long as a step: the model itself, guessing for itself.
        check((100, 100, 100), 1.0, 0);
        check((100, 100, 90), 1.0, 0);
        // What it takes is unknown: tried.
        assert_eq!(costs(10, 10).guesses_len(1, 1, 8, 0.9), 8);
        // Only longer steps were seen, or none: not yet.
        let mut long = StepCosts::default();
        long.note(9, Duration::from_millis(90));
        assert_eq!(long.guesses_len(1, 1, 8, 1.0), 0);
        assert_eq!(long.draft_len(1, 8, 1.0), 0);
        assert_eq!(StepCosts::default().guesses_len(1, 1, 8, 1.0), 0);
    }

    #[test]
    fn texts_share_the_rows_of_a_step() {
        let mut costs = with_guesses(10, 10, 1);
        costs.note(ROWS_MAX, Duration::from_millis(10));
        assert_eq!(costs.guesses_len(4, 4, 8, 1.0), 6);
        assert_eq!(costs.guesses_len(16, 16, 8, 1.0), 0);
        assert_eq!(costs.guesses_len(ROWS_MAX, 1, 8, 1.0), 0);
        assert_eq!(StepCosts::new(true).guesses_len(2, 2, 8, 0.0), 8);
        assert_eq!(StepCosts::new(true).guesses_len(8, 8, 8, 0.0), 2);
    }
}
