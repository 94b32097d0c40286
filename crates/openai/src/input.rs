//! What is to be continued or embedded: texts, tokens, and both in one, as requests give them.

use serde_json::Value;

use crate::fields::{self, Fields};
use crate::{ApiError, Limits};

/// One text, however it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// As text.
    Text(String),
    /// As token ids, never empty.
    Tokens(Vec<u32>),
    /// As pieces of both, in order: llama.cpp's server takes `[1, 2, "text", 3]`.
    Mixed(Vec<Part>),
}

/// A piece of a mixed input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As text.
    Text(String),
    /// As token ids.
    Tokens(Vec<u32>),
}

/// All inputs of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// Never empty.
    pub(crate) list: Vec<Input>,
    /// Whether there was one, not in a list.
    pub(crate) single: bool,
}

const EXPECTED: &str = "a text, a token list, a mix of both, or a list of these";

impl Inputs {
    /// Reads the field `key`.
    pub(crate) fn parse(root: &Fields<'_>, key: &str, limits: &Limits) -> Result<Self, ApiError> {
        let value = root.require(key)?;
        let inputs = match value {
            Value::Array(list) if !list.iter().any(Value::is_number) => Self {
                list: several(list, key, limits)?,
                single: false,
            },
            one => Self {
                list: vec![input(one, key, limits)?],
                single: true,
            },
        };
        let bytes = inputs.list.iter().map(Input::text_bytes).sum();
        fields::too_large(key, bytes, limits.text_bytes_max)?;
        Ok(inputs)
    }
}

impl Input {
    /// Its first token that a vocabulary of `size` does not have.
    pub(crate) fn unknown_token(&self, size: u32) -> Option<u32> {
        match self {
            Self::Text(_) => None,
            Self::Tokens(ids) => unknown_token(ids, size),
            Self::Mixed(parts) => parts.iter().find_map(|part| match part {
                Part::Text(_) => None,
                Part::Tokens(ids) => unknown_token(ids, size),
            }),
        }
    }

    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(_) => 0,
            Self::Mixed(parts) => parts.iter().map(Part::text_bytes).sum(),
        }
    }
}

/// The first token that a vocabulary of `size` does not have.
pub(crate) fn unknown_token(ids: &[u32], size: u32) -> Option<u32> {
    ids.iter().copied().find(|id| *id >= size)
}

/// Refuses the field `param` where it has an `unknown` token.
pub(crate) fn check_known(unknown: Option<u32>, param: &str, size: u32) -> Result<(), ApiError> {
    match unknown {
        None => Ok(()),
        Some(id) => {
            let last = size.saturating_sub(1);
            let message =
                format!("`{param}`: token {id} is not in this model's vocabulary (0–{last}).");
            Err(ApiError::invalid_value(param, message))
        }
    }
}

impl Part {
    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(_) => 0,
        }
    }
}

fn several(list: &[Value], key: &str, limits: &Limits) -> Result<Vec<Input>, ApiError> {
    if list.is_empty() {
        return Err(ApiError::invalid_value(key, format!("`{key}` is empty.")));
    }
    fields::too_long(key, list.len(), limits.inputs_max)?;
    let inputs = list.iter().enumerate();
    inputs
        .map(|(index, value)| input(value, &format!("{key}[{index}]"), limits))
        .collect()
}

fn input(value: &Value, param: &str, limits: &Limits) -> Result<Input, ApiError> {
    match value {
        Value::String(text) => Ok(Input::Text(text.clone())),
        Value::Array(list) if list.iter().any(Value::is_string) => mixed(list, param, limits),
        Value::Array(list) if list.is_empty() => {
            let message = format!("`{param}` is empty.");
            Err(ApiError::invalid_value(param, message))
        }
        Value::Array(list) => {
            let ids = fields::token_ids(list, param, limits.input_tokens_max)?;
            Ok(Input::Tokens(ids))
        }
        Value::Object(_) => object(&Fields::of(value, param.to_owned())?, limits),
        _ => Err(ApiError::invalid_type(param, EXPECTED)),
    }
}

fn mixed(list: &[Value], param: &str, limits: &Limits) -> Result<Input, ApiError> {
    fields::too_long(param, list.len(), limits.input_tokens_max)?;
    let mut parts: Vec<Part> = Vec::new();
    for value in list {
        if let Value::String(text) = value {
            parts.push(Part::Text(text.clone()));
            continue;
        }
        let ids = fields::token_ids(std::slice::from_ref(value), param, 1)?;
        match parts.last_mut() {
            Some(Part::Tokens(before)) => before.extend(ids),
            _ => parts.push(Part::Tokens(ids)),
        }
    }
    Ok(Input::Mixed(parts))
}

