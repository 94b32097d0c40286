//! The kinds of value that JSON has.

use serde_json::Value;

/// Some of JSON's kinds of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// `null`.
    pub const NULL: Self = Self(1);
    /// `true` and `false`.
    pub const BOOLEAN: Self = Self(2);
    /// Numbers, whole ones as well.
    pub const NUMBER: Self = Self(4);
    /// Texts.
    pub const STRING: Self = Self(8);
    /// Lists.
    pub const ARRAY: Self = Self(16);
    /// Objects.
    pub const OBJECT: Self = Self(32);
    /// All of them.
    pub const ALL: Self = Self(63);

    /// The kind of `value`.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// What a schema calls `name`; a number, where it means whole ones only.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "number" | "integer" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    /// Those that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether one of them is in both.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_have_the_kind_that_schemas_name() {
        let check = |value: Value, name: &str| {
            assert_eq!(Kinds::named(name), Some(Kinds::of(&value)), "{name}");
        };
        check(json!(null), "null");
        check(json!(true), "boolean");
        check(json!(1.5), "number");
        check(json!(1), "integer");
        check(json!(""), "string");
        check(json!([]), "array");
        check(json!({}), "object");
        assert_eq!(Kinds::named("text"), None);
    }

    #[test]
    fn sets() {
        let some = Kinds::NULL.or(Kinds::STRING);
        assert!(some.has(Kinds::STRING) && !some.has(Kinds::NUMBER));
        assert!(some.has(Kinds::ALL) && !some.has(Kinds::NONE));
        assert_eq!(some.and(Kinds::ALL.without(Kinds::NULL)), Kinds::STRING);
    }
}
