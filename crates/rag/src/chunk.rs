//! Cutting documents into passages that fit the embedding model.
//!
//! Two pure steps with the counting in between, so that all pieces of a document are counted in one call:
//! [`segment`] cuts at every place worth considering, [`assemble`] joins neighbours up to the limits.
//! Invariant: a chunk is one unbroken stretch of the document and holds at most `tokens_max` tokens.

mod assemble;
mod segment;
mod sentence;

pub use assemble::{AssembleError, assemble};
pub use segment::{Border, Segment, segment};

use std::ops::Range;

/// How large chunks become, in tokens of the embedding model.
///
/// The defaults are measured: `docs/decisions/chunking.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// No chunk has more. At least 1.
    pub tokens_max: usize,
    /// What a chunk of a long section aims at; sections up to `tokens_max` stay whole.
    pub tokens_target: usize,
    /// A section with fewer joins the next one; with 1, only a heading without text does.
    pub tokens_min: usize,
    /// Whole sentences repeated from the end of the chunk before, in the same section.
    pub tokens_overlap: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self {
            tokens_max: 128,
            tokens_target: 96,
            tokens_min: 1,
            tokens_overlap: 0,
        }
    }
}

/// A passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The stretch of the document, unchanged.
    pub text: String,
    /// The headings above it, outermost first; where it joins several sections, those they share.
    pub heading: Vec<String>,
    /// Where it starts in the document's text, in characters (Unicode scalar values).
    pub start: usize,
    /// Where it ends, in characters, exclusive.
    pub end: usize,
    /// The same range in bytes.
    pub bytes: Range<usize>,
    /// Its place among the document's chunks, from 0.
    pub index: u32,
    /// The tokens of its segments together.
    pub tokens: usize,
}

/// Characters of heading path put before a passage when it is embedded.
pub const HEADING_PREFIX_CHARS_MAX: usize = 160;

impl Chunk {
    /// What is embedded: the passage under its heading path, so that "Port" in a chapter about the ingress is found
    /// by a question about the ingress. The passage alone where there is no heading.
    pub fn embedded_text(&self) -> String {
        let path = self.heading.join(" > ");
        let path: String = path.chars().take(HEADING_PREFIX_CHARS_MAX).collect();
        if path.is_empty() {
            self.text.clone()
        } else {
            format!("{path}\n{}", self.text)
        }
    }
}

#[cfg(test)]
mod properties;
