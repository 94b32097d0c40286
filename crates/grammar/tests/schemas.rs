//! What comes out of a schema's grammar is valid against the schema, and every beginning of it can be ended.
//!
//! A validator that others wrote is the judge.

use gaia_grammar::schema::{self, Limits};
use gaia_grammar::{Class, Grammar, Reader};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Draws from a seed, as everywhere in these tests (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count.max(1) as u64) as usize
    }

    fn character(&mut self, class: &Class) -> Option<char> {
        let ranges: Vec<(char, char)> = class.iter().collect();
        let (low, high) = *ranges.get(self.below(ranges.len()))?;
        let (low, high) = (u32::from(low), u32::from(high));
        let from = low + self.below((high - low + 1) as usize) as u32;
        // Surrogates are no characters.
        char::from_u32(from).or(char::from_u32(low))
    }
}

/// A text that the grammar may begin with, of at most so many characters.
fn beginning(grammar: &Grammar, dice: &mut Dice, length: usize) -> String {
    let mut reader = Reader::new(grammar);
    let mut text = String::new();
    for _ in 0..length {
        if reader.is_complete() && dice.below(4) == 0 {
            break;
        }
        let Some(c) = dice.character(&reader.next()) else {
            break;
        };
        assert!(
            reader.read(c.encode_utf8(&mut [0; 4])),
            "{text:?} and {c:?}"
        );
        text.push(c);
    }
    text
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|error| panic!("{schema}: {error}"))
}

/// Walks the schema's grammar at random; cut off anywhere and ended, what it writes is valid.
fn check_walks(schema: &Value, seeds: std::ops::Range<u64>) {
    let grammar = match schema::compile(schema, &Limits::default()) {
        Ok(grammar) => grammar,
        Err(error) => panic!("{schema}: {error}"),
    };
    let validator = validator(schema);
    for seed in seeds {
        let mut dice = Dice(seed);
        let length = dice.below(160);
        let begun = beginning(&grammar, &mut dice, length);
        let Some(closing) = grammar.closing(&begun) else {
            panic!("{begun:?} has no ending in {schema}");
        };
        let text = format!("{begun}{closing}");
        assert!(grammar.accepts(&text), "{text} of {schema}");
        let value: Value = match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("{text}: {error}"),
        };
        if let Err(error) = validator.validate(&value) {
            panic!("{text} (ended with {closing:?}) is not valid against {schema}: {error}");
        }
    }
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "email": {"type": "string", "format": "email"},
            "tags": {"type": "array", "items": {"enum": ["a", "b", "né\"e"]}, "maxItems": 3}
        },
        "required": ["name", "age"],
        "additionalProperties": false
    })
}

/// Schemas as people send them, and each keyword in its turn.
fn schemas() -> Vec<Value> {
    let formats = [
        "date",
        "time",
        "date-time",
        "uuid",
        "email",
        "ipv4",
        "ipv6",
        "hostname",
        "uri",
    ];
    let mut all: Vec<Value> = formats
        .iter()
        .map(|format| json!({"type": "string", "format": format}))
        .collect();
    all.extend([
        person(),
        json!({}),
        json!({"type": "object"}),
        json!({"type": "array"}),
        json!({"type": ["string", "null", "integer"]}),
        json!({"enum": ["red", "green", 1, 2.5, null, true, [1, "x"], {"a": {}}]}),
        json!({"const": {"a": ["\u{7f}\n", "ü"]}}),
        json!({"type": "number"}),
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}),
        json!({"type": "number", "minimum": -3.75, "exclusiveMaximum": 1234.5}),
        json!({"type": "number", "minimum": 99.5}),
        json!({"type": "number", "exclusiveMaximum": -0.001}),
        json!({"type": "number", "multipleOf": 0.01, "minimum": 0}),
        json!({"type": "number", "multipleOf": 0.25, "minimum": -2, "maximum": 2}),
        json!({"type": "integer"}),
        json!({"type": "integer", "exclusiveMinimum": -5, "exclusiveMaximum": 1000}),
        json!({"type": "integer", "minimum": 1.5, "maximum": 2.5}),
        json!({"type": "integer", "multipleOf": 7}),
        json!({"type": "integer", "multipleOf": 12, "minimum": 1}),
        json!({"type": "integer", "multipleOf": 25, "minimum": 100, "maximum": 500}),
        json!({"type": "string", "minLength": 2, "maxLength": 5}),
        json!({"type": "string", "minLength": 30}),
        json!({"type": "string", "maxLength": 100_000}),
        json!({"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}),
        json!({"type": "string", "pattern": "\\d+"}),
        json!({"type": "string", "pattern": "^(\\([0-9]{3}\\))?[0-9]{3}-[0-9]{4}$"}),
        json!({"type": "string", "pattern": "^[^\\n\"]*$", "maxLength": 12}),
        json!({"type": "string", "pattern": "\\\\|\\t$"}),
        json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4}),
        json!({"type": "array", "prefixItems": [{"const": "x"}, {"type": "integer"}], "items": false}),
        json!({"prefixItems": [{"const": 1}, {"const": 2}, {"const": 3}], "items": {"const": 4}, "minItems": 2, "maxItems": 7}),
        json!({"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1}),
        json!({"type": "array", "maxItems": 0}),
        json!({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}}),
        json!({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}, "c": {"const": 3}}, "required": ["b"]}),
        json!({"type": "object", "additionalProperties": {"type": "integer"}}),
        json!({"type": "object", "additionalProperties": false}),
        json!({"properties": {"a": {"const": 1}, "ab": false}, "additionalProperties": {"type": "string"}}),
        json!({"properties": {"a": {"const": 1}, "ab": {"const": 2}}, "required": ["c", "ab"], "additionalProperties": {"type": "null"}}),
        json!({"properties": {"a\"\\/~": {"const": 1}}, "required": ["a\"\\/~"], "additionalProperties": true}),
        json!({"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}, person()]}),
        json!({"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]}),
        json!({"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "minimum": 0}}, "required": ["kind", "radius"]},
            {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number", "minimum": 0}}, "required": ["kind", "side"]}
        ]}),
        json!({"oneOf": [{"required": ["a"], "properties": {"a": {"type": "integer"}}, "type": "object"}, {"required": ["b"], "properties": {"b": {"type": "integer"}}, "type": "object"}]}),
        json!({"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "exclusiveMinimum": 3}]}),
        json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}, "required": ["a"]},
            {"type": "object", "properties": {"a": {"maximum": 9}, "b": {"type": "string", "maxLength": 2}}, "required": ["b"]}
        ]}),
        json!({"allOf": [{"anyOf": [{"minimum": 5}, {"maximum": -5}]}, {"type": "integer", "minimum": -9, "maximum": 9}]}),
        json!({"type": "string", "enum": ["a", "bb", "ccc"], "minLength": 2, "pattern": "b|c"}),
        json!({"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"], "additionalProperties": false}}, "$ref": "#/$defs/node"}),
        json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 2}, "children": {"type": "array", "items": {"$ref": "#"}}}, "required": ["name"]}),
        json!({"$defs": {
            "e": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/add"}, {"$ref": "#/$defs/not"}]},
            "add": {"type": "object", "properties": {"op": {"const": "add"}, "l": {"$ref": "#/$defs/e"}, "r": {"$ref": "#/$defs/e"}}, "required": ["op", "l", "r"], "additionalProperties": false},
            "not": {"type": "object", "properties": {"op": {"const": "not"}, "x": {"$ref": "#/$defs/e"}}, "required": ["op", "x"], "additionalProperties": false}
        }, "$ref": "#/$defs/e"}),
        json!({"$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"type": "boolean"}}, "description": "x"}),
        json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/n", "maximum": 3}}, "required": ["x"], "$defs": {"n": {"type": "integer", "minimum": 0}}}),
    ]);
    all
}

