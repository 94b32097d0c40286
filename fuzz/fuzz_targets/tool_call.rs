//! Reading tool calls and reasoning, whatever a model wrote and however it came.

#![no_main]

use gaia_tools::{Format, Parser, Part, Tool};
use libfuzzer_sys::fuzz_target;

/// What shows each format.
const TEMPLATES: [&str; 12] = [
    "",
    "<tool_call>",
    "<tool_call><function=<parameter=",
    "<|start_header_id|>ipython\"parameters\"",
    "[TOOL_CALLS]",
    "[TOOL_CALLS][ARGS]",
    "<｜tool▁calls▁begin｜>```json",
    "<｜tool▁calls▁begin｜>",
    "DSML function_calls",
    "<|tool_call>",
    "<|channel|><|message|>",
    "<|tool|>",
];

fn tool(name: &str) -> Tool {
    let text =
        r#"{"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "integer"}}}"#;
    Tool {
        name: name.to_owned(),
        description: None,
        parameters: serde_json::from_str(text).ok(),
        strict: false,
    }
}

/// Parts in one text each, and the bytes that were said.
fn read<'a>(
    format: Format,
    reasoning_open: bool,
    pieces: impl Iterator<Item = &'a str>,
) -> (String, usize) {
    let mut parser = Parser::new(format, &[tool("f"), tool("g")], reasoning_open);
    let (mut all, mut said) = (String::new(), 0);
    let (mut voice, mut open) = (0, None);
    let mut take = |part: Part| {
        let now = match &part {
            Part::Text(_) => 1,
            Part::Reasoning(_) => 2,
            Part::Arguments { .. } => 3,
            Part::CallBegins { .. } | Part::CallEnds { .. } => 4,
        };
        if now != voice || now == 4 {
            all.push_str(&format!("\u{0}{now}"));
        }
        voice = now;
        match part {
            Part::Text(text) | Part::Reasoning(text) => {
                assert!(open.is_none(), "said within a call");
                said += text.len();
                all.push_str(&text);
            }
            Part::CallBegins { index, name } => {
                assert!(open.is_none(), "a call within a call");
                open = Some(index);
                all.push_str(&name);
            }
            Part::Arguments { index, piece } => {
                assert_eq!(open, Some(index));
                all.push_str(&piece);
            }
            Part::CallEnds { index } => assert_eq!(open.take(), Some(index)),
        }
    };
    for piece in pieces {
        parser.push(piece).into_iter().for_each(&mut take);
    }
    parser.finish().into_iter().for_each(&mut take);
    assert!(open.is_none(), "a call stays open");
    (all, said)
}

fuzz_target!(|bytes: &[u8]| {
    let [first, step, rest @ ..] = bytes else {
        return;
    };
    let format = Format::of(TEMPLATES[usize::from(first % 16) % TEMPLATES.len()]);
    let reasoning_open = first & 0x80 != 0;
    let answer = String::from_utf8_lossy(rest);
    let whole = read(format, reasoning_open, [&*answer].into_iter());
    // Harmony puts an empty line between messages.
    assert!(whole.1 <= answer.len() + answer.matches("<|message|>").count() * 2);
    let step = usize::from(step % 7) + 1;
    let cuts: Vec<usize> = answer
        .char_indices()
        .map(|(at, _)| at)
        .step_by(step)
        .chain([answer.len()])
        .collect();
    let pieces = cuts.windows(2).map(|pair| &answer[pair[0]..pair[1]]);
    assert_eq!(read(format, reasoning_open, pieces), whole);
});
