//! Items as the messages of a chat: what the model's template is given.
//!
//! Thoughts, text and calls of the model that follow each other are one message of the assistant, as the template
//! made it.

use crate::Limits;
use crate::chat::{Message, Role, ToolCall};
use crate::image::ImageFile;
use crate::responses::item::{Content, Item, MessageItem, Speaker};

/// The conversation that `items` are, after `instructions`.
pub(super) fn messages<'a>(
    instructions: Option<&str>,
    items: impl IntoIterator<Item = &'a Item>,
) -> Vec<Message> {
    let mut conversation = Conversation::default();
    if let Some(text) = instructions {
        conversation
            .messages
            .push(Message::new(Role::System, text.to_owned()));
    }
    for item in items {
        conversation.add(item);
    }
    conversation.ended()
}

#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    /// What the assistant says, as long as nobody else spoke.
    saying: Option<Message>,
}

impl Conversation {
    fn add(&mut self, item: &Item) {
        match item {
            Item::Message(item) if item.role == Speaker::Assistant => {
                let text = text(&item.content);
                let has_spoken = |message: &Message| {
                    !message.content.is_empty() || !message.tool_calls.is_empty()
                };
                if self.saying.as_ref().is_some_and(has_spoken) {
                    self.end_saying();
                }
                self.saying().content = text;
            }
            Item::Message(item) => self.say(message(item)),
            Item::Reasoning(item) => {
                self.end_saying();
                let thoughts = text(&item.content);
                self.saying().reasoning_content = Some(thoughts).filter(|text| !text.is_empty());
            }
            Item::FunctionCall(item) => self.saying().tool_calls.push(ToolCall {
                id: item.call_id.clone(),
                name: item.name.clone(),
                arguments: item.arguments.clone(),
            }),
            Item::FunctionCallOutput(item) => self.say(Message {
                tool_call_id: Some(item.call_id.clone()),
                ..Message::new(Role::Tool, item.output.clone())
            }),
            // What came of it is in the answer that followed.
            Item::McpCall(_) => {}
        }
    }

    fn saying(&mut self) -> &mut Message {
        self.saying
            .get_or_insert_with(|| Message::new(Role::Assistant, String::new()))
    }

    /// Thoughts that led to nothing are not put back.
    fn end_saying(&mut self) {
        let said = self.saying.take();
        self.messages
            .extend(said.filter(|said| !said.content.is_empty() || !said.tool_calls.is_empty()));
    }

    fn say(&mut self, message: Message) {
        self.end_saying();
        match (message.role, self.messages.last_mut()) {
            // Most templates know one system message only.
            (Role::System, Some(before)) if before.role == Role::System => {
                before.content.push_str("\n\n");
                before.content.push_str(&message.content);
            }
            _ => self.messages.push(message),
        }
    }

    fn ended(mut self) -> Vec<Message> {
        self.end_saying();
        self.messages
    }
}

fn message(item: &MessageItem) -> Message {
    let role = match item.role {
        Speaker::User => Role::User,
        Speaker::Assistant => Role::Assistant,
        Speaker::System | Speaker::Developer => Role::System,
    };
    let mut images = Vec::new();
    let texts = item.content.iter().map(|part| match part {
        Content::InputImage { image_url, detail } => {
            let image = ImageFile::of_url(image_url, *detail, "image_url", &Limits::default());
            let Ok(image) = image else {
                // It was one when it was taken.
                return String::new();
            };
            let name = image.name();
            images.push(image);
            name
        }
        part => part.text().to_owned(),
    });
    let content = texts.collect::<Vec<_>>().join("\n");
    Message {
        images,
        ..Message::new(role, content)
    }
}

fn text(content: &[Content]) -> String {
    let texts: Vec<&str> = content.iter().map(Content::text).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fields::Fields;

    #[track_caller]
    fn check(instructions: Option<&str>, input: Value, expected: Value) {
        let map = serde_json::Map::from_iter([("input".to_owned(), input)]);
        let items = Item::parse_input(&Fields::root(&map), &Limits::default()).unwrap();
        let got = serde_json::to_value(messages(instructions, &items)).unwrap();
        assert_eq!(got, expected);
    }

    #[test]
    fn what_the_assistant_did_in_one_go_is_one_message() {
        let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
        check(
            Some("Be brief."),
            json!([
                {"role": "user", "content": "Hi"},
                {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""},
                {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "1"},
                {"type": "function_call_output", "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
                {"role": "assistant", "content": "Done."},
                {"role": "assistant", "content": "Really."}
            ]),
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Wait.", "reasoning_content": "hm", "tool_calls": [call("a"), call("b")]},
                {"role": "tool", "content": "1", "tool_call_id": "a"},
                {"role": "tool", "content": "2", "tool_call_id": "b"},
                {"role": "assistant", "content": "Done."},
                {"role": "assistant", "content": "Really."}
            ]),
        );
    }

    #[test]
    fn rules_that_follow_each_other_are_one_message() {
        check(
            Some("One."),
            json!([{"role": "developer", "content": "Two."}, {"role": "user", "content": "Hi"}, {"role": "system", "content": "Three."}]),
            json!([
                {"role": "system", "content": "One.\n\nTwo."},
                {"role": "user", "content": "Hi"},
                {"role": "system", "content": "Three."}
            ]),
        );
    }

    #[test]
    fn thoughts_alone_are_not_put_back() {
        check(
            None,
            json!([{"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}, {"role": "user", "content": "Hi"}]),
            json!([{"role": "user", "content": "Hi"}]),
        );
    }
}
