//! HTML: the text of a page, with blocks where the tags say so.
//!
//! Reads tokens, never a tree, so nesting costs nothing. Scripts, styles, navigation and the like are left out.
//! Ranges refer to the extracted text.

use std::cell::RefCell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::{BlockKind, Cut, Document, blocks};

pub(super) fn parse(source: &str) -> Document {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(source));
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let page = tokenizer.sink.page.into_inner();
    let blocks = blocks(&page.text, page.cuts);
    Document {
        text: page.text,
        blocks,
    }
}

#[derive(Default)]
struct Sink {
    page: RefCell<Page>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut page = self.page.borrow_mut();
        match token {
            Token::CharacterTokens(text) => page.characters(&text),
            Token::TagToken(tag) => return page.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
    cuts: Vec<Cut>,
    /// The element being left out and how often it is open inside itself.
    skipped: Option<(String, usize)>,
    /// Depth of `pre`: white space counts inside.
    pre: usize,
    /// A block that starts as soon as there is text.
    pending: Option<BlockKind>,
    space: bool,
}

impl Page {
    fn characters(&mut self, text: &str) {
        if self.skipped.is_some() {
            return;
        }
        if self.pre > 0 {
            self.start_block(!text.trim().is_empty());
            self.text.push_str(text);
            return;
        }
        for c in text.chars() {
            if c.is_whitespace() {
                self.space = true;
                continue;
            }
            self.start_block(true);
            if self.space && !self.text.ends_with('\n') && !self.text.is_empty() {
                self.text.push(' ');
            }
            self.space = false;
            self.text.push(c);
        }
    }

    fn start_block(&mut self, has_text: bool) {
        if !has_text {
            return;
        }
        let Some(kind) = self.pending.take() else {
            return;
        };
        self.text.truncate(self.text.trim_end().len());
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        self.cuts.push(Cut {
            at: self.text.len(),
            kind,
        });
        self.space = false;
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name = &*tag.name;
        let opens = tag.kind == TagKind::StartTag;
        self.skip(name, opens, tag.self_closing);
        if self.skipped.is_none() {
            self.structure(name, opens);
        }
        match name {
            "script" if opens => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "noscript" | "iframe" | "noembed" | "noframes" | "xmp" if opens => {
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "title" | "textarea" if opens => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn skip(&mut self, name: &str, opens: bool, self_closing: bool) {
        match &mut self.skipped {
            Some((skipped, depth)) if skipped == name => {
                if opens && !self_closing {
                    *depth += 1;
                } else if !opens {
                    *depth -= 1;
                }
                if *depth == 0 {
                    self.skipped = None;
                }
            }
            None if opens && !self_closing && is_skipped(name) => {
                self.skipped = Some((name.to_owned(), 1))
            }
            _ => {}
        }
    }

    fn structure(&mut self, name: &str, opens: bool) {
        match name {
            "br" => self.line(),
            "td" | "th" if opens => self.space = true,
            "tr" => self.line(),
            "pre" => {
                self.pre = if opens {
                    self.pre + 1
                } else {
                    self.pre.saturating_sub(1)
                };
                self.pending = Some(if opens {
                    BlockKind::Lines
                } else {
                    BlockKind::Prose
                });
            }
            "table" => {
                self.pending = Some(if opens {
                    BlockKind::Lines
                } else {
                    BlockKind::Prose
                })
            }
            _ => match heading(name) {
                Some(level) if opens => self.pending = Some(BlockKind::Heading(level)),
                Some(_) => self.pending = Some(BlockKind::Prose),
                None if is_block(name) => {
                    // A paragraph inside a heading or a cell does not end it.
                    self.pending.get_or_insert(BlockKind::Prose);
                }
                None => {}
            },
        }
    }

    fn line(&mut self) {
        if self.pending.is_none() && !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.space = false;
    }
}

fn heading(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
        _ => None,
    }
}

fn is_skipped(name: &str) -> bool {
    matches!(
        name,
        "head"
            | "script"
            | "style"
            | "noscript"
            | "template"
            | "svg"
            | "nav"
            | "iframe"
            | "noembed"
            | "noframes"
            | "title"
            | "object"
    )
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "li"
            | "ul"
            | "ol"
            | "dl"
            | "dt"
            | "dd"
            | "section"
            | "article"
            | "main"
            | "header"
            | "footer"
            | "aside"
            | "blockquote"
            | "figure"
            | "figcaption"
            | "hr"
            | "form"
            | "body"
            | "address"
            | "details"
            | "summary"
            | "caption"
            | "fieldset"
    )
}

#[cfg(test)]
mod tests {
    use super::super::outline;
    use super::*;

    fn check(source: &str, expected: &[&str]) {
        assert_eq!(outline(&parse(source)), expected);
    }

    #[test]
    fn text_and_headings() {
        check(
            "<h1>A <b>b</b></h1><p>one\n  two<p>three &amp; 4",
            &["h1 A b | A b", "p A b | one two", "p A b | three & 4"],
        );
        check("<div><h2>x</h2>text</div>", &["h2 x | x", "p x | text"]);
        check("<ul><li>a<li>b</ul>c", &["p  | a", "p  | b", "p  | c"]);
        check("a<br>b", &["p  | a⏎b"]);
        check("plain", &["p  | plain"]);
        check("", &[]);
    }

    #[test]
    fn lines_stay_lines() {
        check("<pre>a\n  b\n</pre>c", &["l  | a⏎  b", "p  | c"]);
        check(
            "<table><tr><th>k<th>v<tr><td>1<td>2</table>x",
            &["l  | k v⏎1 2", "p  | x"],
        );
    }

    #[test]
    fn what_is_not_text_is_left_out() {
        check(
            "<head><title>t</title><style>p{}</style></head><p>x",
            &["p  | x"],
        );
        check("<script>if (a < b) '</p>'</script>y", &["p  | y"]);
        check("<nav><ul><li>menu</ul></nav><p>z<!-- c -->", &["p  | z"]);
        check("<svg><g><text>no</text></g></svg>yes", &["p  | yes"]);
    }

    #[test]
    fn deep_and_broken_pages_are_read() {
        let deep = format!("{}deep", "<div>".repeat(100_000));
        check(&deep, &["p  | deep"]);
        check("<p>a<<b", &["p  | a<"]);
        check("</pre></nav>a", &["p  | a"]);
    }
}
