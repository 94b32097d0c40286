//! Tokens that are guessed and checked in the step that would have computed the first of them alone.
//!
//! Answers about passages quote them. When the last [`NGRAM`] tokens of a text stand earlier in it,
//! what followed there is the draft (prompt lookup decoding, A. Saxena 2023, also in llama.cpp's
//! `lookup`). Each row of a draft is sampled as it would have been without one, and counts only while
//! the samples are the draft's; so what is answered has the same distribution, and only the time
//! differs.
//!
//! Whether a draft pays depends on the machine, the model and how many write at the time: a processor
//! that computes a second row for free gains by every token that is right, one that takes twice as
//! long loses by every one that is wrong. [`StepCosts`] knows what steps took, and decides.

use std::collections::HashMap;
use std::time::Duration;

use llama_cpp_2::token::LlamaToken;

/// So many tokens must stand earlier in the text. With fewer most guesses are wrong.
const NGRAM: usize = 3;

/// The longest draft.
pub(crate) const DRAFT_MAX: usize = 8;

/// Steps with more rows than this are neither measured nor lengthened.
const ROWS_MAX: usize = 31;

/// Weight of what was seen last against all before it.
const NEWEST: f64 = 0.125;

/// How probable it is that a guess is right, before any was seen.
const ACCEPTANCE_FIRST: f64 = 0.6;

/// What a row beside others costs of a step with one, before it was measured.
const ROW_FIRST: f64 = 0.1;

/// A draft must promise this much more than a step without.
const GAIN_MIN: f64 = 1.15;

/// One text's earlier places.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The position after the last place of each sequence of tokens.
    after: HashMap<[LlamaToken; NGRAM], usize>,
    /// How many tokens have been looked at.
    seen: usize,
    acceptance: f64,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            after: HashMap::new(),
            seen: 0,
            acceptance: ACCEPTANCE_FIRST,
        }
    }
}

impl Lookup {
    /// What may follow `tokens`, which only grow from call to call; often nothing.
    pub fn draft<'a>(&mut self, tokens: &'a [LlamaToken]) -> &'a [LlamaToken] {
        // The last ones are what is looked for: they are not noted before more have come.
        while self.seen + NGRAM < tokens.len() {
            if let Some(ngram) = tokens[self.seen..].first_chunk::<NGRAM>() {
                self.after.insert(*ngram, self.seen + NGRAM);
            }
            self.seen += 1;
        }
        let place = tokens.last_chunk::<NGRAM>();
        match place.and_then(|last| self.after.get(last)) {
            Some(start) => &tokens[*start..tokens.len().min(start + DRAFT_MAX)],
            None => &[],
        }
    }

    /// How probable it is that the next guess is right.
    pub fn acceptance(&self) -> f64 {
        self.acceptance
    }

    /// Of a draft of `drafted` tokens the first `accepted` were right.
    pub fn note(&mut self, drafted: usize, accepted: usize) {
        for index in 0..drafted.min(accepted + 1) {
            let right = f64::from(u8::from(index < accepted));
            self.acceptance += NEWEST * (right - self.acceptance);
        }
    }
}

/// Of so many drafts that seem not to pay one is tried: what they cost may have changed.
const TRIED_AGAIN: u32 = 256;

/// What steps cost that only write, by their rows.
#[derive(Debug, Default)]
pub(crate) struct StepCosts {
    seconds: [Option<f64>; ROWS_MAX + 1],
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
        let Some(seconds) = self.seconds.get_mut(rows) else {
            return;
        };
        let now = elapsed.as_secs_f64();
        *seconds = Some(match *seconds {
            Some(before) => before + NEWEST * (now - before),
            None => now,
        });
    }

    /// How much of a draft of `len` tokens is worth adding to a step of `rows` rows, when each guess is
    /// right with probability `acceptance`: the length with the most tokens a second.
    pub fn draft_len(&mut self, rows: usize, len: usize, acceptance: f64) -> usize {
        let len = len.min(ROWS_MAX.saturating_sub(rows));
        if self.always {
            return len;
        }
        let Some(alone) = self.cost(rows).filter(|_| len > 0) else {
            return 0;
        };
        let best = self.best_len(rows, len, acceptance, alone);
        if best == 0 && acceptance >= ACCEPTANCE_FIRST {
            self.refused += 1;
            if self.refused.is_multiple_of(TRIED_AGAIN) {
                return len;
            }
        }
        best
    }

    fn best_len(&self, rows: usize, len: usize, acceptance: f64, alone: f64) -> usize {
        let (mut best, mut best_rate) = (0, GAIN_MIN * rows as f64 / alone);
        let (mut tokens, mut right) = (rows as f64, 1.0);
        for len in 1..=len {
            right *= acceptance;
            tokens += right;
            let rate = self.cost(rows + len).map_or(0.0, |cost| tokens / cost);
            if rate > best_rate {
                (best, best_rate) = (len, rate);
            }
        }
        best
    }

    /// What `rows` rows take, between what was measured on both sides; `None` before any measurement.
    fn cost(&self, rows: usize) -> Option<f64> {
        let at = |rows: usize| Some((rows, self.seconds.get(rows).copied()??));
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

    fn tokens(text: &str) -> Vec<LlamaToken> {
        text.bytes()
            .map(|byte| LlamaToken::new(byte.into()))
            .collect()
    }

    #[test]
    fn what_followed_before_is_the_draft() {
        let check = |text: &str, expected: &str| {
            let all = tokens(text);
            assert_eq!(Lookup::default().draft(&all), tokens(expected), "{text}");
        };
        check("the lighthouse is high. the l", "ighthous");
        check("abcdabc", "dabc");
        check("abcXabcYabc", "Yabc");
        check("nothing twice", "");
        check("aaaa", "a");
        check("abc", "");
        check("ab", "");
        check("", "");
    }

    #[test]
    fn a_growing_text_is_read_once() {
        let all = tokens("one two three. one two three. one");
        let mut lookup = Lookup::default();
        for len in 0..all.len() {
            let fresh = Lookup::default().draft(&all[..len]).to_vec();
            assert_eq!(lookup.draft(&all[..len]), fresh);
        }
        assert_eq!(lookup.seen + NGRAM, all.len() - 1);
    }

    #[test]
    fn acceptance_follows_what_is_seen() {
        let mut lookup = Lookup::default();
        for _ in 0..20 {
            lookup.note(8, 8);
        }
        assert!(lookup.acceptance() > 0.99);
        for _ in 0..40 {
            lookup.note(8, 0);
        }
        assert!(lookup.acceptance() < 0.01);
    }

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
        let cost = |rows| costs.cost(rows).map(|seconds| (seconds * 1e3).round());
        assert_eq!(cost(1), Some(10.0));
        assert_eq!(cost(5), Some(14.0));
        assert_eq!(cost(9), Some(18.0));
        assert_eq!(cost(19), Some(36.0));
    }
}
