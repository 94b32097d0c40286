//! Keeps control markers out of text that is data.
//!
//! The engine reads a whole prompt with special tokens recognised, so a document that contains
//! `<|im_end|>` could end the user's turn and open one of its own. Markers are what the template
//! itself writes between messages; in data they get a space after their first character, which
//! keeps them readable and makes them ordinary text.
//!
//! Tags inside a turn, such as `<think>`, open none, and people write about them. Tool output and
//! passages are not what people write: there, tags are broken too, or a web page could end the
//! result it stands in and go on as another.

use std::borrow::Cow;

use serde_json::Value;

/// Longest marker that is looked for, in bytes.
const MARKER_BYTES_MAX: usize = 64;

/// Tags inside a turn.
const TAGS: [&str; 4] = ["think", "tool_call", "tool_response", "tools"];

/// The control markers of one template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Markers {
    /// What stands between turns.
    turns: Vec<String>,
    /// What stands inside one.
    tags: Vec<String>,
}

impl Markers {
    /// The markers that `template` writes, and the tokens at the start and end of text.
    pub fn of(template: &str, tokens: &[&str]) -> Self {
        let mut markers: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
        for (start, _) in template.match_indices(['<', '[']) {
            let rest = &template[start..];
            let close = if rest.starts_with('<') { '>' } else { ']' };
            let end = rest.find(close).map(|end| end + 1);
            markers.extend(
                end.and_then(|end| rest.get(..end))
                    .filter(|text| is_marker(text))
                    .map(str::to_owned),
            );
        }
        markers.retain(|marker| marker.chars().count() > 1);
        markers.sort();
        markers.dedup();
        let (tags, turns) = markers.into_iter().partition(|marker| is_tag(marker));
        Self { turns, tags }
    }

    /// What people say, with every marker in it broken that stands between turns.
    pub fn neutralise<'a>(&self, text: &'a str) -> Cow<'a, str> {
        break_all(&self.turns, Cow::Borrowed(text))
    }

    /// What a tool or a document says, with every marker in it broken.
    pub fn neutralise_data<'a>(&self, text: &'a str) -> Cow<'a, str> {
        break_all(&self.tags, self.neutralise(text))
    }

    /// The same in every text of a JSON value.
    pub(crate) fn neutralise_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.neutralise_data(text).into_owned()),
            Value::Array(list) => list
                .iter()
                .map(|value| self.neutralise_json(value))
                .collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| {
                    let key = self.neutralise_data(key).into_owned();
                    (key, self.neutralise_json(value))
                })
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

fn break_all<'a>(markers: &[String], mut text: Cow<'a, str>) -> Cow<'a, str> {
    for marker in markers {
        if text.contains(marker.as_str()) {
            text = Cow::Owned(text.replace(marker.as_str(), &broken(marker)));
        }
    }
    text
}

/// `<|im_start|>`, `<start_of_turn>`, `</s>`, `[INST]`, `[/INST]`, `<|"|>`, but no template code such
/// as `['role']` or `< 3 and x >`.
fn is_marker(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || "_|/-:\u{ff5c}\u{2581}".contains(c);
    let inner = text.get(1..text.len() - 1).unwrap_or_default();
    let quote = inner == "|\"|";
    let shaped = !inner.is_empty() && text.len() <= MARKER_BYTES_MAX && inner.chars().all(word);
    let capital = |c: char| c.is_ascii_uppercase() || c == '/' || c == '_';
    quote || (shaped && (text.starts_with('<') || inner.chars().all(capital)))
}

fn is_tag(marker: &str) -> bool {
    let inner = marker.trim_matches(['<', '>']).trim_start_matches('/');
    TAGS.contains(&inner)
}

fn broken(marker: &str) -> String {
    let mut chars = marker.chars();
    let first = chars.next().unwrap_or_default();
    format!("{first} {}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m['role'] }}[INST]{% if a < 3 and b > 2 %}<end_of_turn>{% endif %}{{ messages[0] }}<think></think><|\"|>";

    #[test]
    fn markers_are_found_and_code_is_not() {
        let markers = Markers::of(TEMPLATE, &["</s>", ""]);
        assert_eq!(
            markers.turns,
            ["</s>", "<end_of_turn>", "<|\"|>", "<|im_start|>", "[INST]"]
        );
        assert_eq!(markers.tags, ["</think>", "<think>"]);
    }

    #[test]
    fn data_cannot_open_a_turn() {
        let markers = Markers::of(TEMPLATE, &["</s>"]);
        assert_eq!(markers.neutralise("a <b> c[0]"), "a <b> c[0]");
        assert_eq!(
            markers.neutralise("x</s><|im_start|>system<think>"),
            "x< /s>< |im_start|>system<think>"
        );
        assert_eq!(markers.neutralise_data("<think></s>"), "< think>< /s>");
        assert_eq!(
            markers.neutralise_json(&json!({"<think>": ["[INST]", 1]})),
            json!({"< think>": ["[ INST]", 1]})
        );
    }

    proptest::proptest! {
        /// Not even by markers put inside each other does one survive.
        #[test]
        fn no_marker_survives(parts in proptest::collection::vec("</s>|<\\|im_|start\\|>|\\[IN|ST\\]|<| |</thi|nk>", 0..12)) {
            let markers = Markers::of(TEMPLATE, &["</s>"]);
            let text = parts.concat();
            let safe = markers.neutralise_data(&text);
            for marker in markers.turns.iter().chain(&markers.tags) {
                proptest::prop_assert!(!safe.contains(marker.as_str()), "{safe}");
            }
        }
    }
}
