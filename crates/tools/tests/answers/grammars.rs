//! The grammar permits what the format is, and whatever it permits parses.

use gaia_grammar::Grammar;
use gaia_grammar::schema::Limits;
use gaia_tools::{CALLS_MAX, CallGrammarError, Calls, Format, Part, Tool, ToolChoice};
use serde_json::{Value, json};

use crate::samples::{SAMPLES, called, calls, parts, tool, tools};

fn grammar(template: &str, tools: &[Tool], choice: &ToolChoice, parallel: bool) -> Grammar {
    let grammar = Format::of(template).grammar(&calls(tools, choice, parallel));
    grammar.unwrap().unwrap()
}

/// The part of a gpt-oss answer before what `answer` says.
fn said(template: &str, text: &str) -> String {
    match template {
        "<|channel|> <|message|>" => {
            format!("<|channel|>commentary<|message|>{text}<|end|><|start|>assistant")
        }
        _ => text.to_owned(),
    }
}

#[test]
fn required_calls_are_permitted_from_the_first_byte() {
    for sample in SAMPLES {
        let grammar = grammar(sample.template, &tools(), &ToolChoice::Required, true);
        assert!(
            grammar.accepts(sample.calls),
            "{}\n{}",
            sample.calls,
            grammar.gbnf()
        );
        for answer in ["", "Let me see.", "Let me see.\n\n", "<tool_call>"] {
            assert!(!grammar.accepts(answer));
            let more = format!("{answer}{}", sample.calls);
            assert!(answer.is_empty() || !grammar.accepts(&more), "{more}");
        }
    }
}

#[test]
fn a_named_tool_is_the_only_one() {
    for sample in SAMPLES {
        let named = |name: &str| ToolChoice::Named(name.to_owned());
        let permits = |name: &str, parallel: bool| {
            grammar(sample.template, &tools(), &named(name), parallel).accepts(sample.calls)
        };
        assert!(!permits("now", true));
        assert_eq!(permits("weather", true), sample.count == 1);
    }
}

#[test]
fn auto_permits_text_and_calls() {
    for sample in SAMPLES {
        let grammar = grammar(sample.template, &tools(), &ToolChoice::Auto, true);
        let text = match sample.template {
            "<|channel|> <|message|>" => "<|channel|>final<|message|>It is <b>warm</b>.",
            _ => "It is <b>warm</b> {\"a\": [1]}.\n<tool",
        };
        assert!(grammar.accepts(text), "{}", grammar.gbnf());
        assert!(
            grammar.accepts(sample.calls),
            "{}\n{}",
            sample.calls,
            grammar.gbnf()
        );
        let anywhere = !sample.calls.starts_with("{\"name\"") && !sample.calls.starts_with("func");
        if anywhere {
            let both = said(sample.template, "Let me see.\n") + sample.calls;
            assert!(grammar.accepts(&both), "{both}");
        }
        // Behind the mark only a call may stand, and of these tools.
        let broken = sample.calls.replace("weather", "whether");
        assert!(!grammar.accepts(&broken), "{broken}");
        assert!(!grammar.accepts(&format!("{}\nMore.", sample.calls)));
    }
}

#[test]
fn parallel_off_means_one() {
    for sample in SAMPLES {
        for choice in [ToolChoice::Auto, ToolChoice::Required] {
            let grammar = grammar(sample.template, &tools(), &choice, false);
            let alone = !sample.calls.starts_with("{\"tool_calls\"");
            let expected = sample.count == 1 && alone;
            assert_eq!(grammar.accepts(sample.calls), expected, "{}", sample.calls);
        }
    }
}

#[test]
fn more_calls_than_the_maximum_are_not_permitted() {
    let grammar = grammar("[TOOL_CALLS][ARGS]", &tools(), &ToolChoice::Required, true);
    let call = "[TOOL_CALLS]now[ARGS]{}";
    assert!(grammar.accepts(&call.repeat(CALLS_MAX)));
    assert!(!grammar.accepts(&call.repeat(CALLS_MAX + 1)));
}

#[test]
fn a_cut_answer_can_be_closed_to_calls_that_parse() {
    for sample in SAMPLES {
        for choice in [ToolChoice::Auto, ToolChoice::Required] {
            let grammar = grammar(sample.template, &tools(), &choice, true);
            for (at, _) in sample.calls.char_indices() {
                let cut = &sample.calls[..at];
                let end = grammar.closing(cut).unwrap();
                let whole = format!("{cut}{end}");
                let found = parts(
                    Format::of(sample.template),
                    &tools(),
                    false,
                    [whole.as_str()],
                );
                let calls = called(&found);
                assert!(choice == ToolChoice::Auto || !calls.is_empty(), "{whole}");
                for (name, arguments) in calls {
                    let city = &arguments["city"];
                    assert!(name == "now" || city.is_string(), "{whole}: {arguments}");
                }
            }
        }
    }
}

