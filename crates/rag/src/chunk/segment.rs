//! The smallest pieces of a document worth counting.
//!
//! A piece is a sentence or a line; one of more than `tokens_max` bytes is cut at words, a word of that size at
//! characters. No tokenizer in use makes more tokens than bytes, so every piece fits a chunk before it is counted.

use std::ops::Range;

use super::ChunkLimits;
use super::sentence;
use crate::document::{Block, BlockKind, Document, trim};

/// What stands before a segment: how good a place it is to part two chunks. Better places compare greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Border {
    /// The middle of a word.
    Character,
    /// Between words.
    Word,
    /// Between sentences, or lines of code or a table.
    Sentence,
    /// Between paragraphs, items, blocks.
    Block,
    /// Before a heading.
    Heading,
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The text to count.
    pub text: String,
    /// Its place in the document, in bytes.
    pub bytes: Range<usize>,
    /// Its place in characters.
    pub chars: Range<usize>,
    /// What stands before it.
    pub border: Border,
    /// The headings above it; a heading's own is included.
    pub heading: Vec<String>,
    /// Whether it is (part of) a heading.
    pub is_heading: bool,
}

/// Cuts a document. The segments come in order, cover every character that is not white space, and none has more
/// bytes than `limits.tokens_max`, but for a single character.
pub fn segment(document: &Document, limits: &ChunkLimits) -> Vec<Segment> {
    let mut cutter = Cutter {
        text: &document.text,
        bytes_max: limits.tokens_max,
        segments: Vec::new(),
        at: (0, 0),
    };
    for block in &document.blocks {
        cutter.block(block);
    }
    cutter.segments
}

struct Cutter<'a> {
    text: &'a str,
    bytes_max: usize,
    segments: Vec<Segment>,
    /// A byte offset and the same place in characters, moving forward.
    at: (usize, usize),
}

impl Cutter<'_> {
    fn block(&mut self, block: &Block) {
        let border = if matches!(block.kind, BlockKind::Heading(_)) {
            Border::Heading
        } else {
            Border::Block
        };
        let cut = match block.kind {
            BlockKind::Heading(_) => |_: &str| Vec::new(),
            BlockKind::Prose => sentence::sentences,
            BlockKind::Lines => sentence::lines,
        };
        for (first, piece) in self.parts(block.bytes.clone(), cut) {
            self.fitting(block, piece, if first { border } else { Border::Sentence });
        }
    }

    /// Adds a piece, or its words, or their characters.
    fn fitting(&mut self, block: &Block, piece: Range<usize>, border: Border) {
        if piece.len() <= self.bytes_max {
            return self.push(block, piece, border);
        }
        for (first, words) in self.packed(piece, sentence::words) {
            let border = if first { border } else { Border::Word };
            if words.len() <= self.bytes_max {
                self.push(block, words, border);
                continue;
            }
            for (first, characters) in self.packed(words, sentence::characters) {
                self.push(
                    block,
                    characters,
                    if first { border } else { Border::Character },
                );
            }
        }
    }

    /// The parts of a range between cuts, each with whether it is the first; without those of only white space.
    fn parts(&self, range: Range<usize>, cut: fn(&str) -> Vec<usize>) -> Vec<(bool, Range<usize>)> {
        let slice = self.text.get(range.clone()).unwrap_or_default();
        let mut starts = vec![range.start];
        starts.extend(cut(slice).into_iter().map(|at| range.start + at));
        let ends = starts.iter().skip(1).copied().chain([range.end]);
        let parts = starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| trim(self.text, start..end));
        let parts = parts.filter(|part| !part.is_empty());
        parts
            .enumerate()
            .map(|(index, part)| (index == 0, part))
            .collect()
    }

    /// Like [`Self::parts`], with neighbours joined again as long as they fit.
    fn packed(
        &self,
        range: Range<usize>,
        cut: fn(&str) -> Vec<usize>,
    ) -> Vec<(bool, Range<usize>)> {
        let mut packed: Vec<(bool, Range<usize>)> = Vec::new();
        for (first, part) in self.parts(range, cut) {
            match packed.last_mut() {
                Some((_, last)) if part.end - last.start <= self.bytes_max => last.end = part.end,
                _ => packed.push((first, part)),
            }
        }
        packed
    }

    fn push(&mut self, block: &Block, bytes: Range<usize>, border: Border) {
        let chars = self.character(bytes.start)..self.character(bytes.end);
        self.segments.push(Segment {
            text: self.text.get(bytes.clone()).unwrap_or_default().to_owned(),
            bytes,
            chars,
            border,
            heading: block.heading.clone(),
            is_heading: matches!(block.kind, BlockKind::Heading(_)),
        });
    }

    /// The number of characters before a byte offset that is not before the last one asked for.
    fn character(&mut self, byte: usize) -> usize {
        let (from, chars) = self.at;
        let between = self.text.get(from..byte).unwrap_or_default();
        self.at = (byte, chars + between.chars().count());
        self.at.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Format;

    fn check(source: &str, tokens_max: usize, expected: &[(Border, &str)]) {
        let document = Document::parse(Format::Markdown, source);
        let segments = segment(
            &document,
            &ChunkLimits {
                tokens_max,
                ..ChunkLimits::default()
            },
        );
        let got: Vec<(Border, &str)> = segments
            .iter()
            .map(|s| (s.border, s.text.as_str()))
            .collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn cuts_by_strength() {
        use Border::{Block, Character, Heading, Sentence, Word};
        check(
            "# A\n\nOne. Two.\n\nThree.",
            99,
            &[
                (Heading, "# A"),
                (Block, "One."),
                (Sentence, "Two."),
                (Block, "Three."),
            ],
        );
        check(
            "```\na. b\nc\n```",
            99,
            &[
                (Block, "```"),
                (Sentence, "a. b"),
                (Sentence, "c"),
                (Sentence, "```"),
            ],
        );
        check("one two three", 7, &[(Block, "one two"), (Word, "three")]);
        check(
            "abcdefgh ij",
            4,
            &[(Block, "abcd"), (Character, "efgh"), (Word, "ij")],
        );
        check(
            "üüü",
            2,
            &[(Block, "ü"), (Character, "ü"), (Character, "ü")],
        );
        check("", 9, &[]);
    }

    #[test]
    fn characters_are_counted() {
        let document = Document::parse(Format::Text, "äö. Üb\n\nß");
        let segments = segment(&document, &ChunkLimits::default());
        let chars: Vec<Range<usize>> = segments.iter().map(|s| s.chars.clone()).collect();
        assert_eq!(chars, [0..3, 4..6, 8..9]);
    }
}
