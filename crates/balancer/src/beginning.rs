//! What a prompt begins with, as hashes that two prompts share exactly as far as they are the same.
//!
//! Each block's hash covers the model and everything up to the block's end. Blocks grow with what lies before them, so
//! that a prompt of a megabyte has few, and a hit is known to an eighth of its length at worst.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

/// The length of the first blocks.
pub const BLOCK_BYTES: usize = 256;

/// From here on a prompt's text is not looked at: a megabyte.
pub const BLOCKS_MAX: usize = 64;

/// A prompt's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    blocks: Arc<[u64]>,
    bytes: usize,
}

impl Beginning {
    /// Of this text, which the node reads from its start: the messages as they stand in the request will do. Nobody
    /// outside should know the `seed`, else a client could make prompts that are taken for another's; it only costs
    /// time, never an answer.
    pub fn of(seed: u64, model: &str, text: &[u8]) -> Self {
        let mut chain = chained(seed, model.as_bytes());
        let mut blocks = Vec::new();
        let mut start = 0;
        while let Some(block) = text.get(start..end_after(start)) {
            if blocks.len() == BLOCKS_MAX {
                break;
            }
            chain = chained(chain, block);
            blocks.push(chain);
            start = end_after(start);
        }
        Self {
            blocks: blocks.into(),
            bytes: text.len(),
        }
    }

    pub(crate) fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// Which part of the text so many blocks are.
    pub(crate) fn part(&self, blocks: usize) -> f64 {
        let end = (0..blocks).fold(0, |end, _| end_after(end));
        end as f64 / self.bytes.max(1) as f64
    }

    /// Whether the first so many blocks are the same.
    pub(crate) fn shares(&self, other: &Self, blocks: usize) -> bool {
        // Hashes are chained: where one is the same, all before it are.
        let last = blocks.saturating_sub(1);
        blocks == 0
            || self
                .blocks
                .get(last)
                .is_some_and(|own| other.blocks.get(last) == Some(own))
    }
}

fn end_after(start: usize) -> usize {
    start + BLOCK_BYTES.max(start / 8)
}

fn chained(before: u64, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(before);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(one: &[u8], other: &[u8]) -> usize {
        let (one, other) = (Beginning::of(1, "m", one), Beginning::of(1, "m", other));
        let deepest = (0..=BLOCKS_MAX).rev();
        deepest
            .into_iter()
            .find(|blocks| one.shares(&other, *blocks))
            .unwrap()
    }

    #[test]
    fn texts_share_the_blocks_that_are_whole_and_the_same() {
        let text = [7; 4096];
        let mut other = text;
        other[600] = 8;
        assert_eq!(shared(&text, &text), 13);
        assert_eq!(shared(&text, &text[..1024]), 4);
        assert_eq!(shared(&text, &text[..1023]), 3);
        assert_eq!(shared(&text, &other), 2);
        assert_eq!(shared(&text, b"short"), 0);
    }

    #[test]
    fn models_and_seeds_share_nothing() {
        let text = [7; 512];
        let one = Beginning::of(1, "m", &text);
        assert!(!one.shares(&Beginning::of(1, "n", &text), 1));
        assert!(!one.shares(&Beginning::of(2, "m", &text), 1));
    }

    #[test]
    fn a_long_text_has_few_blocks_and_a_part_of_it_is_told_to_an_eighth() {
        let long = Beginning::of(1, "m", &vec![7; 4 << 20]);
        assert_eq!(long.blocks().len(), BLOCKS_MAX);
        assert!(long.part(BLOCKS_MAX) > 0.25, "{}", long.part(BLOCKS_MAX));
        let text = Beginning::of(1, "m", &vec![7; 100_000]);
        let known = text.part(text.blocks().len());
        assert!((0.87..=1.0).contains(&known), "{known}");
    }
}
