//! Walks through the grammars at random: whatever they permit parses.

use gaia_grammar::{Class, Grammar, Reader};
use gaia_tools::{Format, Part, ToolChoice};
use serde_json::json;

use crate::samples::{SAMPLES, called, calls, parts, short, tool, tools};

/// How long a walk goes on before it takes the shortest way out.
const CHARACTERS_MAX: usize = 250;

/// A generator that a seed makes repeatable (Marsaglia's xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    /// One of the class; where nearly everything is permitted, mostly what marks are made of.
    fn character(&mut self, class: &Class) -> Option<char> {
        let of_marks: Vec<char> = "<|\"\\{}[]/>:,\n _`｜a1"
            .chars()
            .filter(|c| class.contains(*c))
            .collect();
        let ranges: Vec<(char, char)> = class.iter().collect();
        if !of_marks.is_empty() && self.below(4) > 0 {
            return Some(of_marks[self.below(of_marks.len())]);
        }
        let (low, high) = *ranges.get(self.below(ranges.len()))?;
        let width = (u32::from(high) - u32::from(low)).min(100) as usize + 1;
        char::from_u32(u32::from(low) + u32::try_from(self.below(width)).unwrap())
    }
}

/// A text that begins with `start`.
fn walk(grammar: &Grammar, start: &str, seed: u64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut reader = Reader::new(grammar);
    assert!(reader.read(start));
    let mut text = start.to_owned();
    for _ in 0..CHARACTERS_MAX {
        if reader.is_complete() && dice.below(40) == 0 {
            break;
        }
        let Some(character) = dice.character(&reader.next()) else {
            break;
        };
        assert!(reader.read(character.encode_utf8(&mut [0; 4])));
        text.push(character);
    }
    text + &reader.closing().unwrap()
}

#[test]
fn what_a_required_grammar_permits_is_calls_that_parse() {
    let choice = ToolChoice::Required;
    for sample in SAMPLES {
        let format = Format::of(sample.template);
        let plan = calls_of(&choice);
        let grammar = format.grammar(&plan).unwrap().unwrap();
        for seed in 1..60 {
            let answer = walk(&grammar, "", seed);
            let found = parts(format, &tools(), false, [answer.as_str()]);
            let calls = called(&found);
            assert!(!calls.is_empty(), "seed {seed}: {answer}");
            for (name, arguments) in calls {
                let good = match name.as_str() {
                    "now" => arguments == json!({}),
                    _ => arguments["city"].is_string(),
                };
                assert!(good, "seed {seed}: {answer}\n{arguments}");
            }
            let said = |part: &&Part| matches!(part, Part::Text(_));
            assert_eq!(found.iter().find(said), None, "seed {seed}: {answer}");
        }
    }
}

#[test]
fn what_an_auto_grammar_permits_is_text_or_calls_that_parse() {
    let choice = ToolChoice::Auto;
    for sample in SAMPLES {
        let format = Format::of(sample.template);
        let plan = calls_of(&choice);
        let grammar = format.grammar(&plan).unwrap().unwrap();
        for seed in 1..60 {
            // A walk rarely meets a mark: half of them begin behind one.
            let mark = sample
                .calls
                .split(['{', '\n', 'w'])
                .next()
                .unwrap_or_default();
            let answer = match seed % 2 {
                0 => walk(&grammar, "", seed),
                _ => walk(&grammar, mark, seed),
            };
            let found = parts(format, &tools(), false, [answer.as_str()]);
            called(&found);
            assert!(
                !short(&found).contains("<tool_call>\n{\"name\""),
                "{answer}"
            );
        }
    }
}

#[test]
fn values_of_every_kind_parse() {
    let schema = json!({"type": "object", "properties": {
        "unit": {"enum": ["celsius", 3, null]}, "text": {"type": "string"},
        "n": {"type": "number"}, "flag": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}},
        "inner": {"type": "object", "properties": {"a": {"type": "string"}}},
        "any": {}}, "required": ["text", "list", "inner", "any"]});
    let tools = [tool("f", Some(schema))];
    let choice = ToolChoice::Required;
    for sample in SAMPLES {
        let format = Format::of(sample.template);
        let grammar = format.grammar(&calls(&tools, &choice, false)).unwrap();
        let grammar = grammar.unwrap();
        for seed in 1..40 {
            let answer = walk(&grammar, "", seed);
            let found = parts(format, &tools, false, [answer.as_str()]);
            let calls = called(&found);
            assert_eq!(calls.len(), 1, "seed {seed}: {answer}");
            let arguments = &calls[0].1;
            let good = arguments["text"].is_string()
                && arguments["list"].is_array()
                && arguments["inner"].is_object()
                && arguments.get("any").is_some();
            assert!(good, "seed {seed}: {answer}\n{arguments}");
        }
    }
}

fn calls_of(choice: &ToolChoice) -> gaia_tools::Calls<'_> {
    static TOOLS: std::sync::OnceLock<Vec<gaia_tools::Tool>> = std::sync::OnceLock::new();
    calls(TOOLS.get_or_init(tools), choice, true)
}
