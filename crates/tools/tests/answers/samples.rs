//! Answers in every format, and what they say.

use gaia_tools::{Calls, Format, Parser, Part, Tool, ToolChoice};
use serde_json::{Value, json};

/// An answer with calls.
pub struct Sample {
    /// What of a template shows the format.
    pub template: &'static str,
    /// Calls alone, as the model has learnt to write them.
    pub calls: &'static str,
    /// How many calls that are.
    pub count: usize,
}

/// Every family once.
pub const SAMPLES: &[Sample] = &[
    Sample {
        template: "<tool_call>\n{\"name\": ",
        calls: "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}\n</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>",
        count: 2,
    },
    Sample {
        template: "<tool_call>\n<function=f>\n<parameter=p>",
        calls: "<tool_call>\n<function=weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=now>\n</function>\n</tool_call>",
        count: 2,
    },
    Sample {
        template: "<|start_header_id|>ipython \"parameters\": ",
        calls: "{\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\", \"days\": 3}}",
        count: 1,
    },
    Sample {
        template: "[TOOL_CALLS][",
        calls: "[TOOL_CALLS][{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}, \"id\": \"abcdefghi\"}, {\"name\": \"now\", \"arguments\": {}}]",
        count: 2,
    },
    Sample {
        template: "[TOOL_CALLS]name[ARGS]",
        calls: "[TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]{\"city\": \"Paris\", \"days\": 3}[TOOL_CALLS]now[ARGS]{}",
        count: 2,
    },
    Sample {
        template: "<｜tool▁calls▁begin｜>```json",
        calls: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Paris\", \"days\": 3}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        count: 2,
    },
    Sample {
        template: "<｜tool▁calls▁begin｜>",
        calls: "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Paris\", \"days\": 3}<｜tool▁call▁end｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        count: 2,
    },
    Sample {
        template: "｜DSML｜ function_calls",
        calls: "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Paris</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name=\"now\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        count: 2,
    },
    Sample {
        template: "｜DSML｜ tool_calls",
        calls: "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter name=\"city\" string=\"true\">Paris</｜DSML｜parameter>\n<｜DSML｜parameter name=\"days\" string=\"false\">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
        count: 1,
    },
    Sample {
        template: "<|tool_call>call:",
        calls: "<|tool_call>call:weather{city:<|\"|>Paris<|\"|>,days:3}<tool_call|><|tool_call>call:now{}<tool_call|>",
        count: 2,
    },
    Sample {
        template: "<|channel|> <|message|>",
        calls: "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{\"city\": \"Paris\", \"days\": 3}",
        count: 1,
    },
    Sample {
        template: "<|channel|> <|message|>",
        calls: " to=functions.weather<|channel|>commentary json<|message|>{\"city\": \"Paris\", \"days\": 3}",
        count: 1,
    },
    Sample {
        template: "<|tool|>",
        calls: "functools[{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}, {\"name\": \"now\", \"arguments\": {}}]",
        count: 2,
    },
    Sample {
        template: "",
        calls: "{\"tool_calls\": [{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}, {\"name\": \"now\", \"arguments\": {}}]}",
        count: 2,
    },
    Sample {
        template: "",
        calls: "{\"tool_call\": {\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}}",
        count: 1,
    },
];

pub fn tool(name: &str, parameters: Option<Value>) -> Tool {
    Tool {
        name: name.to_owned(),
        description: None,
        parameters,
        strict: false,
    }
}

/// What the samples call.
pub fn tools() -> Vec<Tool> {
    let weather = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": false,
    });
    vec![tool("weather", Some(weather)), tool("now", None)]
}

/// What an answer may be.
pub fn calls<'a>(tools: &'a [Tool], choice: &'a ToolChoice, parallel: bool) -> Calls<'a> {
    Calls {
        tools,
        choice,
        parallel,
        reasoning_open: false,
        answer: None,
    }
}

/// The parts of an answer that comes in these pieces, neighbours of a kind as one.
pub fn parts<'a>(
    format: Format,
    tools: &[Tool],
    reasoning_open: bool,
    pieces: impl IntoIterator<Item = &'a str>,
) -> Vec<Part> {
    let mut parser = Parser::new(format, tools, reasoning_open);
    let mut parts: Vec<Part> = Vec::new();
    for piece in pieces {
        parts.extend(parser.push(piece));
    }
    parts.extend(parser.finish());
    joined(parts)
}

fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    for part in parts {
        match (all.last_mut(), part) {
            (Some(Part::Text(text)), Part::Text(more))
            | (Some(Part::Reasoning(text)), Part::Reasoning(more)) => text.push_str(&more),
            (
                Some(Part::Arguments { index, piece }),
                Part::Arguments {
                    index: same,
                    piece: more,
                },
            ) if *index == same => piece.push_str(&more),
            (_, part) => all.push(part),
        }
    }
    all
}

/// An answer in short: text, reasoning in brackets, calls as `name(arguments)`, an open one without its
/// closing parenthesis.
pub fn short(parts: &[Part]) -> String {
    let mut short = String::new();
    for part in parts {
        match part {
            Part::Text(text) => short.push_str(text),
            Part::Reasoning(text) => short.push_str(&format!("[{text}]")),
            Part::CallBegins { name, .. } => short.push_str(&format!("|{name}(")),
            Part::Arguments { piece, .. } => short.push_str(piece),
            Part::CallEnds { .. } => short.push_str(")|"),
        }
    }
    short
}

/// The answer of a model of the family that `template` shows, in short.
pub fn read(template: &str, answer: &str) -> String {
    short(&parts(Format::of(template), &tools(), false, [answer]))
}

/// The calls of an answer: names, and arguments as the JSON that they must be.
pub fn called(parts: &[Part]) -> Vec<(String, Value)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in parts {
        match part {
            Part::CallBegins { name, .. } => calls.push((name.clone(), String::new())),
            Part::Arguments { index, piece } => calls[*index].1.push_str(piece),
            _ => {}
        }
    }
    let json = |text: String| {
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"))
    };
    calls
        .into_iter()
        .map(|(name, arguments)| (name, json(arguments)))
        .collect()
}
