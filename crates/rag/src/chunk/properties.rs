//! Chunks rejoin to the document, whatever the document.

use proptest::prelude::*;

use super::{ChunkLimits, assemble, segment};
use crate::document::{Document, Format};

/// Text made to be awkward: marks of Markdown and HTML, wide characters, long words, odd white space.
fn document() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z]{1,12}",
        "[a-z]{40,200}",
        Just("# ".to_owned()),
        Just("\n\n".to_owned()),
        Just("\n".to_owned()),
        Just(". ".to_owned()),
        Just("\r\n\r\n## ".to_owned()),
        Just("\n- ".to_owned()),
        Just("\n> ".to_owned()),
        Just("\n```\n".to_owned()),
        Just("| a | b |\n|-|-|\n".to_owned()),
        Just("<p><pre><h2>".to_owned()),
        Just("</pre>&amp;".to_owned()),
        Just("日本語。".to_owned()),
        Just("👩‍👩‍👧 e\u{301}".to_owned()),
        Just("\u{a0}\t ".to_owned()),
        "\\PC{0,8}",
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn limits() -> impl Strategy<Value = ChunkLimits> {
    (4_usize..200, 1_usize..200, 0_usize..40, 0_usize..40).prop_map(
        |(tokens_max, tokens_target, tokens_min, tokens_overlap)| ChunkLimits {
            tokens_max,
            tokens_target,
            tokens_min,
            tokens_overlap,
        },
    )
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Markdown),
        Just(Format::Text),
        Just(Format::Html)
    ]
}

proptest! {
    #[test]
    fn chunks_rejoin_to_the_document(source in document(), limits in limits(), format in format(), bytes_a_token in 1_usize..5) {
        let document = Document::parse(format, &source);
        if format != Format::Html {
            prop_assert_eq!(&document.text, &source);
        }
        let text = &document.text;
        let segments = segment(&document, &limits);
        let counts: Vec<usize> = segments.iter().map(|s| s.text.len().div_ceil(bytes_a_token)).collect();
        let chunks = assemble(text, &segments, &counts, &limits).unwrap();

        let mut covered = vec![false; text.len()];
        let mut before = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            prop_assert_eq!(chunk.index as usize, index);
            prop_assert!(chunk.tokens <= limits.tokens_max);
            prop_assert_eq!(&text[chunk.bytes.clone()], &chunk.text);
            let by_chars: String = text.chars().skip(chunk.start).take(chunk.end - chunk.start).collect();
            prop_assert_eq!(&by_chars, &chunk.text);
            prop_assert!(chunk.bytes.end > before, "chunks move forward");
            before = chunk.bytes.end;
            covered[chunk.bytes.clone()].fill(true);
        }
        for (at, c) in text.char_indices() {
            prop_assert!(covered[at] || c.is_whitespace(), "{:?} at {} is in no chunk", c, at);
        }
        if limits.tokens_overlap == 0 {
            let total: usize = chunks.iter().map(|chunk| chunk.bytes.len()).sum();
            prop_assert_eq!(total, covered.iter().filter(|c| **c).count(), "nothing twice");
        }
    }
}
