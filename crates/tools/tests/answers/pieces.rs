//! How an answer is cut does not matter.

use gaia_tools::{Format, Part};
use proptest::prelude::*;
use serde_json::json;

use crate::samples::{SAMPLES, called, parts, read, tools};

#[test]
fn every_format_is_read() {
    for sample in SAMPLES {
        let found = parts(Format::of(sample.template), &tools(), false, [sample.calls]);
        let calls = called(&found);
        let expected = [
            ("weather".to_owned(), json!({"city": "Paris", "days": 3})),
            ("now".to_owned(), json!({})),
        ];
        assert_eq!(calls, expected[..sample.count], "{}", sample.calls);
        let texts = found.iter().filter(|part| matches!(part, Part::Text(_)));
        assert_eq!(texts.count(), 0, "{found:?}");
        let ends = found
            .iter()
            .filter(|part| matches!(part, Part::CallEnds { .. }));
        assert_eq!(ends.count(), sample.count);
    }
}

#[test]
fn text_may_stand_before_calls() {
    for sample in SAMPLES {
        let calls = read(sample.template, sample.calls);
        let with_text = match sample.template {
            // It stands in a message of its own.
            "<|channel|> <|message|>" => format!(
                "<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant{}",
                sample.calls
            ),
            _ if sample.calls.starts_with("{\"name\"") || sample.calls.starts_with("functools") => {
                continue;
            }
            _ => format!("Let me see.\n\n{}", sample.calls),
        };
        let expected = format!("Let me see.{calls}");
        assert_eq!(read(sample.template, &with_text), expected);
    }
}

#[test]
fn pieces_at_every_character_give_the_same_parts() {
    for sample in SAMPLES {
        let answer = format!(
            "<think>\nI <think> so.\n</think>\n\n{}\nMore <tool text.",
            sample.calls
        );
        for answer in [sample.calls, &answer] {
            let format = Format::of(sample.template);
            let whole = parts(format, &tools(), false, [answer]);
            for (at, _) in answer.char_indices() {
                let (first, second) = answer.split_at(at);
                assert_eq!(parts(format, &tools(), false, [first, second]), whole);
            }
            let single = answer.char_indices();
            let single = single.map(|(at, c)| &answer[at..at + c.len_utf8()]);
            assert_eq!(parts(format, &tools(), false, single), whole);
        }
    }
}

#[test]
fn arguments_stream_as_they_come() {
    for sample in SAMPLES {
        let format = Format::of(sample.template);
        let mut parser = gaia_tools::Parser::new(format, &tools(), false);
        let mut pieces = 0;
        for character in sample.calls.chars() {
            let parts = parser.push(&character.to_string());
            pieces += parts
                .iter()
                .filter(|part| matches!(part, Part::Arguments { .. }))
                .count();
        }
        assert!(pieces > 5, "{pieces} pieces of {}", sample.calls);
    }
}

/// Pieces of all formats, so that marks meet in all ways.
fn fragment() -> impl Strategy<Value = String> {
    let marks = SAMPLES.iter().flat_map(|sample| {
        let calls = sample.calls;
        let ends = calls
            .char_indices()
            .filter(|(_, c)| "<[{}]> \n\"".contains(*c));
        let ends: Vec<usize> = ends.map(|(at, _)| at).chain([calls.len()]).collect();
        ends.windows(2)
            .map(|pair| calls[pair[0]..pair[1]].to_owned())
            .collect::<Vec<_>>()
    });
    let mut all: Vec<String> = marks.collect();
    all.extend(
        [
            "<think>",
            "</think>",
            "[THINK]",
            "<|end|>",
            "<|start|>assistant",
            "\n",
            "word ",
            "é",
            "\\",
        ]
        .map(str::to_owned),
    );
    prop_oneof![
        4 => prop::sample::select(all),
        1 => prop::sample::select(SAMPLES.iter().map(|s| s.calls.to_owned()).collect::<Vec<_>>()),
    ]
}

proptest! {
    #[test]
    fn pieces_at_every_byte_give_the_same_parts(
        fragments in prop::collection::vec(fragment(), 0..12),
        sample in 0..SAMPLES.len(),
        reasoning_open: bool,
    ) {
        let answer = fragments.concat();
        let format = Format::of(SAMPLES[sample].template);
        let whole = parts(format, &tools(), reasoning_open, [answer.as_str()]);
        let characters = answer.char_indices().map(|(at, c)| &answer[at..at + c.len_utf8()]);
        prop_assert_eq!(&parts(format, &tools(), reasoning_open, characters), &whole);
        let fragments = fragments.iter().map(String::as_str);
        prop_assert_eq!(&parts(format, &tools(), reasoning_open, fragments), &whole);
    }

    #[test]
    fn text_without_marks_is_untouched(
        answer in "[a-z ,.!?<>\n{}éß-]{0,80}",
        sample in 0..SAMPLES.len(),
    ) {
        let found = parts(Format::of(SAMPLES[sample].template), &tools(), false, [answer.as_str()]);
        let expected = match answer.is_empty() {
            true => Vec::new(),
            false => vec![Part::Text(answer)],
        };
        prop_assert_eq!(found, expected);
    }
}
