//! Checks a JSON schema before it is turned into a grammar.
//!
//! Only what the engine honours passes; any other keyword that constrains is refused by name, so
//! that nobody believes in a constraint that is not there. Limits on depth, size and repetition
//! keep the grammar small. `oneOf` is honoured as `anyOf`.
//!
//! Invariant: every reference of an accepted schema points into it, and following references
//! alone always ends.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::Limits;

/// Why a schema is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// JSON pointer to the place, such as `#/properties/name`.
    pub at: String,
    /// What is wrong there.
    pub reason: String,
}

impl std::fmt::Display for SchemaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.reason, self.at)
    }
}

impl std::error::Error for SchemaError {}

/// Words that say something about a schema and constrain nothing.
const ANNOTATIONS: [&str; 14] = [
    "title",
    "description",
    "default",
    "examples",
    "example",
    "$schema",
    "$id",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "discriminator",
    "$defs",
    "definitions",
];

const TYPES: [&str; 7] = [
    "object", "array", "string", "number", "integer", "boolean", "null",
];

const FORMATS: [&str; 4] = ["date", "time", "date-time", "uuid"];

/// Checks `schema` against what the engine honours and against `limits`.
///
/// # Errors
/// The first thing that is wrong, and where.
pub fn check(schema: &Value, limits: &Limits) -> Result<(), SchemaError> {
    if schema.to_string().len() > limits.schema_bytes_max {
        let max = limits.schema_bytes_max;
        return Err(fail("#", format!("schema is larger than {max} bytes")));
    }
    let mut checker = Checker {
        root: schema,
        limits,
        nodes: 0,
        enums: 0,
        repetitions: 0,
        checked: HashSet::new(),
        references: Vec::new(),
    };
    checker.node(schema, "#", 1)?;
    checker.references()
}

fn fail(at: &str, reason: impl Into<String>) -> SchemaError {
    SchemaError {
        at: at.to_owned(),
        reason: reason.into(),
    }
}

struct Checker<'a> {
    root: &'a Value,
    limits: &'a Limits,
    nodes: usize,
    enums: usize,
    repetitions: u64,
    /// Addresses of the subschemas that have been checked.
    checked: HashSet<*const Value>,
    /// Where a `$ref` stands, and what it points to.
    references: Vec<(String, &'a Value)>,
}

impl<'a> Checker<'a> {
    fn node(&mut self, schema: &'a Value, at: &str, depth: usize) -> Result<(), SchemaError> {
        self.nodes += 1;
        if self.nodes > self.limits.schema_nodes_max {
            let max = self.limits.schema_nodes_max;
            return Err(fail(at, format!("more than {max} subschemas")));
        }
        if depth > self.limits.schema_depth_max {
            let max = self.limits.schema_depth_max;
            return Err(fail(at, format!("more than {max} levels deep")));
        }
        let Value::Object(map) = schema else {
            return Err(fail(at, "a schema must be an object"));
        };
        self.checked.insert(schema);
        for (key, value) in map {
            self.keyword(map, key, value, at, depth)?;
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        map: &'a Map<String, Value>,
        key: &str,
        value: &'a Value,
        at: &str,
        depth: usize,
    ) -> Result<(), SchemaError> {
        match key {
            "type" => types(value, at),
            "properties" | "$defs" | "definitions" => {
                self.named(value, &format!("{at}/{key}"), depth)
            }
            "required" => required(map, value, at),
            "additionalProperties" if value.is_boolean() => Ok(()),
            "items" if *value == Value::Bool(false) => Ok(()),
            "additionalProperties" | "items" => self.node(value, &format!("{at}/{key}"), depth + 1),
            "prefixItems" | "anyOf" | "oneOf" | "allOf" => {
                self.listed(value, &format!("{at}/{key}"), depth)
            }
            "enum" => self.values(value, at),
            "const" => Ok(()),
            "$ref" => self.reference(value, at),
            "minItems" | "maxItems" | "minLength" | "maxLength" => self.repetition(key, value, at),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                bound(map, key, value, at)
            }
            "format" => format(value, at),
            _ if ANNOTATIONS.contains(&key) || key.starts_with("x-") => Ok(()),
            _ => Err(fail(at, format!("keyword `{key}` is not supported"))),
        }
    }

