//! What its owner says of a file in a vector store: a few names with a text, a number or a flag each.
//!
//! Attributes are data: they narrow what a search looks at, and are never part of what the store is asked.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::ApiError;
use crate::fields::{self, Fields};

/// Attributes of a file.
pub const ATTRIBUTES_MAX: usize = 16;
/// Characters of an attribute's name.
pub const ATTRIBUTE_KEY_CHARS_MAX: usize = 64;
/// Characters of an attribute that is a text.
pub const ATTRIBUTE_TEXT_CHARS_MAX: usize = 512;
/// Bytes of the attributes of all files of a vector store, as JSON: they are read at each search.
pub const ATTRIBUTES_BYTES_MAX: usize = 2 << 20;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

/// All of a file's, by their names.
pub type Attributes = BTreeMap<String, Attribute>;

impl Attribute {
    /// A flag, a number, or a text that is not too long.
    pub(super) fn read(value: &Value, param: &str) -> Result<Self, ApiError> {
        match value {
            Value::Bool(flag) => Ok(Self::Flag(*flag)),
            Value::Number(number) => Ok(Self::Number(number.clone())),
            Value::String(text) => {
                check_chars(param, text, ATTRIBUTE_TEXT_CHARS_MAX)?;
                Ok(Self::Text(text.clone()))
            }
            _ => {
                let expected = "a string, a number or a boolean";
                Err(ApiError::invalid_type(param, expected))
            }
        }
    }

    /// How they stand to each other; `None` where they cannot be compared.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Flag(one), Self::Flag(other)) => Some(one.cmp(other)),
            (Self::Number(one), Self::Number(other)) => compare_numbers(one, other),
            (Self::Text(one), Self::Text(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
}

/// Whole numbers exactly, so that two long ones that differ in the last digit are two.
fn compare_numbers(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

/// The attributes in a request; `None` where it says nothing of them.
pub(super) fn read(from: &Fields<'_>) -> Result<Option<Attributes>, ApiError> {
    let Some(map) = from.object("attributes")? else {
        return Ok(None);
    };
    let at = from.param("attributes");
    fields::too_long(&at, map.len(), ATTRIBUTES_MAX)?;
    let pairs = map.entries().map(|(key, value)| {
        check_key(&at, key)?;
        Ok((key.clone(), Attribute::read(value, &map.param(key))?))
    });
    pairs.collect::<Result<Attributes, _>>().map(Some)
}

/// Refuses a name that no attribute can have.
pub(super) fn check_key(param: &str, key: &str) -> Result<(), ApiError> {
    check_chars(param, key, ATTRIBUTE_KEY_CHARS_MAX)
}

fn check_chars(param: &str, text: &str, max: usize) -> Result<(), ApiError> {
    if text.chars().count() > max {
        let message = format!("`{param}` has a text of more than {max} characters.");
        return Err(ApiError::invalid_value(param, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(attributes: Value, expected: Result<usize, &str>) {
        let body = json!({"attributes": attributes});
        let map = body.as_object().unwrap();
        let got = read(&Fields::root(map));
        let got = got.map(|attributes| attributes.map_or(0, |attributes| attributes.len()));
        let got = got.map_err(|error| error.param.unwrap_or_default());
        assert_eq!(got, expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn attributes_are_few_and_short() {
        check(Value::Null, Ok(0));
        check(json!({}), Ok(0));
        check(
            json!({"a": "b", "year": 1874, "height": 31.5, "lit": true}),
            Ok(4),
        );
        check(json!([]), Err("attributes"));
        check(json!({"a": null}), Err("attributes.a"));
        check(json!({"a": {}}), Err("attributes.a"));
        let many =
            |count: usize| -> Value { (0..count).map(|at| (at.to_string(), json!(at))).collect() };
        check(many(ATTRIBUTES_MAX), Ok(ATTRIBUTES_MAX));
        check(many(ATTRIBUTES_MAX + 1), Err("attributes"));
        let text = |chars: usize| "ü".repeat(chars);
        check(json!({text(ATTRIBUTE_KEY_CHARS_MAX): 1}), Ok(1));
        check(
            json!({text(ATTRIBUTE_KEY_CHARS_MAX + 1): 1}),
            Err("attributes"),
        );
        check(json!({"a": text(ATTRIBUTE_TEXT_CHARS_MAX)}), Ok(1));
        check(
            json!({"a": text(ATTRIBUTE_TEXT_CHARS_MAX + 1)}),
            Err("attributes.a"),
        );
    }

    #[test]
    fn only_what_is_alike_is_compared() {
        let check = |one: Value, other: Value, expected: Option<Ordering>| {
            let read = |value: &Value| Attribute::read(value, "").unwrap();
            assert_eq!(read(&one).compare(&read(&other)), expected, "{one} {other}");
        };
        check(json!(7), json!(7.0), Some(Ordering::Equal));
        check(json!(-1), json!(u64::MAX), Some(Ordering::Less));
        check(
            json!(u64::MAX),
            json!(u64::MAX - 1),
            Some(Ordering::Greater),
        );
        check(json!(0.5), json!(1), Some(Ordering::Less));
        check(
            json!("2026-01-09"),
            json!("2026-01-10"),
            Some(Ordering::Less),
        );
        check(json!(true), json!(true), Some(Ordering::Equal));
        check(json!("7"), json!(7), None);
        check(json!(1), json!(true), None);
    }
}