#[test]
fn whatever_the_grammar_writes_validates() {
    for schema in schemas() {
        check_walks(&schema, 0..60);
    }
}

#[test]
fn every_prefix_can_be_closed() {
    let schema = person();
    let grammar = schema::compile(&schema, &Limits::default()).unwrap();
    let validator = validator(&schema);
    let text = "{\n  \"name\": \"\\u00e9 \\\"x\", \"age\":127,\"email\": \"a.b@c.org\", \"tags\": [\"a\", \"né\\\"e\"] }";
    assert!(grammar.accepts(text));
    for (end, _) in text.char_indices() {
        let closing = grammar.closing(&text[..end]).unwrap();
        let whole = format!("{}{closing}", &text[..end]);
        let value = serde_json::from_str(&whole).unwrap();
        assert!(validator.is_valid(&value), "{whole}");
    }
    assert_eq!(grammar.closing(text).as_deref(), Some(""));
}

/// Schemas made of parts that are known to work, in any nesting.
fn any_schema() -> impl Strategy<Value = Value> {
    let bounds = (-50..50i32, 0..60i32, prop::bool::ANY);
    let leaf = prop_oneof![
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "string", "maxLength": 4})),
        Just(json!({"type": ["null", "number"]})),
        Just(json!({"type": "string", "pattern": "^a|b{2}"})),
        Just(json!({"enum": ["x", "xy", 3]})),
        bounds.prop_map(|(low, width, open)| {
            let key = if open { "exclusiveMaximum" } else { "maximum" };
            json!({"type": "number", "minimum": f64::from(low) / 8.0, key: f64::from(low + width + 1) / 8.0})
        }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = prop::sample::select(vec!["a", "b", "cc"]);
        let named = prop::collection::btree_map(name, (inner.clone(), prop::bool::ANY), 0..4);
        prop_oneof![
            (named, 0..3usize).prop_map(|(named, additional)| {
                let needed = named.iter().filter(|(_, (_, needed))| *needed);
                let required: Vec<&str> = needed.map(|(name, _)| *name).collect();
                let mut schema = json!({"type": "object", "required": required});
                let properties: serde_json::Map<String, Value> = named
                    .into_iter()
                    .map(|(name, (schema, _))| (name.to_owned(), schema))
                    .collect();
                schema["properties"] = Value::Object(properties);
                match additional {
                    0 => schema["additionalProperties"] = json!(false),
                    1 => schema["additionalProperties"] = json!({"type": "integer"}),
                    _ => {}
                }
                schema
            }),
            (inner.clone(), 0..3u64, 0..3u64).prop_map(|(items, min, more)| {
                json!({"type": "array", "items": items, "minItems": min, "maxItems": min + more})
            }),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|ways| json!({"anyOf": ways})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|ways| json!({"oneOf": ways})),
            prop::collection::vec(inner, 1..3).prop_map(|all| json!({"allOf": all})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_compiled_is_enforced(schema in any_schema(), seed in 0u64..1 << 32) {
        // What cannot be merged or told apart is refused, which is no failure here.
        if schema::compile(&schema, &Limits::default()).is_ok() {
            check_walks(&schema, seed..seed + 8);
        }
    }
}
