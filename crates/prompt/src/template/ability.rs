//! What a template can do, found out by trying.
//!
//! A template is given a conversation whose words are looked for in what it writes. What does not come
//! through is put another way: as text that every template takes.

use serde_json::json;

use super::ChatTemplate;
use crate::{Message, Tool, ToolCall};

/// What a template takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// A system message; if not, its text goes into the first user message.
    pub(super) system: bool,
    /// The variable `tools`.
    pub(super) tools: bool,
    /// Calls and their results as messages, in this shape; `None`: they go in as text.
    pub(super) calls: Option<CallShape>,
}

/// How calls have to be put for a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CallShape {
    /// A message that only calls has the content `null`, not an empty one.
    pub(super) null_content: bool,
    /// Ids have nine characters.
    pub(super) short_ids: bool,
    /// A message holds one call only.
    pub(super) one_by_one: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            system: true,
            tools: true,
            calls: Some(CallShape::default()),
        }
    }
}

impl Abilities {
    pub(super) fn of(template: &ChatTemplate) -> Self {
        let calls = calls(template);
        Self {
            system: system(template),
            tools: calls.is_some() && tools(template),
            calls,
        }
    }
}

fn system(template: &ChatTemplate) -> bool {
    const RULE: &str = "a rule to follow";
    let messages = [Message::new("system", RULE), question()];
    let rendered = template.try_with(&Abilities::default(), &messages, &[]);
    rendered.is_some_and(|text| text.contains(RULE))
}

fn tools(template: &ChatTemplate) -> bool {
    const PURPOSE: &str = "what the probe is for";
    let tool = Tool {
        name: "probe_tool".to_owned(),
        description: Some(PURPOSE.to_owned()),
        parameters: json!({"type": "object", "properties": {"value": {"type": "string", "description": "v"}}}),
    };
    let rendered = template.try_with(&Abilities::default(), &[question()], &[tool]);
    rendered.is_some_and(|text| text.contains("probe_tool") && text.contains(PURPOSE))
}

fn calls(template: &ChatTemplate) -> Option<CallShape> {
    let shapes = [(true, false), (false, false), (true, true), (false, true)];
    let shapes = shapes.map(|(null_content, short_ids)| CallShape {
        null_content,
        short_ids,
        one_by_one: true,
    });
    let shape = shapes
        .into_iter()
        .find(|shape| takes(template, *shape, 1))?;
    let several = CallShape {
        one_by_one: false,
        ..shape
    };
    match takes(template, several, 2) {
        true => Some(several),
        false => Some(shape),
    }
}

fn takes(template: &ChatTemplate, shape: CallShape, count: usize) -> bool {
    let abilities = Abilities {
        calls: Some(shape),
        ..Abilities::default()
    };
    let mut messages = vec![question(), Message::new("assistant", "")];
    for number in 0..count {
        messages[1].calls.push(ToolCall {
            id: format!("call_probe_{number}"),
            name: "probe_tool".to_owned(),
            arguments: json!({"value": format!("asked {number}")}),
        });
        messages.push(Message {
            answers: Some(format!("call_probe_{number}")),
            ..Message::new("tool", format!("answered {number}"))
        });
    }
    let Some(text) = template.try_with(&abilities, &messages, &[]) else {
        return false;
    };
    // Where nothing was said, some write that there is none.
    let spelt_out = shape.null_content && text.to_lowercase().contains("none");
    let all = (0..count).all(|number| {
        text.contains(&format!("asked {number}")) && text.contains(&format!("answered {number}"))
    });
    all && !spelt_out
}

fn question() -> Message {
    Message::new("user", "a question")
}
