//! Which kinds of value a parameter may have, for formats that write values without saying which.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Tool;

/// How many references to other schemas are followed.
const REFERENCES_MAX: usize = 8;

/// Some of JSON's kinds of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub const NONE: Self = Self(0);
    pub const STRING: Self = Self(1);
    pub const NUMBER: Self = Self(2);
    pub const BOOLEAN: Self = Self(4);
    pub const NULL: Self = Self(8);
    pub const ARRAY: Self = Self(16);
    pub const OBJECT: Self = Self(32);
    pub const ANY: Self = Self(63);

    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    fn named(name: &str) -> Self {
        match name {
            "string" => Self::STRING,
            "number" | "integer" => Self::NUMBER,
            "boolean" => Self::BOOLEAN,
            "null" => Self::NULL,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::ANY,
        }
    }

    pub fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// What `schema`, a part of `root`, admits at most.
    pub fn of_schema(schema: &Value, root: &Value) -> Self {
        Self::follow(schema, root, REFERENCES_MAX)
    }

    fn follow(schema: &Value, root: &Value, references: usize) -> Self {
        let all = |values: &[Value], of: &dyn Fn(&Value) -> Self| {
            values.iter().map(of).fold(Self::NONE, Self::and)
        };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|path| root.pointer(path));
            return match found.filter(|_| references > 0) {
                Some(found) => Self::follow(found, root, references - 1),
                None => Self::ANY,
            };
        }
        if let Some(value) = schema.get("const") {
            return Self::of_value(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return all(values, &Self::of_value);
        }
        match schema.get("type") {
            Some(Value::String(name)) => return Self::named(name),
            Some(Value::Array(names)) => {
                return all(names, &|name| name.as_str().map_or(Self::ANY, Self::named));
            }
            _ => {}
        }
        let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"));
        match branches.and_then(Value::as_array) {
            Some(branches) if references > 0 => all(branches, &|branch| {
                Self::follow(branch, root, references - 1)
            }),
            _ => Self::ANY,
        }
    }

    /// The JSON that `written`, a value without the quotes of a string, stands for.
    pub fn read(self, written: &str) -> Value {
        let trimmed = written.trim();
        let value = serde_json::from_str::<Value>(trimmed).ok();
        let value = value.or_else(|| match trimmed {
            // As Python writes them.
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            _ => None,
        });
        match value {
            // Text between quotes is the text with its quotes where a text is wanted.
            Some(Value::String(_)) if self.has(Self::STRING) => written.into(),
            Some(value) if self.has(Self::of_value(&value)) => value,
            Some(value) if !self.has(Self::STRING) => value,
            _ => written.into(),
        }
    }
}

/// The parameters of a tool.
#[derive(Debug, Clone)]
pub(crate) struct ParameterKinds {
    pub name: String,
    kinds: BTreeMap<String, Kinds>,
}

impl ParameterKinds {
    pub fn of(tool: &Tool) -> Self {
        let root = tool.parameters.as_ref().unwrap_or(&Value::Null);
        let properties = root.get("properties").and_then(Value::as_object);
        let kinds = properties.into_iter().flatten();
        Self {
            name: tool.name.clone(),
            kinds: kinds
                .map(|(name, schema)| (name.clone(), Kinds::of_schema(schema, root)))
                .collect(),
        }
    }

    pub fn kinds(&self, name: &str) -> Kinds {
        self.kinds.get(name).copied().unwrap_or(Kinds::ANY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_says_which_kinds() {
        let root = json!({"$defs": {"n": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}}});
        let check = |schema: Value, kinds: Kinds| {
            assert_eq!(Kinds::of_schema(&schema, &root), kinds, "{schema}");
        };
        check(json!({"type": "string"}), Kinds::STRING);
        check(
            json!({"type": ["string", "null"]}),
            Kinds::STRING.and(Kinds::NULL),
        );
        check(json!({"enum": ["a", 1]}), Kinds::STRING.and(Kinds::NUMBER));
        check(json!({"const": true}), Kinds::BOOLEAN);
        check(json!({"$ref": "#/$defs/n"}), Kinds::NUMBER);
        check(json!({"$ref": "#/$defs/loop"}), Kinds::ANY);
        check(
            json!({"anyOf": [{"type": "array"}, {"$ref": "#/$defs/n"}]}),
            Kinds::ARRAY.and(Kinds::NUMBER),
        );
        check(json!({}), Kinds::ANY);
        check(json!(true), Kinds::ANY);
    }

    #[test]
    fn values_are_read_as_what_they_may_be() {
        let check = |kinds: Kinds, written: &str, value: Value| {
            assert_eq!(kinds.read(written), value, "{written}");
        };
        check(Kinds::NUMBER, "3", json!(3));
        check(Kinds::STRING, "3", json!("3"));
        check(Kinds::STRING.and(Kinds::NULL), "null", json!(null));
        check(Kinds::STRING.and(Kinds::NULL), "\"a\"", json!("\"a\""));
        check(Kinds::ANY, "[1]", json!([1]));
        check(Kinds::BOOLEAN, "True", json!(true));
        check(Kinds::NUMBER, "many", json!("many"));
        check(Kinds::OBJECT, "[1]", json!([1]));
    }
}
