//! Tokens that are guessed and checked in the step that would have computed the first of them alone.
//!
//! Answers about passages quote them. When the last [`NGRAM`] tokens of a text stand earlier in it,
//! what followed there is the draft (prompt lookup decoding, A. Saxena 2023, also in llama.cpp's
//! `lookup`). Each row of a draft is sampled as it would have been without one, and counts only while
//! the samples are the draft's; so what is answered has the same distribution, and only the time
//! differs.
//!
//! Whether a draft pays, `step_costs` decides. Where no earlier place matches, a second model may guess
//! (see `draft_model`).

use std::collections::HashMap;

use llama_cpp_2::token::LlamaToken;

/// So many tokens must stand earlier in the text. With fewer most guesses are wrong.
const NGRAM: usize = 3;

/// The longest draft.
pub(crate) const DRAFT_MAX: usize = 8;

/// Weight of the last guess against all before it.
const NEWEST: f64 = 0.125;

/// How probable it is that a guess is right, before any was seen.
pub(crate) const ACCEPTANCE_FIRST: f64 = 0.6;

/// How probable it is that a guess is right, by those that were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acceptance {
    probability: f64,
    /// The weight of what was seen last against all before it.
    newest: f64,
}

impl Acceptance {
    /// Before any guess was checked: `first`, and then each guess counts as `newest` of all.
    pub fn new(first: f64, newest: f64) -> Self {
        Self {
            probability: first,
            newest,
        }
    }

    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// Of a draft of `drafted` tokens the first `accepted` were right.
    pub fn note(&mut self, drafted: usize, accepted: usize) {
        for index in 0..drafted.min(accepted + 1) {
            let right = f64::from(u8::from(index < accepted));
            self.probability += self.newest * (right - self.probability);
        }
    }
}

/// One text's earlier places.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// The position after the last place of each sequence of tokens.
    after: HashMap<[LlamaToken; NGRAM], usize>,
    /// How many tokens have been looked at.
    seen: usize,
    acceptance: Acceptance,
}

impl Default for Lookup {
    fn default() -> Self {
        Self {
            after: HashMap::new(),
            seen: 0,
            acceptance: Acceptance::new(ACCEPTANCE_FIRST, NEWEST),
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
        self.acceptance.probability()
    }

    /// Of a draft of `drafted` tokens the first `accepted` were right.
    pub fn note(&mut self, drafted: usize, accepted: usize) {
        self.acceptance.note(drafted, accepted);
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
}
