//! Joins segments to chunks.
//!
//! Sections first: a chunk does not reach over a heading unless what comes before it is shorter than `tokens_min`
//! (or is only a heading). A section that is too long is parted into chunks of about the same size, at the best
//! border near the goal.

use std::ops::Range;

use super::{Border, Chunk, ChunkLimits, Segment};

/// Why segments could not be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// The caller counted something else.
    #[error("{segments} segments but {counts} token counts")]
    Counts {
        /// Segments given.
        segments: usize,
        /// Counts given.
        counts: usize,
    },
    /// A segment alone is over the limit: `tokens_max` is smaller than a character's tokens.
    #[error("the piece at character {start} has {tokens} tokens, the limit is {tokens_max}")]
    TooLong {
        /// Where it starts, in characters.
        start: usize,
        /// Its tokens.
        tokens: usize,
        /// The limit.
        tokens_max: usize,
    },
}

/// Joins segments, in order, to chunks within the limits.
///
/// Takes what [`segment`](super::segment) gave for the same limits and the tokens of each segment's text, counted by
/// the embedding model without special tokens. The tokens of joined text equal the sum of its parts wherever a
/// tokenizer parts at white space first; leave a few tokens of room for one that does not.
pub fn assemble(
    document: &str,
    segments: &[Segment],
    counts: &[usize],
    limits: &ChunkLimits,
) -> Result<Vec<Chunk>, AssembleError> {
    if segments.len() != counts.len() {
        return Err(AssembleError::Counts {
            segments: segments.len(),
            counts: counts.len(),
        });
    }
    for (segment, &tokens) in segments.iter().zip(counts) {
        if tokens > limits.tokens_max {
            return Err(AssembleError::TooLong {
                start: segment.chars.start,
                tokens,
                tokens_max: limits.tokens_max,
            });
        }
    }
    let packer = Packer {
        document,
        segments,
        sums: running_sums(counts),
        limits,
    };
    let mut ranges = Vec::new();
    for section in packer.sections() {
        packer.part(section, &mut ranges);
    }
    Ok(ranges
        .into_iter()
        .enumerate()
        .filter_map(|(index, range)| packer.chunk(index, range))
        .collect())
}

struct Packer<'a> {
    document: &'a str,
    segments: &'a [Segment],
    /// The tokens before each segment, and at last of all.
    sums: Vec<usize>,
    limits: &'a ChunkLimits,
}

/// A document of many megabytes has a hundred thousand segments: adding them up again and again would take minutes.
fn running_sums(counts: &[usize]) -> Vec<usize> {
    let sums = counts.iter().scan(0, |sum, tokens| {
        *sum += tokens;
        Some(*sum)
    });
    [0].into_iter().chain(sums).collect()
}

impl Packer<'_> {
    fn tokens(&self, range: Range<usize>) -> usize {
        let before = |at: usize| self.sums.get(at).copied().unwrap_or_default();
        before(range.end).saturating_sub(before(range.start))
    }

    /// Ranges of segments between headings, short ones joined to the next.
    fn sections(&self) -> Vec<Range<usize>> {
        let tokens_min = self.limits.tokens_min.max(1);
        let mut sections = Vec::new();
        let (mut start, mut body_tokens) = (0, 0);
        for (at, segment) in self.segments.iter().enumerate() {
            if segment.border == Border::Heading && body_tokens >= tokens_min {
                sections.push(start..at);
                (start, body_tokens) = (at, 0);
            }
            if !segment.is_heading {
                body_tokens += self.tokens(at..at + 1);
            }
        }
        if start < self.segments.len() {
            sections.push(start..self.segments.len());
        }
        sections
    }

    /// Parts a section into ranges that fit.
    fn part(&self, section: Range<usize>, ranges: &mut Vec<Range<usize>>) {
        let target = self.limits.tokens_target.clamp(1, self.limits.tokens_max);
        let (mut start, mut done) = (section.start, section.start);
        while done < section.end {
            let left = self.tokens(start..section.end);
            if left <= self.limits.tokens_max {
                ranges.push(start..section.end);
                return;
            }
            let goal = left.div_ceil(left.div_ceil(target));
            done = self.best_end(start, done + 1..section.end, goal);
            ranges.push(start..done);
            start = self.overlap(start, done);
        }
    }

    /// The end of the chunk that starts here, one of `ends`: near the goal, at a good border.
    fn best_end(&self, start: usize, ends: Range<usize>, goal: usize) -> usize {
        let mut best = (usize::MAX, ends.start);
        let mut tokens = self.tokens(start..ends.start - 1);
        for end in ends.start..=ends.end {
            tokens += self.tokens(end - 1..end);
            if tokens > self.limits.tokens_max {
                break;
            }
            let cost = tokens.abs_diff(goal) + self.border_cost(end, goal);
            if cost <= best.0 {
                best = (cost, end);
            }
        }
        best.1
    }

    fn border_cost(&self, at: usize, goal: usize) -> usize {
        let Some(next) = self.segments.get(at) else {
            return 0;
        };
        let after_heading = at
            .checked_sub(1)
            .and_then(|before| self.segments.get(before))
            .is_some_and(|s| s.is_heading);
        match next.border {
            _ if after_heading => goal * 2,
            Border::Heading | Border::Block => 0,
            Border::Sentence => goal / 4,
            Border::Word => goal / 2,
            Border::Character => goal,
        }
    }

    /// Where the next chunk starts: before the end by whole sentences of at most `tokens_overlap`, always after
    /// `start`, and with room for the segment that comes next.
    fn overlap(&self, start: usize, end: usize) -> usize {
        let mut next = end;
        let coming = self.tokens(end..(end + 1).min(self.segments.len()));
        for at in (start + 1..end).rev() {
            let tokens = self.tokens(at..end);
            if tokens > self.limits.tokens_overlap || tokens + coming > self.limits.tokens_max {
                break;
            }
            if self
                .segments
                .get(at)
                .is_some_and(|segment| segment.border >= Border::Sentence)
            {
                next = at;
            }
        }
        next
    }

    fn chunk(&self, index: usize, range: Range<usize>) -> Option<Chunk> {
        let segments = self.segments.get(range.clone())?;
        let (first, last) = (segments.first()?, segments.last()?);
        let bytes = first.bytes.start..last.bytes.end;
        Some(Chunk {
            text: self.document.get(bytes.clone())?.to_owned(),
            heading: shared_heading(segments),
            start: first.chars.start,
            end: last.chars.end,
            bytes,
            index: u32::try_from(index).ok()?,
            tokens: self.tokens(range),
        })
    }
}