    fn named(&mut self, value: &'a Value, at: &str, depth: usize) -> Result<(), SchemaError> {
        let Value::Object(map) = value else {
            return Err(fail(at, "must be an object"));
        };
        for (name, schema) in map {
            let name = name.replace('~', "~0").replace('/', "~1");
            self.node(schema, &format!("{at}/{name}"), depth + 1)?;
        }
        Ok(())
    }

    fn listed(&mut self, value: &'a Value, at: &str, depth: usize) -> Result<(), SchemaError> {
        let list = value.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| fail(at, "must be a list with something in it"))?;
        for (index, schema) in list.iter().enumerate() {
            self.node(schema, &format!("{at}/{index}"), depth + 1)?;
        }
        Ok(())
    }

    fn values(&mut self, value: &Value, at: &str) -> Result<(), SchemaError> {
        let list = value.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| fail(at, "`enum` must be a list with something in it"))?;
        self.enums += list.len();
        if self.enums > self.limits.schema_enum_max {
            let max = self.limits.schema_enum_max;
            return Err(fail(at, format!("more than {max} values in `enum` lists")));
        }
        Ok(())
    }

    fn reference(&mut self, value: &Value, at: &str) -> Result<(), SchemaError> {
        let target = resolve(self.root, value)
            .ok_or_else(|| fail(at, format!("`$ref` {value} points nowhere in the schema")))?;
        self.references.push((at.to_owned(), target));
        Ok(())
    }

    /// Every reference points to a subschema, not to some other JSON, and none goes in a circle.
    fn references(&self) -> Result<(), SchemaError> {
        let mut circles = Circles {
            root: self.root,
            way: Vec::new(),
            ended: HashSet::new(),
        };
        for (at, target) in &self.references {
            if !self.checked.contains(&std::ptr::from_ref(*target)) {
                return Err(fail(
                    at,
                    "`$ref` points to something that is not a subschema",
                ));
            }
            circles.follow(target, at)?;
        }
        Ok(())
    }

    fn repetition(&mut self, key: &str, value: &Value, at: &str) -> Result<(), SchemaError> {
        let count = value
            .as_u64()
            .ok_or_else(|| fail(at, format!("`{key}` must be a whole number from 0")))?;
        self.repetitions = self.repetitions.saturating_add(count);
        if self.repetitions > self.limits.schema_repetitions_max {
            let max = self.limits.schema_repetitions_max;
            return Err(fail(
                at,
                format!("lengths and counts add up to more than {max}"),
            ));
        }
        Ok(())
    }
}

fn types(value: &Value, at: &str) -> Result<(), SchemaError> {
    let known = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let good = match value {
        Value::Array(list) => !list.is_empty() && list.iter().all(known),
        value => known(value),
    };
    match good {
        true => Ok(()),
        false => Err(fail(at, format!("unknown `type` {value}"))),
    }
}

fn required(map: &Map<String, Value>, value: &Value, at: &str) -> Result<(), SchemaError> {
    let Value::Array(names) = value else {
        return Err(fail(at, "`required` must be a list of names"));
    };
    for name in names {
        let known = name.as_str().is_some_and(|name| {
            map.get("properties")
                .is_some_and(|all| all.get(name).is_some())
        });
        if !known {
            return Err(fail(
                at,
                format!("`required` names {name}, which is not in `properties`"),
            ));
        }
    }
    Ok(())
}

fn bound(map: &Map<String, Value>, key: &str, value: &Value, at: &str) -> Result<(), SchemaError> {
    if map.get("type").and_then(Value::as_str) != Some("integer") {
        return Err(fail(
            at,
            format!("keyword `{key}` is supported for integers only"),
        ));
    }
    match value.is_i64() {
        true => Ok(()),
        false => Err(fail(at, format!("`{key}` must be an integer"))),
    }
}

fn format(value: &Value, at: &str) -> Result<(), SchemaError> {
    match value.as_str() {
        Some(name) if FORMATS.contains(&name) => Ok(()),
        _ => Err(fail(at, format!("format {value} is not supported"))),
    }
}

/// Follows what a schema stands for without generating anything: it must not come back to itself.
struct Circles<'a> {
    root: &'a Value,
    /// Schemas on the way here.
    way: Vec<*const Value>,
    /// Schemas that are known to end, so that each is followed once.
    ended: HashSet<*const Value>,
}

