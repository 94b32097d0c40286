//! What a tool answered, as text for the model.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::CallError;

/// A tool's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its text. What is no text is named, not shown.
    pub text: String,
    /// Whether the tool says that it failed.
    pub failed: bool,
}

impl Answer {
    /// Reads what a server gave, up to `bytes_max`.
    pub(crate) fn of(result: &CallToolResult, bytes_max: usize) -> Result<Self, CallError> {
        let mut text = String::new();
        for (number, block) in result.content.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            text.push_str(&shown(block));
            if text.len() > bytes_max {
                return Err(CallError::TooLong { max: bytes_max });
            }
        }
        // Servers repeat it as text for those who read no more than that.
        if text.is_empty()
            && let Some(structured) = &result.structured_content
        {
            text = structured.to_string();
        }
        match text.len() > bytes_max {
            true => Err(CallError::TooLong { max: bytes_max }),
            false => Ok(Self {
                text,
                failed: result.is_error == Some(true),
            }),
        }
    }
}

fn shown(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => format!("[an image, {}]", image.mime_type),
        ContentBlock::Audio(audio) => format!("[a recording, {}]", audio.mime_type),
        ContentBlock::ResourceLink(link) => format!("{}: {}", link.name, link.uri),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "[a file]".to_owned(),
        },
        _ => "[what is no text]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(result: Value, expected: Result<(&str, bool), &str>) {
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        let answer = Answer::of(&result, 20).map_err(|error| error.to_string());
        let expected = expected.map(|(text, failed)| Answer {
            text: text.to_owned(),
            failed,
        });
        assert_eq!(answer, expected.map_err(str::to_owned));
    }

    #[test]
    fn answers_are_text() {
        let text = |text: &str| json!({"type": "text", "text": text});
        check(
            json!({"content": [text("a"), text("b")]}),
            Ok(("a\nb", false)),
        );
        check(
            json!({"content": [text("no")], "isError": true}),
            Ok(("no", true)),
        );
        check(
            json!({"content": [], "structuredContent": {"a": 1}}),
            Ok(("{\"a\":1}", false)),
        );
        check(
            json!({"content": [text("a")], "structuredContent": {"a": 1}}),
            Ok(("a", false)),
        );
        check(
            json!({"content": [{"type": "image", "data": "AAAA", "mimeType": "a/b"}]}),
            Ok(("[an image, a/b]", false)),
        );
        check(
            json!({"content": [{"type": "resource", "resource": {"uri": "file:///x", "text": "t"}}]}),
            Ok(("t", false)),
        );
    }

    #[test]
    fn the_longest_answer_is_reached() {
        let text = |len: usize| json!({"content": [{"type": "text", "text": "x".repeat(len)}]});
        check(text(20), Ok((&"x".repeat(20), false)));
        check(text(21), Err("the answer is longer than 20 bytes"));
        let structured = json!({"content": [], "structuredContent": "x".repeat(19)});
        check(structured, Err("the answer is longer than 20 bytes"));
    }
}
