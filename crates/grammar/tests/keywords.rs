//! Each keyword: what the grammar accepts and what it does not, what is refused, and the limits.

use gaia_grammar::schema::{
    self, ANY_DEPTH_MAX, COMPARISONS_MAX, Limits, NAME_BYTES_MAX, OPTIONAL_MAX, READINGS_MAX,
    REPETITIONS_MAX, WAYS_MAX, WORK_MAX,
};
use gaia_grammar::{GBNF_BYTES_MAX, Grammar, SHORTEST_BYTES_MAX};
use serde_json::{Map, Value, json};

fn grammar(schema: &Value) -> Grammar {
    match schema::compile(schema, &Limits::default()) {
        Ok(grammar) => grammar,
        Err(error) => panic!("{schema}: {error}"),
    }
}

#[track_caller]
fn check(schema: Value, good: &[&str], bad: &[&str]) {
    let grammar = grammar(&schema);
    for text in good {
        assert!(grammar.accepts(text), "{text} of {schema}");
    }
    for text in bad {
        assert!(!grammar.accepts(text), "{text} of {schema}");
    }
}

#[track_caller]
fn check_fails(schema: Value, reason: &str) {
    match schema::compile(&schema, &Limits::default()) {
        Ok(_) => panic!("{schema} is accepted"),
        Err(error) => assert!(error.to_string().contains(reason), "{error}"),
    }
}

#[test]
fn types() {
    check(json!({"type": "null"}), &["null"], &["0", "", "nul"]);
    check(
        json!({"type": "boolean"}),
        &["true", "false"],
        &["null", "True"],
    );
    check(
        json!({"type": "integer"}),
        &["0", "-17", "123456789012345"],
        &["1.0", "01", "-0", "1e3", "+1", "-"],
    );
    check(
        json!({"type": "number"}),
        &["0", "-0.5", "1e10", "1.25E-2"],
        &[".5", "1.", "NaN", "00", "1e"],
    );
    check(
        json!({"type": "string"}),
        &["\"\"", "\"é😀 \\n\\u00e9\\\"\""],
        &["\"", "'a'", "\"\n\"", "\"\\x\"", "\"\\ud800\"", "\"\\u12\""],
    );
    check(
        json!({"type": "array"}),
        &["[]", "[1, \"a\", [null]]", "[{}]"],
        &["[1,]", "[,]", "[1 2]", "{}"],
    );
    check(
        json!({"type": "object"}),
        &["{}", "{\"a\": [1]}", "{\n  \"a\":1, \"b\":{}\n}"],
        &["{a:1}", "{\"a\"}", "{\"a\":1,}", "[]"],
    );
    check(
        json!({"type": ["string", "null"]}),
        &["\"x\"", "null"],
        &["1", "true"],
    );
    check(
        json!({"type": ["integer", "number"]}),
        &["1", "1.5"],
        &["\"1\""],
    );
    check(
        json!({}),
        &["1", "\"a\"", "[{\"a\": null}]", "true"],
        &["", "x"],
    );
    check(json!(true), &["1", "{}"], &["x"]);
}

#[test]
fn values() {
    check(
        json!({"enum": ["a", 1, null, {"b": [2]}]}),
        &["\"a\"", "1", "null", "{\"b\":[2]}"],
        &["\"b\"", "2", "{}"],
    );
    check(json!({"const": "x\"y"}), &["\"x\\\"y\""], &["\"x\""]);
    check(
        json!({"enum": ["a", 1, 2.5, 10], "type": "number", "maximum": 3}),
        &["1", "2.5"],
        &["\"a\"", "10"],
    );
    check(
        json!({"enum": ["a", "ab", "abc"], "maxLength": 2}),
        &["\"a\"", "\"ab\""],
        &["\"abc\""],
    );
    check(
        json!({"enum": ["a", "b"], "const": "b"}),
        &["\"b\""],
        &["\"a\""],
    );
    check(json!({"enum": [1, 2], "const": 1.0}), &["1"], &["2"]);
    check_fails(json!({"oneOf": [{"const": 1}, {"const": 1.0}]}), "`oneOf`");
    let both =
        json!({"enum": ["a", "bb", "ccc"], "minLength": 2, "pattern": "b|\\f|a", "type": "string"});
    check(both, &["\"bb\""], &["\"a\"", "\"ccc\""]);
    check_fails(json!({"enum": ["a"], "const": "b"}), "no value");
    check_fails(
        json!({"const": [1], "items": {"type": "string"}}),
        "together with other keywords",
    );
}

