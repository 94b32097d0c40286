//! Reading and cutting documents, whatever a stranger wrote into one.

#![no_main]

use gaia_rag::{ChunkLimits, Document, Format, assemble, segment};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let format = match first % 3 {
        0 => Format::Markdown,
        1 => Format::Html,
        _ => Format::Text,
    };
    let limits = ChunkLimits {
        tokens_max: 32,
        tokens_target: 24,
        tokens_min: 4,
        tokens_overlap: 8,
    };
    let document = Document::parse(format, &String::from_utf8_lossy(rest));
    let segments = segment(&document, &limits);
    // As if every four characters were a token.
    let counts: Vec<usize> = segments
        .iter()
        .map(|segment| segment.text.len().div_ceil(4))
        .collect();
    let Ok(chunks) = assemble(&document.text, &segments, &counts, &limits) else {
        return;
    };
    for chunk in &chunks {
        assert_eq!(
            document.text.get(chunk.bytes.clone()),
            Some(chunk.text.as_str())
        );
    }
    let mut end = 0;
    for chunk in &chunks {
        let gap = document
            .text
            .get(end..chunk.bytes.start.max(end))
            .unwrap_or("x");
        assert!(gap.trim().is_empty(), "text between chunks is lost");
        end = end.max(chunk.bytes.end);
    }
    assert!(
        document.text[end..].trim().is_empty(),
        "text at the end is lost"
    );
});
