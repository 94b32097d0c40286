//! Messages and tools as templates are given them: OpenAI's shapes, with arguments as objects.

use serde_json::{Map, Value, json};

use super::ability::CallShape;
use crate::{Message, Tool, ToolCall};

/// Digits of an id for templates that insist on nine characters, as Mistral's do.
const SHORT_ID_LEN: usize = 9;

pub(super) fn tools(tools: &[Tool]) -> Value {
    tools.iter().map(tool).collect()
}

// Some templates add texts without looking whether they are there: a description is always.
fn tool(tool: &Tool) -> Value {
    let description = tool.description.as_deref().unwrap_or_default();
    json!({"type": "function", "function": {
        "name": tool.name, "description": description, "parameters": tool.parameters,
    }})
}

pub(super) fn messages(messages: &[Message], shape: CallShape) -> Value {
    let mut ids = Ids {
        short: shape.short_ids,
        known: Vec::new(),
    };
    let mut views = Vec::with_capacity(messages.len());
    for message in messages {
        views.push(view(message, shape, &mut ids));
    }
    Value::Array(views)
}

fn view(message: &Message, shape: CallShape, ids: &mut Ids) -> Value {
    let silent = message.content.is_empty() && !message.calls.is_empty();
    let content = match silent && shape.null_content {
        true => Value::Null,
        false => json!(message.content),
    };
    let mut view = Map::new();
    let mut put = |key: &str, value: Value| view.insert(key.to_owned(), value);
    put("role", json!(message.role));
    put("content", content);
    if let Some(reasoning) = &message.reasoning {
        put("reasoning_content", json!(reasoning));
        // The one family that says `thinking` takes it beside calls only, and not beside text.
        if silent {
            put("thinking", json!(reasoning));
        }
    }
    if !message.calls.is_empty() {
        let calls = message.calls.iter().map(|call| ids.call(call));
        put("tool_calls", calls.collect());
    }
    if let Some(id) = &message.answers {
        put("tool_call_id", json!(ids.shown(id)));
        if let Some(name) = ids.name(id) {
            put("name", json!(name));
        }
    }
    Value::Object(view)
}

/// The ids of a conversation's calls.
struct Ids {
    short: bool,
    /// Id and tool of each call, in their order.
    known: Vec<(String, String)>,
}

impl Ids {
    fn call(&mut self, call: &ToolCall) -> Value {
        self.known.push((call.id.clone(), call.name.clone()));
        json!({"id": self.shown(&call.id), "type": "function", "function": {
            "name": call.name, "arguments": call.arguments,
        }})
    }

    /// The last call with this id: clients have been seen to count anew in each message.
    fn position(&self, id: &str) -> Option<usize> {
        self.known.iter().rposition(|(known, _)| known == id)
    }

    fn name(&self, id: &str) -> Option<&str> {
        let position = self.position(id)?;
        self.known.get(position).map(|(_, name)| name.as_str())
    }

    // Counted, so that a conversation is the same text again when it goes on.
    fn shown(&self, id: &str) -> String {
        match self.short {
            true => format!("{:0SHORT_ID_LEN$}", self.position(id).unwrap_or_default()),
            false => id.to_owned(),
        }
    }
}
