//! Reads fields of a JSON object so that every complaint names the field by its whole path.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::{ApiError, Limits};

/// One JSON object and where it stands in the request.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    at: String,
}

/// Parses a body that has to be one JSON object.
pub(crate) fn body(bytes: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(ApiError::malformed_body("The body must be a JSON object.")),
        Err(error) => Err(ApiError::malformed_body(format!(
            "The body is not valid JSON: {error}."
        ))),
    }
}

impl<'a> Fields<'a> {
    pub(crate) fn root(map: &'a Map<String, Value>) -> Self {
        Self {
            map,
            at: String::new(),
        }
    }

    /// The object `value`, which stands at `at`.
    pub(crate) fn of(value: &'a Value, at: String) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self { map, at }),
            _ => Err(ApiError::invalid_type(at, "an object")),
        }
    }

    pub(crate) fn param(&self, key: &str) -> String {
        if self.at.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.at)
        }
    }

    /// The value of `key`; `null` counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(crate) fn require(&self, key: &str) -> Result<&'a Value, ApiError> {
        self.get(key)
            .ok_or_else(|| ApiError::missing(self.param(key)))
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.map.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::invalid_type(self.param(key), "a string")),
        }
    }

    /// A short string: an identifier, a model's name.
    pub(crate) fn name(&self, key: &str, limits: &Limits) -> Result<Option<String>, ApiError> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        if text.len() > limits.name_bytes_max {
            let message = format!(
                "`{}` is longer than {} bytes.",
                self.param(key),
                limits.name_bytes_max
            );
            return Err(ApiError::invalid_value(self.param(key), message));
        }
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn boolean(&self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(ApiError::invalid_type(self.param(key), "a boolean")),
        }
    }

    pub(crate) fn number(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value
            .as_f64()
            .ok_or_else(|| ApiError::invalid_type(self.param(key), "a number"))?;
        if !range.contains(&number) {
            return Err(self.out_of_range(key, range.start(), range.end()));
        }
        Ok(Some(number as f32))
    }

    pub(crate) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let integer = match whole(value) {
            Some(integer) => integer,
            None if value.is_u64() => {
                return Err(self.out_of_range(key, range.start(), range.end()));
            }
            None => return Err(ApiError::invalid_type(self.param(key), "an integer")),
        };
        if !range.contains(&integer) {
            return Err(self.out_of_range(key, range.start(), range.end()));
        }
        Ok(Some(integer))
    }

    pub(crate) fn count(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, ApiError> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        let integer = self.integer(key, range)?;
        Ok(integer.map(|integer| u32::try_from(integer).expect("the range was checked")))
    }

    /// A list of at most `max` values.
    pub(crate) fn list(&self, key: &str, max: usize) -> Result<Option<&'a [Value]>, ApiError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(list)) => {
                too_long(&self.param(key), list.len(), max)?;
                Ok(Some(list))
            }
            Some(_) => Err(ApiError::invalid_type(self.param(key), "an array")),
        }
    }

    pub(crate) fn object(&self, key: &str) -> Result<Option<Self>, ApiError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => Self::of(value, self.param(key)).map(Some),
        }
    }

    /// Refuses `key` unless it is absent, `null`, or one of the values that ask for nothing.
    pub(crate) fn refuse(&self, key: &str, harmless: &[Value]) -> Result<(), ApiError> {
        match self.get(key) {
            None => Ok(()),
            Some(value) if harmless.contains(value) => Ok(()),
            Some(_) => {
                let param = self.param(key);
                let message = format!("`{param}` is not supported by this node yet.");
                Err(ApiError::unsupported(param, message))
            }
        }
    }

    fn out_of_range(
        &self,
        key: &str,
        min: &impl std::fmt::Display,
        max: &impl std::fmt::Display,
    ) -> ApiError {
        let param = self.param(key);
        let message = format!("`{param}` must be between {min} and {max}.");
        ApiError::invalid_value(param, message)
    }
}

/// A JSON number that is an integer, also when written as `5.0`, as some clients do.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value.as_i64() {
        Some(integer) => Some(integer),
        None if value.is_u64() => None,
        None => value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() <= EXACT)
            .map(|number| number as i64),
    }
}

/// Refuses a list of `len` entries where `max` are allowed.
pub(crate) fn too_long(param: &str, len: usize, max: usize) -> Result<(), ApiError> {
    if len > max {
        let message = format!("`{param}` has {len} entries; the limit is {max}.");
        return Err(ApiError::invalid_value(param, message));
    }
    Ok(())
}

/// Refuses more than the allowed bytes of text in `param`.
pub(crate) fn too_large(param: &str, bytes: usize, max: usize) -> Result<(), ApiError> {
    if bytes > max {
        let message = format!("`{param}` has {bytes} bytes of text; the limit is {max}.");
        return Err(ApiError::invalid_value(param, message));
    }
    Ok(())
}

/// A list of token ids, each of which the engine can take as a number.
pub(crate) fn token_ids(list: &[Value], param: &str, max: usize) -> Result<Vec<u32>, ApiError> {
    too_long(param, list.len(), max)?;
    list.iter()
        .map(|value| {
            whole(value)
                .and_then(|id| i32::try_from(id).ok())
                .and_then(|id| u32::try_from(id).ok())
                .ok_or_else(|| ApiError::invalid_type(param, "a list of token ids"))
        })
        .collect()
}
