//! What has been read and left the KV cache: copies of its cells in host memory, which are put back
//! instead of being read again.
//!
//! A step's attention looks at every cell of the KV cache, used or not, so what nobody uses now is
//! better kept elsewhere; and putting a thousand tokens back takes a thousandth of reading them.
//!
//! The copies form a tree over tokens, as in a radix tree: a copy holds the cells of some tokens that
//! follow a place in its parent, so that what many requests begin with is kept once. Unlike a radix
//! tree's edges copies are never split, since llama.cpp's form of them is opaque; a child may begin in
//! the middle of its parent instead.
//!
//! Invariant: the copies together are never larger than they may be, and a copy's parent is there as
//! long as the copy.

use std::collections::BTreeMap;

use llama_cpp_2::token::LlamaToken;

use crate::prefix::common_len;

/// The most copies, whatever their size; a prompt is compared with all of them.
pub(crate) const COPIES_MAX: usize = 256;

pub(crate) type CopyId = u64;

/// The cells of some tokens.
#[derive(Debug)]
struct Copy {
    /// What comes before its tokens, if they are no beginning.
    parent: Option<CopyId>,
    /// The position of its first token.
    start: usize,
    tokens: Vec<LlamaToken>,
    /// As llama.cpp wrote them.
    cells: Vec<u8>,
    children: usize,
    used: u64,
}

/// A part of a prompt that a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub copy: CopyId,
    /// The position after its last token that belongs to the prompt.
    pub end: usize,
}

/// Copies of cells, least recently used first out.
#[derive(Debug)]
pub(crate) struct HostCache {
    /// Parents have smaller numbers than their children.
    copies: BTreeMap<CopyId, Copy>,
    bytes: usize,
    bytes_max: usize,
    next: CopyId,
    clock: u64,
}

impl HostCache {
    /// A cache of at most `bytes_max` bytes; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            copies: BTreeMap::new(),
            bytes: 0,
            bytes_max,
            next: 0,
            clock: 0,
        }
    }

    /// Whether it keeps anything.
    pub fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// The most bytes that one copy, or all together, may have.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The copies that hold the longest beginning of `prompt`, in order of position.
    pub fn path(&self, prompt: &[LlamaToken]) -> Vec<Piece> {
        let mut ends: BTreeMap<CopyId, usize> = BTreeMap::new();
        for (id, copy) in &self.copies {
            let reached = match copy.parent {
                None => 0,
                Some(parent) => ends.get(&parent).copied().unwrap_or(0),
            };
            if reached >= copy.start && prompt.len() > copy.start {
                let end = copy.start + common_len(&copy.tokens, &prompt[copy.start..]);
                ends.insert(*id, end);
            }
        }
        let longest = ends.iter().max_by_key(|(_, end)| **end);
        let mut path = Vec::new();
        let mut at = longest.map(|(id, _)| *id);
        while let Some(id) = at {
            path.push(Piece {
                copy: id,
                end: ends[&id],
            });
            at = self.copies[&id].parent;
        }
        path.reverse();
        cut_overlaps(&mut path, &self.copies);
        path
    }

    /// How much of `prompt` it holds.
    pub fn longest(&self, prompt: &[LlamaToken]) -> usize {
        self.path(prompt).last().map_or(0, |piece| piece.end)
    }

    /// Notes that the copies of `path` are of use.
    pub fn touch(&mut self, path: &[Piece]) {
        self.clock += 1;
        for piece in path {
            if let Some(copy) = self.copies.get_mut(&piece.copy) {
                copy.used = self.clock;
            }
        }
    }

    /// What llama.cpp wrote of a copy, and how many cells that takes. `None` if it is gone.
    pub fn cells(&self, id: CopyId) -> Option<(&[u8], usize)> {
        let copy = self.copies.get(&id)?;
        Some((&copy.cells, copy.tokens.len()))
    }

    /// Keeps the `cells` of `tokens`, which follow the first `start` tokens that end in `parent`.
    /// `None` if they are too large, or `parent` had to go for them.
    pub fn insert(
        &mut self,
        parent: Option<CopyId>,
        start: usize,
        tokens: &[LlamaToken],
        cells: Vec<u8>,
    ) -> Option<CopyId> {
        if !self.make_room(cells.len()) {
            return None;
        }
        if let Some(parent) = parent {
            self.copies.get_mut(&parent)?.children += 1;
        }
        let id = self.next;
        self.next += 1;
        self.clock += 1;
        self.bytes += cells.len();
        let copy = Copy {
            parent,
            start,
            tokens: tokens.to_vec(),
            cells,
            children: 0,
            used: self.clock,
        };
        self.copies.insert(id, copy);
        Some(id)
    }

    fn make_room(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes_max {
            return false;
        }
        while self.bytes + bytes > self.bytes_max || self.copies.len() == COPIES_MAX {
            let leaves = self.copies.iter().filter(|(_, copy)| copy.children == 0);
            let Some(oldest) = leaves.min_by_key(|(_, copy)| copy.used).map(|(id, _)| *id) else {
                return false;
            };
            self.remove(oldest);
        }
        true
    }

    fn remove(&mut self, id: CopyId) {
        let Some(copy) = self.copies.remove(&id) else {
            return;
        };
        self.bytes -= copy.cells.len();
        if let Some(parent) = copy.parent.and_then(|id| self.copies.get_mut(&id)) {
            parent.children -= 1;
        }
    }
}