#[test]
fn objects() {
    let two = |more: Value| {
        let mut schema = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}});
        for (key, value) in more.as_object().unwrap() {
            schema[key] = value.clone();
        }
        schema
    };
    check(
        two(json!({})),
        &["{}", "{\"a\":1}", "{\"b\":1}", "{\"a\": 1, \"b\": 2}"],
        &[
            "{\"b\":1,\"a\":2}",
            "{\"c\":1}",
            "{\"a\":1,\"a\":1}",
            "{,\"b\":1}",
        ],
    );
    check(
        two(json!({"required": ["b"]})),
        &["{\"b\":1}", "{\"a\":1,\"b\":1}"],
        &["{}", "{\"a\":1}"],
    );
    check(
        two(json!({"additionalProperties": false})),
        &["{}"],
        &["{\"c\":1}"],
    );
    check(
        two(json!({"additionalProperties": {"type": "null"}})),
        &[
            "{\"c\":null}",
            "{\"a\":1,\"aa\":null,\"\":null}",
            "{\"b\":1}",
        ],
        &[
            "{\"c\":1}",
            "{\"a\":null}",
            "{\"c\":null,\"a\":1}",
            "{\"\\u0061\":null}",
        ],
    );
    check(
        two(json!({"additionalProperties": true, "required": ["c"]})),
        &["{\"c\":[1]}", "{\"a\":1,\"c\":0,\"d\":1}"],
        &["{}", "{\"a\":1}"],
    );
    check(
        json!({"properties": {"a": false, "b": {"const": 1}}}),
        &["{}", "{\"b\":1}"],
        &["{\"a\":1}"],
    );
    check(
        json!({"additionalProperties": false}),
        &["{}", "{ }"],
        &["{\"a\":1}", "{  }"],
    );
    check(
        json!({"required": ["x"], "type": "object"}),
        &["{\"x\":null}"],
        &["{}"],
    );
    check_fails(
        json!({"type": "object", "required": ["x"], "additionalProperties": false}),
        "no value",
    );
}

#[test]
fn arrays() {
    let of = |more: Value| {
        let mut schema = json!({"type": "array", "items": {"type": "integer"}});
        for (key, value) in more.as_object().unwrap() {
            schema[key] = value.clone();
        }
        schema
    };
    check(
        of(json!({})),
        &["[]", "[1]", "[1, 2,3]"],
        &["[\"a\"]", "[1 ,2]"],
    );
    check(
        of(json!({"minItems": 2})),
        &["[1,2]", "[1,2,3]"],
        &["[]", "[1]"],
    );
    check(
        of(json!({"minItems": 1, "maxItems": 2})),
        &["[1]", "[1,2]"],
        &["[]", "[1,2,3]"],
    );
    check(of(json!({"maxItems": 0})), &["[]"], &["[1]"]);
    check(
        of(json!({"prefixItems": [{"const": "a"}, {"const": "b"}]})),
        &["[]", "[\"a\"]", "[\"a\",\"b\",1,2]"],
        &["[1]", "[\"a\",1]"],
    );
    check(
        json!({"prefixItems": [{"const": 1}], "items": false, "minItems": 1}),
        &["[1]"],
        &["[]", "[1,1]"],
    );
    check(
        json!({"items": {"const": 0}, "maxItems": 3.0}),
        &["[0,0,0]"],
        &["[0,0,0,0]"],
    );
    // As it was written before 2020-12.
    check(
        json!({"type": "array", "items": [{"const": 1}, {"const": 2}]}),
        &["[]", "[1,2,true]"],
        &["[2]", "[1,1]"],
    );
    check_fails(
        json!({"items": [{"const": 1}], "prefixItems": [{"const": 1}]}),
        "beside `prefixItems`",
    );
    check_fails(
        json!({"type": "array", "minItems": 3, "maxItems": 2}),
        "no value",
    );
}