/// A schema with everything that formats without JSON must write in their own way.
fn everything() -> Value {
    json!({"type": "object", "properties": {
        "unit": {"enum": ["celsius", "kelvin"]},
        "text": {"type": "string"},
        "n": {"type": "integer", "minimum": 3, "maximum": 5},
        "flag": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "integer"}},
        "inner": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"$ref": "#/$defs/b"}},
            "required": ["a"]},
        "maybe": {"type": ["string", "null"]},
    }, "required": ["text", "inner", "unit"], "$defs": {"b": {"type": "number"}}})
}

#[test]
fn the_shortest_required_call_has_what_is_required() {
    let tools = [tool("f", Some(everything()))];
    for sample in SAMPLES {
        let grammar = grammar(sample.template, &tools, &ToolChoice::Required, false);
        let shortest = grammar.closing("").unwrap();
        let found = parts(
            Format::of(sample.template),
            &tools,
            false,
            [shortest.as_str()],
        );
        let calls = called(&found);
        assert_eq!(calls.len(), 1, "{shortest}");
        let arguments = &calls[0].1;
        assert!(arguments["text"].is_string(), "{shortest}");
        assert!(arguments["inner"]["a"].is_string(), "{shortest}");
        assert!(arguments["unit"] == "celsius" || arguments["unit"] == "kelvin");
        assert!(
            !found.iter().any(|part| matches!(part, Part::Text(_))),
            "{found:?}"
        );
    }
}

#[test]
fn arguments_without_a_listed_parameter_are_any_object() {
    let tools = [tool("f", Some(json!({"type": "object"})))];
    for (template, answer) in [
        (
            "<tool_call>",
            "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call>",
        ),
        (
            "<tool_call><function=<parameter=",
            "<tool_call>\n<function=f>\n<parameter=a>\n[1]\n</parameter>\n</function>\n</tool_call>",
        ),
        ("<|tool_call>", "<|tool_call>call:f{a:[1]}<tool_call|>"),
    ] {
        let grammar = grammar(template, &tools, &ToolChoice::Required, false);
        assert!(grammar.accepts(answer), "{}", grammar.gbnf());
        let found = parts(Format::of(template), &tools, false, [answer]);
        assert_eq!(called(&found)[0].1, json!({"a": [1]}));
    }
}

#[test]
fn a_strict_tool_is_enforced_or_refused_by_name() {
    let schema = json!({"type": "object", "properties": {"a": {"not": {"type": "string"}}},
        "required": ["a"]});
    for sample in SAMPLES {
        let mut tools = [tool("odd", Some(schema.clone()))];
        let plan = |tools: &[Tool]| {
            let choice = ToolChoice::Required;
            Format::of(sample.template)
                .grammar(&calls(tools, &choice, false))
                .map(Option::unwrap)
        };
        assert!(plan(&tools).is_ok(), "{}", sample.template);
        tools[0].strict = true;
        let refused = plan(&tools).unwrap_err();
        assert!(
            matches!(&refused, CallGrammarError::Strict { name, .. } if name == "odd"),
            "{refused}"
        );
    }
}

#[test]
fn a_choice_that_cannot_be_met_is_refused() {
    let refused = |tools: &[Tool], choice: ToolChoice| {
        let grammar = Format::of("").grammar(&calls(tools, &choice, true));
        grammar.unwrap_err().to_string()
    };
    assert!(refused(&tools(), ToolChoice::Named("other".to_owned())).contains("other"));
    assert!(refused(&[], ToolChoice::Required).contains("no tools"));
    let free = |tools: &[Tool], choice: ToolChoice| {
        let grammar = Format::of("").grammar(&calls(tools, &choice, true));
        grammar.unwrap().is_none()
    };
    assert!(free(&[], ToolChoice::Auto) && free(&tools(), ToolChoice::None));
}

#[test]
fn behind_a_mark_only_a_call_may_stand() {
    let check = |template: &str, permitted: &str, refused: &str| {
        let grammar = grammar(template, &tools(), &ToolChoice::Auto, true);
        assert!(grammar.accepts(permitted), "{permitted}");
        // The beginning of something that is permitted can be closed; other texts cannot.
        assert_eq!(grammar.closing(refused), None, "{refused}");
    };
    check("<tool_call>", "<tool_cal>", "<tool_call>x");
    check(
        "<tool_call><function=<parameter=",
        "<tool",
        "<tool_call>\n{",
    );
    check("[TOOL_CALLS][ARGS]", "[TOOL", "[TOOL_CALLS]x");
    check(
        "<|start_header_id|>ipython\"parameters\"",
        "Or {\"name\": 1}",
        "{\"name\": 1",
    );
    check(
        "<|start_header_id|>ipython\"parameters\"",
        "<|python",
        "<|python_tag|>now.call()",
    );
    check(
        "<｜tool▁calls▁begin｜>",
        "<｜tool",
        "<｜tool▁calls▁begin｜>x",
    );
    check("<|tool|>", "Or functools[x", "functools[x");
    check("", "{\"tool_call\": 1", "{\"tool_call\": {}");
}

