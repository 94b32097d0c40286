//! Which kinds of value a parameter may have, for formats that write values without saying which.

use std::collections::BTreeMap;

use gaia_grammar::Kinds;
use serde_json::Value;

use crate::Tool;

/// How many references to other schemas are followed.
const REFERENCES_MAX: usize = 8;

/// What `schema`, a part of `root`, admits at most.
pub(crate) fn admitted(schema: &Value, root: &Value) -> Kinds {
    follow(schema, root, REFERENCES_MAX)
}

fn follow(schema: &Value, root: &Value, references: usize) -> Kinds {
    let all = |values: &[Value], of: &dyn Fn(&Value) -> Kinds| {
        values.iter().map(of).fold(Kinds::NONE, Kinds::or)
    };
    let named = |name: &str| Kinds::named(name).unwrap_or(Kinds::ALL);
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|path| root.pointer(path));
        return match found.filter(|_| references > 0) {
            Some(found) => follow(found, root, references - 1),
            None => Kinds::ALL,
        };
    }
    if let Some(value) = schema.get("const") {
        return Kinds::of(value);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return all(values, &Kinds::of);
    }
    match schema.get("type") {
        Some(Value::String(name)) => return named(name),
        Some(Value::Array(names)) => {
            return all(names, &|name| name.as_str().map_or(Kinds::ALL, named));
        }
        _ => {}
    }
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    match branches.and_then(Value::as_array) {
        Some(branches) if references > 0 => {
            all(branches, &|branch| follow(branch, root, references - 1))
        }
        _ => Kinds::ALL,
    }
}

/// The JSON that `written`, a value without the quotes of a string, stands for where `kinds` are wanted.
pub(crate) fn read(kinds: Kinds, written: &str) -> Value {
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
        Some(Value::String(_)) if kinds.has(Kinds::STRING) => written.into(),
        Some(value) if kinds.has(Kinds::of(&value)) => value,
        Some(value) if !kinds.has(Kinds::STRING) => value,
        _ => written.into(),
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
                .map(|(name, schema)| (name.clone(), admitted(schema, root)))
                .collect(),
        }
    }

    pub fn kinds(&self, name: &str) -> Kinds {
        self.kinds.get(name).copied().unwrap_or(Kinds::ALL)
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
            assert_eq!(admitted(&schema, &root), kinds, "{schema}");
        };
        check(json!({"type": "string"}), Kinds::STRING);
        check(
            json!({"type": ["string", "null"]}),
            Kinds::STRING.or(Kinds::NULL),
        );
        check(json!({"enum": ["a", 1]}), Kinds::STRING.or(Kinds::NUMBER));
        check(json!({"const": true}), Kinds::BOOLEAN);
        check(json!({"$ref": "#/$defs/n"}), Kinds::NUMBER);
        check(json!({"$ref": "#/$defs/loop"}), Kinds::ALL);
        check(
            json!({"anyOf": [{"type": "array"}, {"$ref": "#/$defs/n"}]}),
            Kinds::ARRAY.or(Kinds::NUMBER),
        );
        check(json!({}), Kinds::ALL);
        check(json!(true), Kinds::ALL);
    }

    #[test]
    fn values_are_read_as_what_they_may_be() {
        let check = |kinds: Kinds, written: &str, value: Value| {
            assert_eq!(read(kinds, written), value, "{written}");
        };
        check(Kinds::NUMBER, "3", json!(3));
        check(Kinds::STRING, "3", json!("3"));
        check(Kinds::STRING.or(Kinds::NULL), "null", json!(null));
        check(Kinds::STRING.or(Kinds::NULL), "\"a\"", json!("\"a\""));
        check(Kinds::ALL, "[1]", json!([1]));
        check(Kinds::BOOLEAN, "True", json!(true));
        check(Kinds::NUMBER, "many", json!("many"));
        check(Kinds::OBJECT, "[1]", json!([1]));
    }
}
