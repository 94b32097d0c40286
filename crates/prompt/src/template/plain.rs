//! Conversations with calls for templates that take none, or not so: as text, or one call at a time.

use serde_json::json;

use crate::{Message, ToolCall};

/// Calls as the assistant's text, results as what the user says next.
///
/// Turns stay in their order: results and what is said after them are one turn, for many of these
/// templates demand that turns alternate.
pub(super) fn as_text(messages: Vec<Message>) -> Vec<Message> {
    let mut out = Vec::<Message>::with_capacity(messages.len());
    let mut names = Vec::<(String, String)>::new();
    let mut after_result = false;
    for message in messages {
        let is_tool = message.is_tool();
        let calls = message.calls.iter();
        names.extend(calls.map(|call| (call.id.clone(), call.name.clone())));
        let message = match is_tool {
            true => result(&message, &names),
            false => with_calls(message),
        };
        match out.last_mut() {
            Some(last) if after_result && message.is_user() => {
                last.content.push_str("\n\n");
                last.content.push_str(&message.content);
            }
            _ => out.push(message),
        }
        after_result = is_tool;
    }
    out
}

fn result(message: &Message, names: &[(String, String)]) -> Message {
    let id = message.answers.as_deref().unwrap_or_default();
    let known = names.iter().rfind(|(known, _)| known == id);
    let name = known.map_or("the tool", |(_, name)| name.as_str());
    Message::new("user", format!("Result of {name}: {}", message.content))
}

fn with_calls(message: Message) -> Message {
    let calls: Vec<String> = message.calls.iter().map(written).collect();
    let written = match calls.as_slice() {
        [] => return message,
        [call] => format!(r#"{{"tool_call": {call}}}"#),
        calls => format!(r#"{{"tool_calls": [{}]}}"#, calls.join(", ")),
    };
    match message.content.is_empty() {
        true => Message::new(message.role, written),
        false => Message::new(message.role, format!("{}\n{written}", message.content)),
    }
}

/// A call as the generic format of `gaia-tools` has it.
fn written(call: &ToolCall) -> String {
    let name = json!(call.name);
    let arguments = &call.arguments;
    format!(r#"{{"name": {name}, "arguments": {arguments}}}"#)
}

/// Each call in a message of its own, with its result after it.
pub(super) fn one_by_one(messages: Vec<Message>) -> Vec<Message> {
    let mut out = Vec::with_capacity(messages.len());
    let mut rest = messages.into_iter().peekable();
    while let Some(mut message) = rest.next() {
        let mut results = Vec::new();
        if message.calls.len() > 1 {
            results = std::iter::from_fn(|| rest.next_if(Message::is_tool)).collect();
        }
        for call in message.calls.split_off(message.calls.len().min(1)) {
            let next = Message {
                calls: vec![call],
                ..Message::new(message.role.clone(), "")
            };
            push_answered(
                &mut out,
                std::mem::replace(&mut message, next),
                &mut results,
            );
        }
        push_answered(&mut out, message, &mut results);
        out.append(&mut results);
    }
    out
}

fn push_answered(out: &mut Vec<Message>, message: Message, results: &mut Vec<Message>) {
    let id = message.calls.first().map(|call| call.id.clone());
    out.push(message);
    let answer = results.iter().position(|result| result.answers == id);
    out.extend(answer.map(|answer| results.remove(answer)));
}

/// For templates without a system role: its text goes in front of the first user message.
pub(super) fn merge_system(messages: Vec<Message>) -> Vec<Message> {
    let (system, mut rest): (Vec<Message>, Vec<Message>) =
        messages.into_iter().partition(Message::is_system);
    let texts: Vec<&str> = system
        .iter()
        .map(|message| message.content.as_str())
        .collect();
    let text = texts.join("\n\n");
    match rest.iter_mut().find(|message| message.is_user()) {
        _ if text.is_empty() => {}
        Some(user) => user.content = format!("{text}\n\n{}", user.content),
        None => rest.insert(0, Message::new("user", text)),
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall {
            id: id.to_owned(),
            name: format!("tool_{id}"),
            arguments: json!({"x": id}),
        }
    }

    fn calling(content: &str, ids: &[&str]) -> Message {
        Message {
            calls: ids.iter().map(|id| call(id)).collect(),
            ..Message::new("assistant", content)
        }
    }

    fn result_of(id: &str) -> Message {
        Message {
            answers: Some(id.to_owned()),
            ..Message::new("tool", format!("result {id}"))
        }
    }

    #[track_caller]
    fn check(messages: Vec<Message>, expected: &[(&str, &str)]) {
        let seen: Vec<(&str, &str)> = messages
            .iter()
            .map(|message| (message.role.as_ref(), message.content.as_str()))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn calls_and_results_are_turns_that_alternate() {
        let messages = vec![
            Message::new("user", "q"),
            calling("Let me see.", &["a", "b"]),
            result_of("a"),
            result_of("b"),
            Message::new("user", "and?"),
            Message::new("user", "well?"),
        ];
        check(
            as_text(messages),
            &[
                ("user", "q"),
                (
                    "assistant",
                    "Let me see.\n{\"tool_calls\": [{\"name\": \"tool_a\", \"arguments\": {\"x\":\"a\"}}, {\"name\": \"tool_b\", \"arguments\": {\"x\":\"b\"}}]}",
                ),
                (
                    "user",
                    "Result of tool_a: result a\n\nResult of tool_b: result b\n\nand?",
                ),
                ("user", "well?"),
            ],
        );
    }

    #[test]
    fn calls_one_by_one_have_their_results_after_them() {
        let messages = vec![
            calling("Well.", &["a", "b", "c"]),
            result_of("c"),
            result_of("a"),
            Message::new("user", "q"),
        ];
        let messages = one_by_one(messages);
        let ids: Vec<_> = messages
            .iter()
            .map(|message| message.calls.first().map(|call| call.id.as_str()))
            .collect();
        assert_eq!(ids, [Some("a"), None, Some("b"), Some("c"), None, None]);
        check(
            messages,
            &[
                ("assistant", "Well."),
                ("tool", "result a"),
                ("assistant", ""),
                ("assistant", ""),
                ("tool", "result c"),
                ("user", "q"),
            ],
        );
    }
}