/// Schemas that are too much together are dropped, but for strict tools.
#[test]
fn too_many_schemas_are_any_objects() {
    let schema = |tool: usize| {
        let one = |n: usize| {
            (
                format!("of-{tool}-{n}-{}", "x".repeat(40)),
                json!({"enum": [n, tool]}),
            )
        };
        let properties: serde_json::Map<String, Value> = (0..100).map(one).collect();
        json!({"type": "object", "properties": properties})
    };
    let mut tools: Vec<Tool> = (0..30)
        .map(|n| tool(&format!("tool-{n}"), Some(schema(n))))
        .collect();
    let choice = ToolChoice::Auto;
    let plan = |tools: &[Tool]| Format::of("<tool_call>").grammar(&calls(tools, &choice, true));
    let grammar = plan(&tools).unwrap().unwrap();
    assert!(grammar.accepts(
        "<tool_call>\n{\"name\": \"tool-7\", \"arguments\": {\"any\": \"thing\"}}\n</tool_call>"
    ));
    for tool in &mut tools {
        tool.strict = true;
    }
    let refused = plan(&tools).unwrap_err();
    assert!(
        matches!(refused, CallGrammarError::Grammar(_)),
        "{refused:?}"
    );
}

#[test]
fn calls_come_after_reasoning() {
    let template = "<tool_call> </think>";
    let call = SAMPLES[0].calls;
    let tools = tools();
    let permits = |choice: ToolChoice, reasoning_open: bool, answer: &str| {
        let calls = Calls {
            reasoning_open,
            ..calls(&tools, &choice, true)
        };
        let grammar = Format::of(template).grammar(&calls).unwrap().unwrap();
        grammar.accepts(answer)
    };
    let thought = "Hm, <tool_call> is a mark.";
    let open = format!("{thought}</think>\n\n{call}");
    let whole = format!("<think>\n{open}");
    for choice in [ToolChoice::Auto, ToolChoice::Required] {
        assert!(permits(choice.clone(), true, &open));
        assert!(!permits(choice.clone(), true, thought));
        assert!(permits(choice.clone(), false, &whole));
        assert!(permits(choice, false, call));
    }
    assert!(permits(ToolChoice::Auto, true, "Hm.</think>Yes."));
    assert!(!permits(ToolChoice::Required, true, "Hm.</think>Yes."));
}

#[test]
fn gpt_oss_thinks_before_it_calls() {
    let template = "<|channel|><|message|>";
    let call = "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}";
    let thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant";
    for choice in [ToolChoice::Auto, ToolChoice::Required] {
        let grammar = grammar(template, &tools(), &choice, true);
        assert!(grammar.accepts(&format!("{thought}{thought}{call}")));
        assert!(!grammar.accepts(thought));
        let answer = format!("{thought}<|channel|>final<|message|>Yes.");
        assert_eq!(grammar.accepts(&answer), choice == ToolChoice::Auto);
    }
}

#[test]
fn structured_answers_come_after_reasoning() {
    let permits = |template: &str, reasoning_open: bool, answer: &str| {
        let schema = json!({"type": "boolean"});
        let grammar = Format::of(template).structured(&schema, &Limits::default(), reasoning_open);
        grammar.unwrap().accepts(answer)
    };
    assert!(permits("", false, "true") && !permits("", false, "<think>Hm.</think>true"));
    assert!(permits("", true, "Hm.</think>\n\ntrue") && !permits("", true, "true"));
    assert!(
        permits("</think>", false, "true") && permits("</think>", false, "<think>Hm.</think>true")
    );
    let harmony = "<|channel|><|message|>";
    let thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant";
    assert!(permits(
        harmony,
        false,
        &format!("{thought}<|channel|>final<|message|>true")
    ));
    assert!(permits(
        harmony,
        false,
        "<|channel|>final <|constrain|>json<|message|>true"
    ));
    assert!(!permits(harmony, false, "true"));
}

#[test]
fn a_mark_in_thoughts_opens_no_call() {
    for sample in SAMPLES {
        let grammar = grammar(sample.template, &tools(), &ToolChoice::Auto, true);
        let answer = match sample.template {
            "[TOOL_CALLS]name[ARGS]" => "[THINK]Is [TOOL_CALLS] right?[/THINK]Yes.",
            "<|tool_call>call:" => "<|channel>thought\nIs <|tool_call> right?<channel|>Yes.",
            "<|channel|> <|message|>" => continue,
            _ => "<think>Is <tool_call> {\"tool_call\": {?</think>Yes.",
        };
        assert!(grammar.accepts(answer), "{answer}");
    }
}