/// A piece ends where the next one begins.
fn cut_overlaps(path: &mut [Piece], copies: &BTreeMap<CopyId, Copy>) {
    for index in 1..path.len() {
        let start = copies[&path[index].copy].start;
        path[index - 1].end = path[index - 1].end.min(start);
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

    /// A cache for ten bytes, one for each token.
    fn keep(
        cache: &mut HostCache,
        parent: Option<CopyId>,
        start: usize,
        text: &str,
    ) -> Option<CopyId> {
        cache.insert(parent, start, &tokens(text), vec![0; text.len()])
    }

    #[test]
    fn the_longest_beginning_is_found_along_the_tree() {
        let mut cache = HostCache::new(100);
        let head = keep(&mut cache, None, 0, "headxx");
        let one = keep(&mut cache, head, 4, "one");
        let two = keep(&mut cache, head, 4, "two");
        keep(&mut cache, None, 0, "other");
        let check = |prompt: &str, expected: &[(Option<CopyId>, usize)]| {
            let path = cache.path(&tokens(prompt));
            let found: Vec<_> = path
                .iter()
                .map(|piece| (Some(piece.copy), piece.end))
                .collect();
            assert_eq!(found, expected, "{prompt}");
        };
        check("headone!", &[(head, 4), (one, 7)]);
        check("headtwice", &[(head, 4), (two, 6)]);
        check("headxxx", &[(head, 6)]);
        check("hexone", &[(head, 2)]);
        assert_eq!(cache.longest(&tokens("nothing")), 0);
        assert_eq!(cache.longest(&tokens("")), 0);
    }

    #[test]
    fn it_is_never_larger_than_it_may_be() {
        let mut cache = HostCache::new(10);
        for round in 0..50 {
            keep(&mut cache, None, 0, &"abcdef"[..1 + round % 6]);
            assert!(cache.bytes <= 10);
            let sum: usize = cache.copies.values().map(|copy| copy.cells.len()).sum();
            assert_eq!(cache.bytes, sum);
        }
        assert_eq!(keep(&mut cache, None, 0, "elevenbytes"), None);
        assert_eq!(keep(&mut HostCache::new(0), None, 0, "a"), None);
    }

    #[test]
    fn copies_are_counted_too() {
        let mut cache = HostCache::new(usize::MAX);
        for _ in 0..COPIES_MAX + 10 {
            keep(&mut cache, None, 0, "a");
        }
        assert_eq!(cache.copies.len(), COPIES_MAX);
    }

    #[test]
    fn children_go_before_their_parents() {
        let mut cache = HostCache::new(10);
        let head = keep(&mut cache, None, 0, "head");
        let tail = keep(&mut cache, head, 4, "tail");
        cache.touch(&[Piece {
            copy: tail.unwrap(),
            end: 8,
        }]);
        // The head was used longer ago, but the tail needs it.
        let new = keep(&mut cache, None, 0, "new");
        assert_eq!(cache.longest(&tokens("headtail")), 4);
        // A copy that follows one which goes for it is not kept.
        cache.touch(&[Piece {
            copy: new.unwrap(),
            end: 3,
        }]);
        assert_eq!(keep(&mut cache, head, 4, "1234567"), None);
        assert_eq!(cache.longest(&tokens("head")), 0);
    }
}