impl<'a> Circles<'a> {
    fn follow(&mut self, schema: &'a Value, at: &str) -> Result<(), SchemaError> {
        let address: *const Value = schema;
        if self.ended.contains(&address) {
            return Ok(());
        }
        if self.way.contains(&address) {
            return Err(fail(at, "`$ref` goes in a circle"));
        }
        self.way.push(address);
        if let Some(target) = schema.get("$ref").and_then(|to| resolve(self.root, to)) {
            self.follow(target, at)?;
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let list = schema.get(key).and_then(Value::as_array);
            for schema in list.into_iter().flatten() {
                self.follow(schema, at)?;
            }
        }
        self.way.pop();
        self.ended.insert(address);
        Ok(())
    }
}

fn resolve<'a>(root: &'a Value, reference: &Value) -> Option<&'a Value> {
    let pointer = reference.as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_ok(schema: Value) {
        assert_eq!(check(&schema, &Limits::default()), Ok(()));
    }

    #[track_caller]
    fn check_fails(schema: Value, reason: &str) {
        let error = check(&schema, &Limits::default()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }

    #[test]
    fn what_clients_send_passes() {
        check_ok(json!({}));
        check_ok(
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}),
        );
        check_ok(json!({"type": ["string", "null"], "title": "T", "maxLength": 10}));
        check_ok(
            json!({"$defs": {"n": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}}, "$ref": "#/$defs/n"}),
        );
        check_ok(json!({"type": "integer", "minimum": 0, "maximum": 10}));
        check_ok(json!({"type": "array", "items": {"enum": ["a", 1, null]}, "maxItems": 5}));
        check_ok(json!({"type": "string", "format": "date-time"}));
    }

    #[test]
    fn what_the_engine_does_not_honour_is_named() {
        check_fails(json!({"not": {}}), "`not`");
        check_fails(json!({"type": "string", "pattern": "^a$"}), "`pattern`");
        check_fails(
            json!({"properties": {"a": {"patternProperties": {}}}}),
            "`patternProperties` is not supported at #/properties/a",
        );
        check_fails(json!({"type": "string", "format": "email"}), "email");
        check_fails(json!({"type": "number", "minimum": 1}), "`minimum`");
        check_fails(
            json!({"type": "array", "uniqueItems": true}),
            "`uniqueItems`",
        );
    }

    #[test]
    fn nonsense_is_refused() {
        check_fails(json!(true), "must be an object");
        check_fails(json!({"type": "strnig"}), "strnig");
        check_fails(json!({"required": ["b"], "properties": {"a": {}}}), "\"b\"");
        check_fails(json!({"enum": []}), "enum");
        check_fails(json!({"$ref": "#/nowhere"}), "nowhere");
        check_fails(json!({"$ref": "http://example.com/schema"}), "nowhere");
        check_fails(json!({"$ref": "#"}), "circle");
        check_fails(
            json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}}),
            "circle",
        );
        check_fails(
            json!({"default": {"not": {}}, "$ref": "#/default"}),
            "not a subschema",
        );
        check_fails(json!({"minItems": -1}), "whole number");
    }

    /// Following each of 2^100 ways through this one by one would never end.
    #[test]
    fn many_ways_through_references_are_followed_once() {
        let mut defs = Map::new();
        for n in 0..100 {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            defs.insert(format!("d{n}"), json!({"anyOf": [next, next]}));
        }
        defs.insert("d100".to_owned(), json!({"type": "null"}));
        check_ok(json!({"$defs": defs, "$ref": "#/$defs/d0"}));
    }

    #[test]
    fn every_limit_is_reached() {
        let mut deep = json!({});
        for _ in 0..16 {
            deep = json!({"items": deep});
        }
        check_fails(deep, "levels deep");
        let many: Vec<Value> = (0..1000).map(|_| json!({})).collect();
        check_fails(json!({"anyOf": many}), "subschemas");
        let values: Vec<Value> = (0..1001).map(Value::from).collect();
        check_fails(json!({"enum": values}), "values");
        check_fails(
            json!({"maxLength": 4000, "items": {"maxItems": 97}}),
            "4096",
        );
        check_fails(json!({"title": "x".repeat(65_536)}), "65536 bytes");
    }
}
