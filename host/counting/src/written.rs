//! What a model wrote, put together again from what the answer shows: the marks around thoughts and calls are gone
//! there.
//!
//! The forms are those that `gaia-tools` holds models to. White space that models write around them, and that nobody
//! sees, is what is usual.

use gaia_metering::{Call, Written};
use gaia_tools::Family;
use serde_json::Value;

/// A text with marks in it that are tokens of their own.
pub(crate) struct Marked(pub String);

/// All of `one`, by a model of this family; `thinks`: the prompt ended within a thought.
pub(crate) fn written(family: Family, thinks: bool, one: &Written) -> Marked {
    let mut text = String::new();
    if !one.reasoning.is_empty() {
        thought(&mut text, family, thinks, &one.reasoning);
    }
    if family == Family::GptOss && !one.text.is_empty() {
        text.push_str("<|channel|>final<|message|>");
    }
    text.push_str(&one.text);
    if !one.calls.is_empty() {
        if !one.text.is_empty() && family == Family::Hermes {
            text.push('\n');
        }
        calls(&mut text, family, &one.calls);
    }
    Marked(text)
}

fn thought(text: &mut String, family: Family, thinks: bool, thought: &str) {
    let [open, close] = match family {
        Family::GptOss => [
            "<|channel|>analysis<|message|>",
            "<|end|><|start|>assistant",
        ],
        Family::MistralArgs => ["[THINK]", "[/THINK]"],
        Family::Gemma4 => ["<|channel>thought\n", "<channel|>"],
        _ => ["<think>\n", "\n</think>\n\n"],
    };
    if !thinks {
        text.push_str(open);
    }
    text.push_str(thought);
    text.push_str(close);
}

fn calls(text: &mut String, family: Family, calls: &[Call]) {
    let (open, between, close) = match family {
        Family::Mistral => ("[TOOL_CALLS][", ", ", "]"),
        Family::Phi4 => ("functools[", ", ", "]"),
        Family::Hermes | Family::QwenXml => ("", "\n", ""),
        Family::DeepSeekR1 | Family::DeepSeekV31 => {
            ("<｜tool▁calls▁begin｜>", "\n", "<｜tool▁calls▁end｜>")
        }
        Family::DeepSeekV32 => (
            "<｜DSML｜function_calls>\n",
            "\n",
            "\n</｜DSML｜function_calls>",
        ),
        Family::DeepSeekV4 => ("<｜DSML｜tool_calls>\n", "\n", "\n</｜DSML｜tool_calls>"),
        Family::Generic if calls.len() > 1 => ("{\"tool_calls\": [", ", ", "]}"),
        Family::Generic => ("{\"tool_call\": ", "", "}"),
        Family::Llama | Family::MistralArgs | Family::Gemma4 | Family::GptOss => ("", "", ""),
    };
    let calls: Vec<String> = calls.iter().map(|one| call(family, one)).collect();
    text.push_str(open);
    text.push_str(&calls.join(between));
    text.push_str(close);
}

fn call(family: Family, one: &Call) -> String {
    let Call { name, arguments } = one;
    let json = |key: &str| format!("{{\"name\": \"{name}\", \"{key}\": {arguments}}}");
    match family {
        Family::Hermes => format!("<tool_call>\n{}\n</tool_call>", json("arguments")),
        Family::Llama => json("parameters"),
        Family::Mistral | Family::Phi4 | Family::Generic => json("arguments"),
        Family::MistralArgs => format!("[TOOL_CALLS]{name}[ARGS]{arguments}"),
        Family::DeepSeekR1 => {
            format!(
                "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"
            )
        }
        Family::DeepSeekV31 => {
            format!("<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>")
        }
        Family::QwenXml => {
            let lines = tags(arguments, |key, value, _| {
                format!("<parameter={key}>\n{value}\n</parameter>\n")
            });
            format!("<tool_call>\n<function={name}>\n{lines}</function>\n</tool_call>")
        }
        Family::DeepSeekV32 | Family::DeepSeekV4 => {
            let lines = tags(arguments, |key, value, is_text| {
                format!(
                    "<｜DSML｜parameter name=\"{key}\" string=\"{is_text}\">{value}</｜DSML｜parameter>\n"
                )
            });
            format!("<｜DSML｜invoke name=\"{name}\">\n{lines}</｜DSML｜invoke>")
        }
        Family::Gemma4 => {
            let bare = arguments.replace("\\\"", "\u{1}").replace('"', "<|\"|>");
            format!(
                "<|tool_call>call:{name}{}<tool_call|>",
                bare.replace('\u{1}', "\"")
            )
        }
        Family::GptOss => {
            format!(
                "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
            )
        }
    }
}

