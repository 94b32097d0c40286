//! The grammars of tool calls hold a real model, whatever it was trained to write.

use gaia_engine::{FinishReason, Grammar};
use gaia_tools::{Calls, Format, Parser, Part, Tool, ToolChoice};
use serde_json::{Value, json};

use crate::models::{ask, chat, greedy, run};

/// What shows each family in a template.
const TEMPLATES: [&str; 13] = [
    "",
    "<tool_call>",
    "<tool_call><function=<parameter=",
    "<|start_header_id|>ipython\"parameters\"",
    "[TOOL_CALLS]",
    "[TOOL_CALLS][ARGS]",
    "<｜tool▁calls▁begin｜>```json",
    "<｜tool▁calls▁begin｜>",
    "DSML function_calls",
    "DSML tool_calls",
    "<|tool_call>",
    "<|channel|><|message|>",
    "<|tool|>",
];

fn tools() -> Vec<Tool> {
    let weather = json!({"type": "object", "properties": {
        "city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "kelvin"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["city", "unit"]});
    let tool = |name: &str, parameters: Option<Value>| Tool {
        name: name.to_owned(),
        description: None,
        parameters,
        strict: false,
    };
    vec![tool("weather", Some(weather)), tool("now", None)]
}

fn answer(
    template: &str,
    choice: &ToolChoice,
    question: &str,
    tokens_max: u32,
) -> (FinishReason, Vec<Part>) {
    let tools = tools();
    let format = Format::of(template);
    let calls = Calls {
        tools: &tools,
        choice,
        parallel: false,
        reasoning_open: false,
        answer: None,
    };
    let grammar = format.grammar(&calls).unwrap().unwrap();
    let mut request = greedy(&ask(question), tokens_max);
    request.grammar = Some(Grammar::Gbnf(grammar.gbnf().to_owned()));
    request.shown_tokens = format
        .shown_tokens()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    // Left alone, this model writes blanks for ever where JSON permits them.
    request.sampling.repeat_penalty = 1.1;
    let answer = run(chat(), request);
    let mut parser = Parser::new(format, &tools, false);
    let mut parts = parser.push(&answer.text);
    if answer.reason == FinishReason::Length && *choice != ToolChoice::Auto {
        // Nothing else ends a text that has no maximum.
        parts.extend(parser.push(&grammar.closing(&answer.text).unwrap()));
    }
    parts.extend(parser.finish());
    (answer.reason, parts)
}

fn calls(parts: &[Part]) -> Vec<(String, Value)> {
    let mut calls: Vec<(String, String)> = Vec::new();
    for part in parts {
        match part {
            Part::CallBegins { name, .. } => calls.push((name.clone(), String::new())),
            Part::Arguments { index, piece } => calls[*index].1.push_str(piece),
            _ => {}
        }
    }
    let json = |text: String| serde_json::from_str(&text).unwrap();
    calls
        .into_iter()
        .map(|(name, text)| (name, json(text)))
        .collect()
}

#[test]
fn a_135m_model_calls_when_it_must() {
    for template in ["", "<tool_call>"] {
        let question = "What time is it now?";
        let (_, parts) = answer(template, &ToolChoice::Required, question, 400);
        assert_eq!(calls(&parts).len(), 1, "{template}: {parts:?}");
    }
}

#[test]
fn text_is_the_same_with_calls_permitted() {
    let question = "What is the capital of France?";
    let mut plain = greedy(&ask(question), 30);
    plain.sampling.repeat_penalty = 1.1;
    let plain = run(chat(), plain);
    for template in TEMPLATES {
        // Its every answer has a header.
        if template == "<|channel|><|message|>" {
            continue;
        }
        let (reason, parts) = answer(template, &ToolChoice::Auto, question, 30);
        assert_eq!(reason, plain.reason);
        assert_eq!(parts, [Part::Text(plain.text.clone())], "{template}");
    }
}
