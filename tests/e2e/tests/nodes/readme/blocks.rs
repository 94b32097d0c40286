//! The blocks of a Markdown text that show something to type.

/// What stands in a block, without its indent or fence.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What the fence says; empty for an indented block.
    pub language: String,
    /// The lines.
    pub text: String,
}

/// All blocks, in order.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines().peekable();
    let mut is_after_blank = true;
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block(language, &inside));
        } else if let Some(first) = line.strip_prefix("    ").filter(|_| is_after_blank) {
            let mut inside = vec![first];
            while let Some(next) = lines.next_if(|line| line.starts_with("    ") || line.is_empty())
            {
                inside.push(next.strip_prefix("    ").unwrap_or(next));
            }
            blocks.push(block("", &inside));
            is_after_blank = true;
            continue;
        }
        is_after_blank = line.is_empty();
    }
    blocks
}

fn block(language: &str, lines: &[&str]) -> Block {
    Block {
        language: language.to_owned(),
        text: lines.join("\n").trim_end().to_owned(),
    }
}

#[test]
fn indented_and_fenced_blocks_are_found() {
    let markdown = "# A\n\nText\n    goes on.\n\n    one\n    two\n\n    three\n\nText\n\n```python\nx = 1\n\ny\n```\n";
    let found = blocks(markdown);
    let expected = [("", "one\ntwo\n\nthree"), ("python", "x = 1\n\ny")];
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|block| (block.language.as_str(), block.text.as_str()))
        .collect();
    assert_eq!(found, expected);
}