#[test]
fn strings() {
    check(
        json!({"type": "string", "minLength": 2, "maxLength": 3}),
        &["\"ab\"", "\"é😀\\n\""],
        &["\"a\"", "\"abcd\"", "\"\\u0061\""],
    );
    check(json!({"minLength": 1}), &["\"a\""], &["\"\"", "1"]);
    let long = |length: usize| format!("\"{}\"", "x".repeat(length));
    let grammar = grammar(&json!({"type": "string", "maxLength": 1_000_000}));
    assert!(grammar.accepts(&long(REPETITIONS_MAX as usize)));
    assert!(!grammar.accepts(&long(REPETITIONS_MAX as usize + 1)));
    check(
        json!({"pattern": "^a+$", "type": "string"}),
        &["\"aa\""],
        &["\"b\"", "\"\""],
    );
    check(
        json!({"format": "date"}),
        &["\"2026-11-21\""],
        &["\"2026-02-30\"", "\"21.11.2026\""],
    );
}

#[test]
fn numbers() {
    check(
        json!({"type": "integer", "minimum": -1, "exclusiveMaximum": 11}),
        &["-1", "0", "9", "10"],
        &["-2", "11", "1.5"],
    );
    check(
        json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1.5}),
        &["0.1", "1", "1.5", "1.50"],
        &["0", "0.0", "1.51", "2", "-1"],
    );
    check(
        json!({"minimum": 1}),
        &["1", "1.5", "999"],
        &["0.9", "\"1\""],
    );
    check(
        json!({"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 20}),
        &["0", "5", "20"],
        &["1", "25"],
    );
    check(
        json!({"type": "number", "multipleOf": 0.01}),
        &["1.25", "-3", "0.1"],
        &["0.001"],
    );
    check(
        json!({"type": "integer", "minimum": 3.2, "maximum": 4.9}),
        &["4"],
        &["3", "5"],
    );
    check_fails(
        json!({"type": "integer", "minimum": 3.2, "maximum": 3.9}),
        "no value",
    );
    check_fails(
        json!({"type": "number", "multipleOf": 0.3, "minimum": 0.5}),
        "`multipleOf` is not supported with these bounds",
    );
    check_fails(
        json!({"type": "integer", "multipleOf": 101}),
        "`multipleOf` is not supported with these bounds",
    );
    check_fails(json!({"multipleOf": 0}), "`multipleOf` 0");
    check_fails(json!({"minimum": 1e300}), "too many digits");
}

#[test]
fn combinations() {
    check(
        json!({"anyOf": [{"type": "integer"}, {"const": "x"}]}),
        &["1", "\"x\""],
        &["\"y\""],
    );
    check(
        json!({"type": "integer", "anyOf": [{"minimum": 10}, {"maximum": 0}]}),
        &["10", "-1"],
        &["5", "\"x\""],
    );
    check(
        json!({"allOf": [{"minimum": 2}, {"maximum": 3}, {"type": "integer"}]}),
        &["2", "3"],
        &["1", "4"],
    );
    check(
        json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
        &["1", "\"x\""],
        &["null"],
    );
    check(
        json!({"$ref": "#/$defs/a", "maximum": 2, "$defs": {"a": {"type": "integer", "minimum": 1}}}),
        &["1", "2"],
        &["0", "3"],
    );
    check(
        json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}),
        &["{}", "{\"next\":{\"next\":{}}}"],
        &["{\"next\":1}"],
    );
    // A name that only one of them lists is held to the other's word on names that are not listed.
    check(
        json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"maximum": 5}},
            {"properties": {"b": {"type": "integer"}}}
        ]}),
        &["{\"a\":9,\"b\":5}", "{\"b\":1}"],
        &["{\"b\":6}"],
    );
    check_fails(
        json!({"allOf": [{"type": "string"}, {"type": "null"}]}),
        "no value",
    );
    check_fails(
        json!({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}),
        "two different `pattern`",
    );
    check_fails(
        json!({"type": "string", "pattern": "a", "format": "date"}),
        "`pattern` together with `format`",
    );
    check_fails(
        json!({"type": "string", "pattern": "ab", "maxLength": 9}),
        "`pattern` together with this length",
    );
}

