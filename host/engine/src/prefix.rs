//! Finished sequences that stay in the KV cache, so that a prompt with the same beginning need not be
//! read again.
//!
//! A sequence is known by its tokens. The longest common beginning is looked for in all of them; with
//! at most [`KEPT_MAX`] that is a few microseconds, and cells that several share count once (see
//! `cells`). The one that was used least recently goes first.

use llama_cpp_2::token::LlamaToken;

use crate::context::SequenceId;

/// The most finished sequences that are kept.
pub(crate) const KEPT_MAX: u32 = 24;

/// A beginning shorter than this is read faster than it is managed.
pub(crate) const SHARED_MIN: usize = 8;

/// A sequence whose request has ended.
#[derive(Debug)]
struct Kept {
    id: SequenceId,
    tokens: Vec<LlamaToken>,
    used: u64,
}

/// What is kept of finished requests.
#[derive(Debug, Default)]
pub(crate) struct Prefixes {
    kept: Vec<Kept>,
    clock: u64,
}

impl Prefixes {
    /// The kept sequence with the longest beginning in common with `prompt`, and how long that is.
    pub fn longest(&self, prompt: &[LlamaToken]) -> Option<(SequenceId, usize)> {
        self.kept
            .iter()
            .map(|kept| (kept.id, common_len(&kept.tokens, prompt)))
            .max_by_key(|(_, len)| *len)
            .filter(|(_, len)| *len > 0)
    }

    /// Notes that `id` was of use.
    pub fn touch(&mut self, id: SequenceId) {
        self.clock += 1;
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.id == id) {
            kept.used = self.clock;
        }
    }

    /// Keeps `id`, whose cells hold `tokens`. Gives the sequences that are superfluous then: their
    /// tokens are the beginning of another's.
    pub fn keep(&mut self, id: SequenceId, tokens: Vec<LlamaToken>) -> Vec<SequenceId> {
        let covers = |long: &[LlamaToken], short: &[LlamaToken]| long.starts_with(short);
        if let Some(other) = self.kept.iter().find(|kept| covers(&kept.tokens, &tokens)) {
            let other = other.id;
            self.touch(other);
            return vec![id];
        }
        let is_covered = |kept: &mut Kept| covers(&tokens, &kept.tokens);
        let superfluous = self.kept.extract_if(.., is_covered).map(|kept| kept.id);
        let superfluous = superfluous.collect();
        let used = 0;
        self.kept.push(Kept { id, tokens, used });
        self.touch(id);
        superfluous
    }

    /// Lets go of the sequence that was used least recently.
    pub fn pop_oldest(&mut self) -> Option<SequenceId> {
        let oldest = (0..self.kept.len()).min_by_key(|index| self.kept[*index].used)?;
        Some(self.kept.swap_remove(oldest).id)
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

/// How many tokens `a` and `b` begin with alike.
pub(crate) fn common_len(a: &[LlamaToken], b: &[LlamaToken]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
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
    fn the_longest_beginning_is_found() {
        let mut prefixes = Prefixes::default();
        assert_eq!(prefixes.longest(&tokens("abc")), None);
        prefixes.keep(1, tokens("abx"));
        prefixes.keep(2, tokens("abcd"));
        prefixes.keep(3, tokens("zzz"));
        let check = |prompt: &str, found: Option<(SequenceId, usize)>| {
            assert_eq!(prefixes.longest(&tokens(prompt)), found, "{prompt}");
        };
        check("abc", Some((2, 3)));
        check("abxy", Some((1, 3)));
        check("q", None);
        check("zz", Some((3, 2)));
    }

    #[test]
    fn what_another_begins_with_is_superfluous() {
        let mut prefixes = Prefixes::default();
        assert!(prefixes.keep(1, tokens("ab")).is_empty());
        assert_eq!(prefixes.keep(2, tokens("abc")), [1]);
        assert_eq!(prefixes.keep(3, tokens("a")), [3]);
        assert_eq!(
            (prefixes.pop_oldest(), prefixes.pop_oldest()),
            (Some(2), None)
        );
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut prefixes = Prefixes::default();
        for (id, text) in [(1, "a"), (2, "b"), (3, "c")] {
            prefixes.keep(id, tokens(text));
        }
        prefixes.touch(1);
        let order: Vec<_> = std::iter::from_fn(|| prefixes.pop_oldest()).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