/// Arguments a line each; what is no object stays what it is.
fn tags(arguments: &str, line: impl Fn(&str, &str, bool) -> String) -> String {
    let Ok(Value::Object(members)) = serde_json::from_str(arguments) else {
        return arguments.to_owned();
    };
    let lines = members.iter().map(|(key, value)| match value {
        Value::String(text) => line(key, text, true),
        value => line(key, &value.to_string(), false),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use gaia_tools::{Format, Parser, Part, Tool};
    use serde_json::json;

    use super::*;

    /// What shows each format.
    const TEMPLATES: [(&str, Family); 13] = [
        ("", Family::Generic),
        ("<tool_call>", Family::Hermes),
        ("<tool_call><function=<parameter=", Family::QwenXml),
        ("<|start_header_id|>ipython\"parameters\"", Family::Llama),
        ("[TOOL_CALLS]", Family::Mistral),
        ("[TOOL_CALLS][ARGS]", Family::MistralArgs),
        ("<｜tool▁calls▁begin｜>```json", Family::DeepSeekR1),
        ("<｜tool▁calls▁begin｜>", Family::DeepSeekV31),
        ("DSML function_calls", Family::DeepSeekV32),
        ("DSML", Family::DeepSeekV4),
        ("<|tool_call>", Family::Gemma4),
        ("<|channel|><|message|>", Family::GptOss),
        ("<|tool|>", Family::Phi4),
    ];

    fn call(name: &str, arguments: &str) -> Call {
        Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        }
    }

    fn tool(name: &str) -> Tool {
        let properties = json!({"a": {"type": "string"}, "n": {"type": "integer"}});
        Tool {
            name: name.to_owned(),
            description: None,
            parameters: Some(json!({"type": "object", "properties": properties})),
            strict: false,
        }
    }

    /// What a node would read of it.
    fn read(template: &str, thinks: bool, text: &str) -> Written {
        let tools = [tool("f"), tool("g")];
        let mut parser = Parser::new(Format::of(template), &tools, thinks);
        let mut read = Written::default();
        let parts = parser.push(text);
        for part in parts.into_iter().chain(parser.finish()) {
            match part {
                Part::Text(text) => read.text.push_str(&text),
                Part::Reasoning(text) => read.reasoning.push_str(&text),
                Part::CallBegins { name, .. } => read.calls.push(Call {
                    name,
                    ..Call::default()
                }),
                Part::Arguments { piece, .. } => {
                    read.calls.last_mut().unwrap().arguments.push_str(&piece);
                }
                Part::CallEnds { .. } => {}
            }
        }
        for call in &mut read.calls {
            let value: Value = serde_json::from_str(&call.arguments).unwrap();
            call.arguments = value.to_string();
        }
        read
    }

    #[test]
    fn what_is_put_together_is_read_as_what_it_was() {
        let one = vec![call("f", r#"{"a":"x y","n":3}"#)];
        let two = vec![call("f", r#"{"a":"x"}"#), call("g", r#"{"n":-1}"#)];
        for (template, family) in TEMPLATES {
            assert_eq!(Format::of(template).family(), family);
            let single = matches!(family, Family::Llama | Family::GptOss);
            for calls in [one.clone(), two.clone()] {
                if single && calls.len() > 1 {
                    continue;
                }
                let expected = Written {
                    calls,
                    ..Written::default()
                };
                let Marked(text) = written(family, false, &expected);
                assert_eq!(read(template, false, &text), expected, "{family:?}: {text}");
            }
        }
    }

    #[test]
    fn thoughts_are_put_before_what_was_said() {
        let expected = Written {
            text: "Yes.".to_owned(),
            reasoning: "Hm, hm.".to_owned(),
            ..Written::default()
        };
        for (template, family) in TEMPLATES {
            for thinks in [false, true] {
                if thinks && family == Family::GptOss {
                    continue;
                }
                let Marked(text) = written(family, thinks, &expected);
                assert_eq!(
                    read(template, thinks, &text),
                    expected,
                    "{family:?}: {text}"
                );
            }
        }
    }
}