/// `{"prompt_string": "…"}` or `{"content": [{"type": "text", "text": "…"}, …]}`, as llama.cpp's server has it.
fn object(fields: &Fields<'_>, limits: &Limits) -> Result<Input, ApiError> {
    fields.refuse("multimodal_data", &[Value::Array(Vec::new())])?;
    if let Some(text) = fields.text("prompt_string")? {
        return Ok(Input::Text(text.to_owned()));
    }
    fields.require("content")?;
    let parts = fields.list("content", limits.parts_max)?;
    let mut text = String::new();
    for (index, part) in parts.unwrap_or_default().iter().enumerate() {
        let at = format!("{}[{index}]", fields.param("content"));
        let part = Fields::of(part, at)?;
        part.require("type")?;
        if part.text("type")? != Some("text") {
            let message = "Content of this type is not supported: only `text` is.";
            return Err(ApiError::unsupported(part.param("type"), message));
        }
        part.require("text")?;
        text.push_str(part.text("text")?.unwrap_or_default());
    }
    Ok(Input::Text(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<Inputs, ApiError> {
        let limits = Limits {
            inputs_max: 3,
            input_tokens_max: 4,
            parts_max: 2,
            text_bytes_max: 16,
            ..Limits::default()
        };
        let map = serde_json::Map::from_iter([("input".to_owned(), value)]);
        Inputs::parse(&Fields::root(&map), "input", &limits)
    }

    #[track_caller]
    fn check(value: Value, single: bool, list: Vec<Input>) {
        assert_eq!(parse(value), Ok(Inputs { list, single }));
    }

    #[track_caller]
    fn check_refused(value: Value, param: &str) {
        let shown = value.to_string();
        let error = parse(value).unwrap_err();
        assert_eq!(
            (error.status, error.param.as_deref()),
            (400, Some(param)),
            "{shown}"
        );
    }

    fn text(text: &str) -> Input {
        Input::Text(text.to_owned())
    }

    #[test]
    fn every_shape_means_one_thing() {
        check(json!("a"), true, vec![text("a")]);
        check(json!([1, 2]), true, vec![Input::Tokens(vec![1, 2])]);
        check(json!(["a", "b"]), false, vec![text("a"), text("b")]);
        let lists = json!([[1], [2, 3]]);
        let tokens = [vec![1], vec![2, 3]].map(Input::Tokens);
        check(lists, false, tokens.to_vec());
        let both = vec![text("a"), Input::Tokens(vec![1])];
        check(json!(["a", [1]]), false, both);
        check(json!({"prompt_string": "a"}), true, vec![text("a")]);
        let parts =
            json!({"content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]});
        check(parts, true, vec![text("a b")]);
        let several = json!([{"prompt_string": "a"}, "b"]);
        check(several, false, vec![text("a"), text("b")]);
    }

    #[test]
    fn texts_between_tokens_keep_their_place() {
        let mixed = Input::Mixed(vec![
            Part::Tokens(vec![1, 2]),
            Part::Text("a".to_owned()),
            Part::Tokens(vec![3]),
        ]);
        check(json!([1, 2, "a", 3]), true, vec![mixed.clone()]);
        check(json!([[1, 2, "a", 3]]), false, vec![mixed]);
    }

    #[test]
    fn ids_beyond_the_vocabulary_are_refused() {
        let check = |value: Value, size: u32, unknown: Option<u32>| {
            let inputs = parse(value).unwrap();
            let found = inputs
                .list
                .iter()
                .find_map(|input| input.unknown_token(size));
            let checked = check_known(found, "input", size);
            let shown = unknown.map(|id| {
                let last = size - 1;
                format!("`input`: token {id} is not in this model's vocabulary (0–{last}).")
            });
            assert_eq!(checked.err().map(|error| error.message), shown);
        };
        check(json!("a"), 1, None);
        check(json!([0, 9]), 10, None);
        check(json!([0, 10]), 10, Some(10));
        check(json!([[1], [100_000]]), 30_522, Some(100_000));
        check(json!([1, "a", 12]), 10, Some(12));
    }

    #[test]
    fn what_is_none_of_them_is_named() {
        check_refused(json!(null), "input");
        check_refused(json!(7), "input");
        check_refused(json!([]), "input");
        check_refused(json!([[]]), "input[0]");
        check_refused(json!(["a", true]), "input[1]");
        check_refused(json!([1, true]), "input");
        check_refused(json!([1, -2, "a"]), "input");
        check_refused(json!({}), "input.content");
        check_refused(json!({"content": "a"}), "input.content");
        check_refused(
            json!({"content": [{"type": "image_url"}]}),
            "input.content[0].type",
        );
        let picture = json!({"prompt_string": "a", "multimodal_data": ["AA=="]});
        check_refused(picture, "input.multimodal_data");
    }

    #[test]
    fn each_limit_is_reached() {
        check_refused(json!(["a", "b", "c", "d"]), "input");
        check_refused(json!([1, 2, 3, 4, 5]), "input");
        check_refused(json!([1, 2, 3, 4, "a"]), "input");
        check_refused(json!(["123456789", "123456789"]), "input");
        check_refused(json!([1, "12345678901234567"]), "input");
        let part = json!({"type": "text", "text": "a"});
        check_refused(json!({"content": [part, part, part]}), "input.content");
    }
}
