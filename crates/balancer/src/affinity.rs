//! Which node has read which beginnings, so that a prompt goes where it need not be read again.
//!
//! A bounded memory of pairs of block and node. What was used least recently is forgotten first, of one prompt the
//! deepest block first, so that what is known of a node stays a beginning.

use std::collections::BTreeMap;

use crate::{Beginning, NodeId};

/// A block of a beginning, and a node that has read it.
type Pair = (u64, NodeId);

#[derive(Debug)]
pub(crate) struct Affinity {
    pairs_max: usize,
    used: BTreeMap<Pair, u64>,
    by_use: BTreeMap<u64, Pair>,
    uses: u64,
}

impl Affinity {
    pub fn new(pairs_max: usize) -> Self {
        Self {
            pairs_max,
            used: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
        }
    }

    /// The node reads this.
    pub fn note(&mut self, node: NodeId, beginning: &Beginning) {
        for block in beginning.blocks().iter().rev() {
            self.uses += 1;
            if let Some(before) = self.used.insert((*block, node), self.uses) {
                self.by_use.remove(&before);
            }
            self.by_use.insert(self.uses, (*block, node));
        }
        while self.used.len() > self.pairs_max {
            let Some((_, pair)) = self.by_use.pop_first() else {
                break;
            };
            self.used.remove(&pair);
        }
    }

    /// How many blocks of it the node has read.
    pub fn depth(&self, node: NodeId, beginning: &Beginning) -> usize {
        let blocks = beginning.blocks();
        blocks.partition_point(|block| self.used.contains_key(&(*block, node)))
    }

    /// Nodes that have read some of it, those that have read most first; of those who have read the same, beginning
    /// somewhere (`from`), so that not always the same ones are seen. One may come several times.
    pub fn readers<'a>(
        &'a self,
        beginning: &'a Beginning,
        from: NodeId,
    ) -> impl Iterator<Item = NodeId> + 'a {
        let blocks = beginning.blocks();
        let known = blocks.partition_point(|block| self.is_known(*block));
        let deepest_first = blocks.iter().take(known).rev();
        deepest_first.flat_map(move |block| {
            let later = self.used.range((*block, from)..=(*block, NodeId(u64::MAX)));
            let earlier = self.used.range((*block, NodeId(0))..(*block, from));
            later.chain(earlier).map(|((_, node), _)| *node)
        })
    }

    fn is_known(&self, block: u64) -> bool {
        let mut pairs = self
            .used
            .range((block, NodeId(0))..=(block, NodeId(u64::MAX)));
        pairs.next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(blocks: usize, end: u8) -> Beginning {
        let mut text = vec![7; blocks * crate::BLOCK_BYTES];
        if let Some(last) = text.last_mut() {
            *last = end;
        }
        Beginning::of(1, "m", &text)
    }

    fn readers(affinity: &Affinity, beginning: &Beginning, from: u64) -> Vec<u64> {
        let found = affinity.readers(beginning, NodeId(from));
        found.map(|node| node.0).collect()
    }

    #[test]
    fn who_read_most_comes_first_and_where_to_begin_is_the_callers_choice() {
        let mut affinity = Affinity::new(100);
        affinity.note(NodeId(1), &text(4, 7));
        affinity.note(NodeId(2), &text(2, 7));
        affinity.note(NodeId(3), &text(2, 8));
        assert_eq!(affinity.depth(NodeId(1), &text(6, 7)), 4);
        assert_eq!(affinity.depth(NodeId(3), &text(6, 7)), 1);
        assert_eq!(affinity.depth(NodeId(9), &text(6, 7)), 0);
        assert_eq!(readers(&affinity, &text(6, 7), 0), [1, 1, 1, 2, 1, 2, 3]);
        assert_eq!(readers(&affinity, &text(1, 7), 2), [2, 3, 1]);
        assert_eq!(readers(&affinity, &Beginning::of(1, "n", &[7; 999]), 0), []);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_what_was_not_used_the_ends_first() {
        let mut affinity = Affinity::new(6);
        affinity.note(NodeId(1), &text(4, 7));
        affinity.note(NodeId(2), &text(2, 7));
        affinity.note(NodeId(3), &text(1, 7));
        assert_eq!(affinity.used.len(), 6);
        assert_eq!(affinity.by_use.len(), 6);
        assert_eq!(affinity.depth(NodeId(1), &text(4, 7)), 3);
        affinity.note(NodeId(1), &text(3, 7));
        affinity.note(NodeId(4), &text(2, 7));
        assert_eq!(affinity.depth(NodeId(1), &text(4, 7)), 3);
        assert_eq!(affinity.depth(NodeId(2), &text(4, 7)), 0);
    }
}