#[test]
fn what_cannot_be_enforced_is_refused_by_name() {
    for keyword in [
        "not",
        "if",
        "then",
        "else",
        "patternProperties",
        "propertyNames",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
        "uniqueItems",
        "contains",
        "minContains",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$anchor",
        "$dynamicRef",
        "nullable",
        "dependencies",
        "surprise",
    ] {
        let schema = json!({"type": "object", "properties": {"a/b": {keyword: true}}});
        check_fails(
            schema,
            &format!("keyword `{keyword}` is not supported at #/properties/a~1b"),
        );
    }
    check_fails(json!({"type": "string", "format": "iri"}), "format \"iri\"");
    check_fails(
        json!({"type": "string", "pattern": "(?=a)b"}),
        "look-around at #",
    );
    check_fails(
        json!({"type": "string", "pattern": "(a)\\1"}),
        "references back",
    );
    check_fails(
        json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        "`oneOf`",
    );
    check_fails(
        json!({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}),
        "`oneOf`",
    );
    check_fails(
        json!({"oneOf": [{"maximum": 3}, {"type": "string"}]}),
        "`oneOf`",
    );
    check_fails(
        json!({"items": {"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}}),
        "`oneOf`",
    );
}

#[test]
fn nonsense_is_refused() {
    check_fails(json!(7), "must be an object");
    check_fails(json!(false), "must be an object");
    check_fails(json!({"type": "strnig"}), "strnig");
    check_fails(json!({"required": "a"}), "list of names");
    check_fails(json!({"enum": []}), "`enum`");
    check_fails(json!({"anyOf": {}}), "#/anyOf");
    check_fails(json!({"properties": []}), "#/properties");
    check_fails(json!({"$ref": "#/nowhere"}), "nowhere");
    check_fails(json!({"$ref": "http://example.com/schema"}), "nowhere");
    check_fails(json!({"$ref": "#"}), "circle");
    check_fails(
        json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        "circle",
    );
    check_fails(json!({"minItems": -1}), "whole number");
    check_fails(json!({"maxLength": 1.5}), "whole number");
    // Nothing that is finite satisfies it.
    check_fails(
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        "no text satisfies",
    );
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
    check(
        json!({"$defs": defs, "$ref": "#/$defs/d0"}),
        &["null"],
        &["0"],
    );
}

/// The engine would follow 2^depth readings of the same text.
#[test]
fn readings_that_multiply_are_refused() {
    let node =
        |more: Value| json!({"type": "object", "properties": {"next": {"$ref": "#"}, "x": more}});
    check_fails(
        json!({"anyOf": [node(json!({"const": 1})), node(json!({"const": 2})), {"type": "null"}]}),
        "begin alike",
    );
    // Told apart before they go on, they are harmless.
    let node = |kind: &str| json!({"type": "object", "properties": {"kind": {"const": kind}, "next": {"$ref": "#"}}, "required": ["kind"]});
    check(
        json!({"anyOf": [node("a"), node("b"), {"type": "null"}]}),
        &["{\"kind\":\"a\",\"next\":{\"kind\":\"b\",\"next\":null}}"],
        &["{\"kind\":\"c\"}"],
    );
    // Without recursion there may be a few.
    let inner = |name: &str| json!({"type": "object", "properties": {"in": {"type": "object", "properties": {name: {"type": "null"}}}}});
    check(
        json!({"anyOf": [inner("a"), inner("b")]}),
        &["{\"in\":{\"b\":null}}"],
        &["{\"in\":{\"c\":null}}"],
    );
    let names: Vec<Value> = (0..=READINGS_MAX).map(|n| inner(&n.to_string())).collect();
    check_fails(json!({"anyOf": names}), "begin alike");
}

#[test]
fn every_limit_is_reached() {
    let mut deep = json!({});
    for _ in 0..16 {
        deep = json!({"items": deep});
    }
    check_fails(deep, "levels deep");
    let many: Map<String, Value> = (0..1000)
        .map(|n| (n.to_string(), json!({"const": n})))
        .collect();
    check_fails(
        json!({"properties": many, "required": many.keys().collect::<Vec<_>>()}),
        "more than 1000 subschemas",
    );
    let values: Vec<Value> = (0..1001).map(Value::from).collect();
    check_fails(json!({"enum": values}), "more than 1000 values");
    check_fails(
        json!({"title": "x".repeat(65_536)}),
        "larger than 65536 bytes",
    );
    let ways: Vec<Value> = (0..=WAYS_MAX)
        .map(|n| json!({"type": "string", "maxLength": n}))
        .collect();
    check_fails(json!({"anyOf": ways}), "ways to satisfy it");
    check_fails(
        json!({"properties": {"x".repeat(NAME_BYTES_MAX + 1): {}}}),
        "a name has more than",
    );
    check_fails(
        json!({"type": "string", "minLength": REPETITIONS_MAX + 1}),
        "`minLength` is more than",
    );
    let optional: Map<String, Value> = (0..=OPTIONAL_MAX)
        .map(|n| (n.to_string(), json!({"type": "null"})))
        .collect();
    check_fails(
        json!({"properties": optional}),
        "optional properties in a row",
    );
    let text = "x".repeat(SHORTEST_BYTES_MAX as usize / 2);
    check_fails(json!({"const": [text, text]}), "bytes");
    let lists: Map<String, Value> = (0..200)
        .map(|n| {
            (
                n.to_string(),
                json!({"type": "string", "pattern": "^[a-z]{190}$"}),
            )
        })
        .collect();
    let names: Vec<&String> = lists.keys().collect();
    check_fails(json!({"properties": lists, "required": names}), "elements");
    let name = |n: usize| format!("{n}{}", "é".repeat(100));
    let wide: Map<String, Value> = (0..120)
        .map(|n| (name(n), json!({"const": name(n)})))
        .collect();
    check_fails(json!({"properties": wide}), &GBNF_BYTES_MAX.to_string());
}

#[test]
fn a_value_that_may_be_anything_nests_so_deep() {
    let grammar = grammar(&json!({}));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(grammar.accepts(&nested(ANY_DEPTH_MAX)));
    assert!(!grammar.accepts(&nested(ANY_DEPTH_MAX + 1)));
}

/// Each of these would take very long if every way were followed, or every pair compared.
#[test]
fn work_is_bounded() {
    let contradictions: Vec<Value> = (0..18)
        .map(|n| json!({"anyOf": [{"title": n.to_string()}, {"title": "x"}]}))
        .chain([json!({"type": "null"})])
        .collect();
    check_fails(
        json!({"type": "string", "allOf": contradictions}),
        "too much work",
    );
    const { assert!(1 << 18 < WORK_MAX, "it would end otherwise") };
    let object = |kind: usize| {
        let mut properties: Map<String, Value> = (0..200)
            .map(|n| (n.to_string(), json!({"$ref": "#/$defs/n"})))
            .collect();
        properties.insert("kind".to_owned(), json!({"const": kind}));
        let names: Vec<&String> = properties.keys().collect();
        json!({"type": "object", "required": names, "properties": properties})
    };
    let objects = |count: usize| {
        let objects: Vec<Value> = (0..count).map(object).collect();
        json!({"oneOf": objects, "$defs": {"n": {"type": "null"}}})
    };
    const { assert!(8 * 7 * 200 * 200 > COMPARISONS_MAX) };
    assert!(schema::compile(&objects(2), &Limits::default()).is_ok());
    check_fails(objects(8), "`oneOf`");
}
