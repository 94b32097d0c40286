//! Text with its structure: where blocks start, and under which headings.
//!
//! Markdown and plain text keep their bytes, so ranges point into the original document. HTML is reduced to its text
//! first, and ranges point into that extracted text.
//! Invariant: blocks are in order, do not overlap, and cover every character that is not white space.

mod html;
mod markdown;
mod plain;

use std::ops::Range;

/// Characters kept of one heading in a heading path.
pub const HEADING_CHARS_MAX: usize = 120;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CommonMark with tables.
    Markdown,
    /// Paragraphs separated by blank lines.
    Text,
    /// A web page.
    Html,
}

impl Format {
    /// Tells the format by the end of a file's name, in any case; `None` for one that is not read.
    pub fn from_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "md" | "markdown" | "mdown" | "mkd" | "mdx" => Some(Self::Markdown),
            "txt" | "text" | "rst" | "adoc" | "log" | "csv" | "tsv" => Some(Self::Text),
            "html" | "htm" | "xhtml" => Some(Self::Html),
            _ => None,
        }
    }
}

/// What a block is, as far as cutting it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// A heading, 1 to 6.
    Heading(u8),
    /// Sentences.
    Prose,
    /// Lines that belong together as lines: code, tables.
    Lines,
}

/// A stretch of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: BlockKind,
    /// The headings above it, outermost first; a heading's own is included.
    pub heading: Vec<String>,
    /// Its place in [`Document::text`], in bytes, without white space at the ends.
    pub bytes: Range<usize>,
}

/// A document ready to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text all ranges refer to.
    pub text: String,
    /// Its blocks, in order.
    pub blocks: Vec<Block>,
}

impl Document {
    /// Reads a document. Never fails: whatever has no structure is prose.
    pub fn parse(format: Format, source: &str) -> Self {
        match format {
            Format::Markdown => markdown::parse(source),
            Format::Text => plain::parse(source),
            Format::Html => html::parse(source),
        }
    }
}

/// A place where a block begins; the block lasts to the next cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    at: usize,
    kind: BlockKind,
}

/// Makes blocks from cuts in order of place. What lies before the first cut is prose.
fn blocks(text: &str, mut cuts: Vec<Cut>) -> Vec<Block> {
    cuts.insert(
        0,
        Cut {
            at: 0,
            kind: BlockKind::Prose,
        },
    );
    let mut path = HeadingPath::default();
    let ends: Vec<usize> = cuts
        .iter()
        .skip(1)
        .map(|cut| cut.at)
        .chain([text.len()])
        .collect();
    let mut blocks = Vec::new();
    for (cut, end) in cuts.into_iter().zip(ends) {
        let bytes = trim(text, cut.at..end);
        if bytes.is_empty() {
            continue;
        }
        if let BlockKind::Heading(level) = cut.kind {
            path.enter(level, text.get(bytes.clone()).unwrap_or_default());
        }
        blocks.push(Block {
            kind: cut.kind,
            heading: path.titles(),
            bytes,
        });
    }
    blocks
}

/// The range without white space at its ends; empty where there is nothing else.
pub(crate) fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let slice = text.get(range.clone()).unwrap_or_default();
    let start = range.start + (slice.len() - slice.trim_start().len());
    start..start + slice.trim().len()
}

/// The headings we are under.
#[derive(Default)]
struct HeadingPath {
    open: Vec<(u8, String)>,
}

impl HeadingPath {
    fn enter(&mut self, level: u8, source: &str) {
        self.open.retain(|(open, _)| *open < level);
        self.open.push((level, title(source)));
    }

    fn titles(&self) -> Vec<String> {
        self.open.iter().map(|(_, title)| title.clone()).collect()
    }
}

/// A heading's words: without the marks of Markdown around them, on one line, bounded.
fn title(source: &str) -> String {
    let line = source.lines().next().unwrap_or_default().trim();
    let line = line.trim_start_matches('#').trim_end_matches('#').trim();
    line.chars()
        .filter(|c| !matches!(c, '`' | '*'))
        .take(HEADING_CHARS_MAX)
        .collect()
}

#[cfg(test)]
pub(crate) fn outline(document: &Document) -> Vec<String> {
    let line = |block: &Block| {
        let kind = match block.kind {
            BlockKind::Heading(level) => format!("h{level}"),
            BlockKind::Prose => "p".into(),
            BlockKind::Lines => "l".into(),
        };
        format!(
            "{kind} {} | {}",
            block.heading.join(" > "),
            document.text[block.bytes.clone()].replace('\n', "⏎")
        )
    };
    document.blocks.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_name() {
        let check = |name, expected| assert_eq!(Format::from_name(name), expected, "{name}");
        check("a.md", Some(Format::Markdown));
        check("A.MD", Some(Format::Markdown));
        check("a.b.txt", Some(Format::Text));
        check("x.html", Some(Format::Html));
        check("x.png", None);
        check("README", None);
    }

    #[test]
    fn titles_are_plain_and_bounded() {
        let check = |source: &str, expected: &str| assert_eq!(title(source), expected);
        check("## A `b` *c* ##", "A b c");
        check("Title\n=====", "Title");
        check("#", "");
        assert_eq!(title(&"x".repeat(500)).len(), HEADING_CHARS_MAX);
    }
}
