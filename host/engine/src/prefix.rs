//! Finished sequences that stay in the KV cache, so that a prompt with the same beginning need not be
//! read again.
//!
//! A sequence is known by its tokens. The longest common beginning is looked for in all of them; with
//! at most [`KEPT_MAX`] that is a few microseconds, and cells that several share count once (see
//! `cells`).
//!
//! Only what was used last stays there; the rest moves to host memory (see `host_cache`). A kept
//! sequence has a head, which more than one request began with, and a tail, which so far only the next
//! turn of its conversation could use; there they are kept apart.

use llama_cpp_2::token::LlamaToken;

use crate::context::SequenceId;

/// The most finished sequences that are kept.
pub(crate) const KEPT_MAX: u32 = 8;

/// A beginning shorter than this is read faster than it is managed.
pub(crate) const SHARED_MIN: usize = 8;

/// A sequence whose request has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub id: SequenceId,
    /// What its cells hold.
    pub tokens: Vec<LlamaToken>,
    /// How many of the tokens several requests had in common.
    pub head: usize,
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

    /// Notes that the first `len` tokens of `id` were of use to another.
    pub fn touch(&mut self, id: SequenceId, len: usize) {
        self.clock += 1;
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.id == id) {
            kept.used = self.clock;
            kept.head = kept.head.max(len);
        }
    }

    /// Keeps `id`, whose cells hold `tokens`, the first `head` of them shared. Gives the sequences
    /// that are superfluous then: their tokens are the beginning of another's.
    pub fn keep(
        &mut self,
        id: SequenceId,
        tokens: Vec<LlamaToken>,
        head: usize,
    ) -> Vec<SequenceId> {
        let covers = |long: &[LlamaToken], short: &[LlamaToken]| long.starts_with(short);
        if let Some(other) = self.kept.iter().find(|kept| covers(&kept.tokens, &tokens)) {
            let other = other.id;
            self.touch(other, head);
            return vec![id];
        }
        let is_covered = |kept: &mut Kept| covers(&tokens, &kept.tokens);
        let superfluous = self.kept.extract_if(.., is_covered).map(|kept| kept.id);
        let superfluous = superfluous.collect();
        self.clock += 1;
        let used = self.clock;
        self.kept.push(Kept {
            id,
            tokens,
            head,
            used,
        });
        superfluous
    }

    /// Lets go of the sequence that was used least recently.
    pub fn pop_oldest(&mut self) -> Option<Kept> {
        let oldest = (0..self.kept.len()).min_by_key(|index| self.kept[*index].used)?;
        Some(self.kept.swap_remove(oldest))
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
        prefixes.keep(1, tokens("abx"), 0);
        prefixes.keep(2, tokens("abcd"), 0);
        prefixes.keep(3, tokens("zzz"), 0);
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
        assert!(prefixes.keep(1, tokens("ab"), 0).is_empty());
        assert_eq!(prefixes.keep(2, tokens("abc"), 0), [1]);
        assert_eq!(prefixes.keep(3, tokens("a"), 0), [3]);
        assert_eq!(prefixes.pop_oldest().map(|kept| kept.id), Some(2));
        assert_eq!(prefixes.pop_oldest(), None);
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut prefixes = Prefixes::default();
        for (id, text) in [(1, "a"), (2, "b"), (3, "c")] {
            prefixes.keep(id, tokens(text), 0);
        }
        prefixes.touch(1, 1);
        let order = std::iter::from_fn(|| prefixes.pop_oldest()).map(|kept| kept.id);
        assert_eq!(order.collect::<Vec<_>>(), [2, 3, 1]);
    }

    #[test]
    fn the_head_is_what_several_had_in_common() {
        let mut prefixes = Prefixes::default();
        prefixes.keep(1, tokens("common beginning, one"), 0);
        prefixes.touch(1, "common beginning".len());
        prefixes.touch(1, "common".len());
        let kept = prefixes.pop_oldest().map(|kept| kept.head);
        assert_eq!(kept, Some("common beginning".len()));
    }
}
