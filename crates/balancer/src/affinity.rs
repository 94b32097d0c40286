//! Which node has read which beginnings, so that a prompt goes where it need not be read again.
//!
//! A bounded memory of blocks, each with the nodes that read it last. It is kept in two halves: what is used comes
//! into the newer one, and when that is full, the older one is forgotten whole.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::{Beginning, NodeId};

/// Nodes remembered of one block, those that read it last.
const READERS_MAX: usize = 32;

/// Blocks are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

type Half = HashMap<u64, Vec<NodeId>, BuildHasherDefault<AsItIs>>;

#[derive(Debug)]
pub(crate) struct Affinity {
    half_max: usize,
    newer: Half,
    older: Half,
}

impl Affinity {
    pub fn new(blocks_max: usize) -> Self {
        Self {
            half_max: (blocks_max / 2).max(1),
            newer: Half::default(),
            older: Half::default(),
        }
    }

    /// The node reads this.
    pub fn note(&mut self, node: NodeId, beginning: &Beginning) {
        for block in beginning.blocks() {
            if !self.newer.contains_key(block) {
                self.renew(*block);
            }
            let readers = self.newer.entry(*block).or_default();
            if readers.contains(&node) {
                continue;
            }
            if readers.len() == READERS_MAX {
                readers.remove(0);
            }
            readers.push(node);
        }
    }

    /// What is known of the block is kept for longer.
    fn renew(&mut self, block: u64) {
        if self.newer.len() == self.half_max {
            self.older = std::mem::take(&mut self.newer);
        }
        let readers = self.older.remove(&block).unwrap_or_default();
        self.newer.insert(block, readers);
    }

    fn readers_of(&self, block: u64) -> &[NodeId] {
        let found = self.newer.get(&block).or_else(|| self.older.get(&block));
        found.map_or(&[], Vec::as_slice)
    }

    /// How many blocks of it the node has read.
    pub fn depth(&self, node: NodeId, beginning: &Beginning) -> usize {
        let blocks = beginning.blocks();
        blocks.partition_point(|block| self.readers_of(*block).contains(&node))
    }

    /// Nodes that have read some of it, those that have read most first; of those who have read the same, beginning
    /// with one of them by `chance`, so that not always the same ones are seen. One may come several times.
    pub fn readers(&self, beginning: &Beginning, chance: usize) -> impl Iterator<Item = NodeId> {
        let blocks = beginning.blocks();
        let known = blocks.partition_point(|block| !self.readers_of(*block).is_empty());
        let deepest_first = blocks.iter().take(known).rev();
        deepest_first.flat_map(move |block| {
            let readers = self.readers_of(*block);
            let (later, first) = readers.split_at(chance.checked_rem(readers.len()).unwrap_or(0));
            first.iter().chain(later).copied()
        })
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

    fn readers(affinity: &Affinity, beginning: &Beginning, chance: usize) -> Vec<u64> {
        let found = affinity.readers(beginning, chance);
        found.map(|node| node.0).collect()
    }

    #[test]
    fn who_read_most_comes_first_and_where_to_begin_is_left_to_chance() {
        let mut affinity = Affinity::new(100);
        affinity.note(NodeId(1), &text(4, 7));
        affinity.note(NodeId(2), &text(2, 7));
        affinity.note(NodeId(3), &text(2, 8));
        assert_eq!(affinity.depth(NodeId(1), &text(6, 7)), 4);
        assert_eq!(affinity.depth(NodeId(3), &text(6, 7)), 1);
        assert_eq!(affinity.depth(NodeId(9), &text(6, 7)), 0);
        assert_eq!(readers(&affinity, &text(6, 7), 0), [1, 1, 1, 2, 1, 2, 3]);
        assert_eq!(readers(&affinity, &text(1, 7), 4), [2, 3, 1]);
        assert_eq!(readers(&affinity, &Beginning::of(1, "n", &[7; 999]), 0), []);
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_what_was_not_used() {
        let mut affinity = Affinity::new(8);
        affinity.note(NodeId(1), &text(2, 1));
        affinity.note(NodeId(2), &text(2, 2));
        for end in 3..100 {
            affinity.note(NodeId(1), &text(2, 1));
            affinity.note(NodeId(3), &text(2, end));
            assert!(affinity.newer.len() <= 4 && affinity.older.len() <= 4);
        }
        assert_eq!(affinity.depth(NodeId(1), &text(2, 1)), 2);
        assert_eq!(
            affinity.depth(NodeId(2), &text(2, 2)),
            1,
            "the second block"
        );
    }

    #[test]
    fn of_a_block_that_all_have_read_the_last_readers_are_known() {
        let mut affinity = Affinity::new(8);
        for node in 0..1_000 {
            affinity.note(NodeId(node), &text(1, 7));
        }
        let mut known = readers(&affinity, &text(1, 7), 5);
        known.sort();
        assert_eq!(
            known,
            (1_000 - READERS_MAX as u64..1_000).collect::<Vec<_>>()
        );
    }
}
