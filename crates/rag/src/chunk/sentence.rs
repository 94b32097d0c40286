//! Where sentences, lines, words and characters may be parted.
//!
//! Every function gives the places to cut at, as byte offsets inside the text, ascending, without its ends.

/// Starts of sentences: after `.`, `!`, `?`, `…` or their CJK forms, and what closes after them, where white space
/// and no lower-case letter follows. CJK marks need no space.
pub(super) fn sentences(text: &str) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((_, c)) = chars.next() {
        let wide = matches!(c, '。' | '！' | '？');
        if !wide && !matches!(c, '.' | '!' | '?' | '…') {
            continue;
        }
        while chars.next_if(|(_, c)| closes(*c)).is_some() {}
        let mut spaced = false;
        while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {
            spaced = true;
        }
        if let Some(&(at, next)) = chars.peek()
            && (wide || (spaced && !next.is_lowercase()))
        {
            cuts.push(at);
        }
    }
    cuts
}

fn closes(c: char) -> bool {
    matches!(
        c,
        '.' | '!'
            | '?'
            | '…'
            | '"'
            | '\''
            | ')'
            | ']'
            | '”'
            | '’'
            | '»'
            | '」'
            | '』'
            | '）'
            | '*'
            | '_'
            | '`'
    )
}

/// Starts of lines.
pub(super) fn lines(text: &str) -> Vec<usize> {
    text.match_indices('\n')
        .map(|(at, _)| at + 1)
        .filter(|&at| at < text.len())
        .collect()
}

/// Starts of words.
pub(super) fn words(text: &str) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut after_space = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            after_space = true;
        } else if after_space {
            after_space = false;
            cuts.push(at);
        }
    }
    cuts.retain(|&at| at > 0);
    cuts
}

/// Starts of characters.
pub(super) fn characters(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cut: fn(&str) -> Vec<usize>, text: &str, expected: &[&str]) {
        let cuts = cut(text);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([text.len()]);
        let parts: Vec<&str> = starts
            .zip(ends)
            .map(|(start, end)| text[start..end].trim())
            .collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn sentences_end_at_marks() {
        check(sentences, "One. Two! Three?", &["One.", "Two!", "Three?"]);
        check(
            sentences,
            "Use v0.17.1 or e.g. this.",
            &["Use v0.17.1 or e.g. this."],
        );
        check(
            sentences,
            "He said \"no.\" Then left.",
            &["He said \"no.\"", "Then left."],
        );
        check(sentences, "Wait... What?", &["Wait...", "What?"]);
        check(sentences, "一。二！三", &["一。", "二！", "三"]);
        check(sentences, "end.", &["end."]);
        check(
            sentences,
            "Port is 80. 443 too.",
            &["Port is 80.", "443 too."],
        );
    }

    #[test]
    fn lines_words_characters() {
        check(lines, "a\nb\n", &["a", "b"]);
        check(words, " one  two\nthree ", &["", "one", "two", "three"]);
        check(words, "one two", &["one", "two"]);
        check(characters, "aüb", &["a", "ü", "b"]);
    }
}