/// The headings all text of a chunk shares; a heading without text of its own does not count against it.
fn shared_heading(segments: &[Segment]) -> Vec<String> {
    let mut bodies = segments
        .iter()
        .filter(|segment| !segment.is_heading)
        .peekable();
    if bodies.peek().is_none() {
        return segments
            .last()
            .map(|segment| segment.heading.clone())
            .unwrap_or_default();
    }
    let mut shared = bodies
        .next()
        .map(|segment| segment.heading.clone())
        .unwrap_or_default();
    for body in bodies {
        let same = shared
            .iter()
            .zip(&body.heading)
            .take_while(|(a, b)| a == b)
            .count();
        shared.truncate(same);
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::super::segment;
    use super::*;
    use crate::document::{Document, Format};

    /// One token a word.
    fn chunks(source: &str, limits: ChunkLimits) -> Vec<Chunk> {
        let document = Document::parse(Format::Markdown, source);
        let wide = ChunkLimits {
            tokens_max: 10_000,
            ..limits
        };
        let segments = segment(&document, &wide);
        let counts: Vec<usize> = segments
            .iter()
            .map(|s| s.text.split_whitespace().count())
            .collect();
        assemble(&document.text, &segments, &counts, &limits).unwrap()
    }

    fn check(
        source: &str,
        [tokens_max, tokens_target, tokens_min, tokens_overlap]: [usize; 4],
        expected: &[&str],
    ) {
        let chunks = chunks(
            source,
            ChunkLimits {
                tokens_max,
                tokens_target,
                tokens_min,
                tokens_overlap,
            },
        );
        let got: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn sections_stay_apart() {
        check(
            "# A\n\na b c\n\n# B\n\nd e f",
            [20, 20, 2, 0],
            &["# A\n\na b c", "# B\n\nd e f"],
        );
        check(
            "# A\n\na\n\n# B\n\nd e f",
            [20, 20, 2, 0],
            &["# A\n\na\n\n# B\n\nd e f"],
        );
        check(
            "# A\n\n## B\n\nd e f",
            [20, 20, 2, 0],
            &["# A\n\n## B\n\nd e f"],
        );
        check("# only", [20, 20, 2, 0], &["# only"]);
        check("", [20, 20, 2, 0], &[]);
    }

    #[test]
    fn long_sections_part_evenly_at_blocks() {
        let source = "A b c. D e f.\n\nG h i. J k l.";
        check(source, [12, 12, 1, 0], &[source]);
        check(source, [8, 8, 1, 0], &["A b c. D e f.", "G h i. J k l."]);
        check(
            source,
            [3, 3, 1, 0],
            &["A b c.", "D e f.", "G h i.", "J k l."],
        );
    }

    #[test]
    fn overlap_repeats_whole_sentences() {
        check(
            "A b c. D e f. G h i.",
            [6, 6, 1, 3],
            &["A b c. D e f.", "D e f. G h i."],
        );
        check(
            "A b c. D e f. G h i.",
            [6, 6, 1, 2],
            &["A b c. D e f.", "G h i."],
        );
    }

    #[test]
    fn headings_are_shared_ones() {
        let check = |source: &str, expected: &[&str]| {
            let limits = ChunkLimits {
                tokens_max: 50,
                tokens_target: 50,
                tokens_min: 3,
                tokens_overlap: 0,
            };
            let chunks = chunks(source, limits);
            assert_eq!(chunks[0].heading, expected, "{source}");
        };
        check("# A\n\n## B\n\nd e f", &["A", "B"]);
        check("# A\n\n## B\n\nd\n\n## C\n\ne f g", &["A"]);
        check("# A\n\n## B", &["A", "B"]);
        check("text", &[]);
    }

    #[test]
    fn wrong_input_is_an_error() {
        let document = Document::parse(Format::Text, "word");
        let limits = ChunkLimits::default();
        let segments = segment(&document, &limits);
        assert_eq!(
            assemble("word", &segments, &[], &limits),
            Err(AssembleError::Counts {
                segments: 1,
                counts: 0
            })
        );
        let too_long = AssembleError::TooLong {
            start: 0,
            tokens: 999,
            tokens_max: limits.tokens_max,
        };
        assert_eq!(assemble("word", &segments, &[999], &limits), Err(too_long));
    }
}
