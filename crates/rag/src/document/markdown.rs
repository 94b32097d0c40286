//! Markdown: blocks start where the parser says a heading, paragraph, item, row or code block starts.
//!
//! Only the starts are taken from the parser. What it has no event for (link definitions, comments) belongs to the
//! block before, so nothing is lost.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{BlockKind, Cut, Document, blocks};

pub(super) fn parse(source: &str) -> Document {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_FOOTNOTES;
    let mut cuts: Vec<Cut> = Vec::new();
    let mut nesting = 0_usize;
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if let Some(kind) = kind(&tag, nesting) {
                    push(
                        &mut cuts,
                        Cut {
                            at: range.start,
                            kind,
                        },
                    );
                }
                nesting += usize::from(nests(&tag));
            }
            Event::End(TagEnd::BlockQuote(_) | TagEnd::Item | TagEnd::FootnoteDefinition) => {
                nesting -= 1
            }
            Event::Rule => push(
                &mut cuts,
                Cut {
                    at: range.start,
                    kind: BlockKind::Prose,
                },
            ),
            _ => {}
        }
    }
    Document {
        text: source.to_owned(),
        blocks: blocks(source, cuts),
    }
}

/// An item and the paragraph in it start at the same place or a mark apart: the outer cut keeps the mark.
fn push(cuts: &mut Vec<Cut>, cut: Cut) {
    match cuts.last_mut() {
        Some(last) if last.at == cut.at => last.kind = cut.kind,
        Some(last) if last.at > cut.at => {}
        _ => cuts.push(cut),
    }
}

fn nests(tag: &Tag<'_>) -> bool {
    matches!(
        tag,
        Tag::BlockQuote(_) | Tag::Item | Tag::FootnoteDefinition(_)
    )
}

fn kind(tag: &Tag<'_>, nesting: usize) -> Option<BlockKind> {
    match tag {
        Tag::Heading { level, .. } if nesting == 0 => Some(BlockKind::Heading(number(*level))),
        Tag::Paragraph | Tag::Heading { .. } if nesting > 0 => None,
        Tag::Heading { .. } | Tag::Paragraph | Tag::Item | Tag::BlockQuote(_) => {
            Some(BlockKind::Prose)
        }
        Tag::HtmlBlock | Tag::FootnoteDefinition(_) => Some(BlockKind::Prose),
        Tag::CodeBlock(_) | Tag::Table(_) | Tag::MetadataBlock(_) => Some(BlockKind::Lines),
        _ => None,
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::super::outline;
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        assert_eq!(outline(&parse(source)), expected);
    }

    #[test]
    fn headings_make_paths() {
        check(
            "# A\n\none\n\n## B\ntwo\n\n# C\nthree",
            &[
                "h1 A | # A",
                "p A | one",
                "h2 A > B | ## B",
                "p A > B | two",
                "h1 C | # C",
                "p C | three",
            ],
        );
        check(
            "Title\n===\ntext",
            &["h1 Title | Title⏎===", "p Title | text"],
        );
        check("### deep\n# top", &["h3 deep | ### deep", "h1 top | # top"]);
    }

    #[test]
    fn items_and_lines() {
        check(
            "- a\n- b\n  - c\n\nend",
            &["p  | - a", "p  | - b", "p  | - c", "p  | end"],
        );
        check(
            "```sh\nls\n\n# no heading\n```\ntext",
            &["l  | ```sh⏎ls⏎⏎# no heading⏎```", "p  | text"],
        );
        check("|a|b|\n|-|-|\n|1|2|\n", &["l  | |a|b|⏎|-|-|⏎|1|2|"]);
        check(
            "> # quoted\n> text\n\nout",
            &["p  | > # quoted⏎> text", "p  | out"],
        );
        check("- ```\n  x\n  ```\n", &["p  | -", "l  | ```⏎  x⏎  ```"]);
    }

    #[test]
    fn nothing_is_lost() {
        check(
            "before\n\n[a]: http://x\n\n<!-- note -->\n",
            &["p  | before⏎⏎[a]: http://x", "p  | <!-- note -->"],
        );
        check(
            "---\ntitle: x\n---\n# A",
            &["l  | ---⏎title: x⏎---", "h1 A | # A"],
        );
        check("", &[]);
    }
}
