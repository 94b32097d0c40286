//! Answers that are held to a JSON schema: valid whatever the model would rather say, and wherever it is cut off.

use e2e::node::Node;
use serde_json::{Value, json};

/// One node for all of it: starting one takes longer than asking it.
#[test]
fn what_comes_out_validates() {
    let node = Node::started();
    cut_off_anywhere(&node);
    several_answers_in_a_stream(&node);
    cut_by_a_stop_string(&node);
    completions_too(&node);
    any_object(&node);
    what_cannot_be_enforced_is_refused(&node);
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 30},
            "age": {"type": "integer", "minimum": 18, "maximum": 99},
            "email": {"type": "string", "format": "email"},
            "zürich": {"type": "boolean"},
        },
        "required": ["name", "age", "zürich"],
        "additionalProperties": false,
    })
}

fn schemas() -> Vec<Value> {
    vec![
        person(),
        json!({"type": "array", "items": person(), "minItems": 1, "maxItems": 3}),
        json!({"type": "object", "properties": {
            "id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
            "when": {"type": "string", "format": "date-time"},
            "price": {"type": "number", "exclusiveMinimum": 0, "maximum": 99.95, "multipleOf": 0.01},
        }, "required": ["id", "when", "price"]}),
        json!({"oneOf": [
            {"type": "object", "properties": {"shape": {"const": "circle"}, "radius": {"type": "number", "minimum": 0.5}}, "required": ["shape", "radius"]},
            {"type": "object", "properties": {"shape": {"const": "square"}, "side": {"type": "number", "maximum": 8}}, "required": ["shape", "side"]},
        ]}),
        json!({"$defs": {"node": {"type": "object", "properties": {
            "text": {"type": "string", "maxLength": 12},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
        }, "required": ["text", "children"], "additionalProperties": false}}, "$ref": "#/$defs/node"}),
    ]
}

fn request(schema: &Value, max_tokens: u32, seed: u32) -> Value {
    json!({
        "messages": [{"role": "user", "content": "Write about somebody, as JSON."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": true, "schema": schema}},
        "max_tokens": max_tokens, "temperature": 1, "seed": seed,
    })
}

/// Whether the text is JSON that the schema permits, by a validator that others wrote.
#[track_caller]
fn check_valid(schema: &Value, text: &str) {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap();
    if let Err(error) = validator.validate(&value) {
        panic!("{text}: {error}");
    }
}

fn choices(node: &Node, path: &str, body: &Value) -> Vec<Value> {
    let answer = node.post(path, body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["choices"].as_array().unwrap().clone()
}

fn cut_off_anywhere(node: &Node) {
    let mut cut = 0;
    for schema in schemas() {
        for (seed, max_tokens) in [(1, 1), (2, 4), (3, 9), (4, 17), (5, 33), (6, 90)] {
            let body = request(&schema, max_tokens, seed);
            let choice = choices(node, "/v1/chat/completions", &body).remove(0);
            check_valid(&schema, choice["message"]["content"].as_str().unwrap());
            let whole = choice["finish_reason"] == "stop";
            assert!(whole || choice["finish_reason"] == "length", "{choice}");
            assert!(!whole || choice["warning"].is_null(), "{choice}");
            cut += usize::from(choice["warning"].is_string());
        }
    }
    assert!(cut >= 10, "nearly nothing was cut off: {cut}");
}

fn several_answers_in_a_stream(node: &Node) {
    let schema = person();
    let mut body = request(&schema, 12, 7);
    body["n"] = json!(2);
    let events = node.chat_stream(&body).rest();
    let mut texts = [String::new(), String::new()];
    for event in events.iter().filter(|event| *event != "[DONE]") {
        let chunk: Value = serde_json::from_str(event).unwrap();
        for choice in chunk["choices"].as_array().unwrap() {
            let text = &mut texts[usize::try_from(choice["index"].as_u64().unwrap()).unwrap()];
            text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            if choice["finish_reason"] == "length" {
                // The ending came before.
                check_valid(&schema, text);
                assert!(choice["warning"].is_string(), "{choice}");
            } else {
                assert!(choice["finish_reason"].is_null(), "{choice}");
            }
        }
    }
    texts.iter().for_each(|text| check_valid(&schema, text));
}

fn cut_by_a_stop_string(node: &Node) {
    let schema = person();
    let mut body = request(&schema, 90, 3);
    body["stop"] = json!("age");
    let choice = choices(node, "/v1/chat/completions", &body).remove(0);
    assert_eq!(choice["finish_reason"], "stop");
    assert!(choice["warning"].is_string(), "{choice}");
    check_valid(&schema, choice["message"]["content"].as_str().unwrap());
}

fn completions_too(node: &Node) {
    let schema = person();
    let body =
        json!({"prompt": "{", "json_schema": schema, "max_tokens": 5, "temperature": 1, "seed": 5});
    let choice = choices(node, "/v1/completions", &body).remove(0);
    check_valid(&schema, choice["text"].as_str().unwrap());
    assert_eq!(choice["finish_reason"], "length");
    assert!(choice["warning"].is_string(), "{choice}");
}

fn any_object(node: &Node) {
    for seed in 0..4 {
        let mut body = request(&json!({}), 25, seed);
        body["response_format"] = json!({"type": "json_object"});
        let choice = choices(node, "/v1/chat/completions", &body).remove(0);
        let text = choice["message"]["content"].as_str().unwrap();
        check_valid(&json!({"type": "object"}), text);
    }
}

fn what_cannot_be_enforced_is_refused(node: &Node) {
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}});
    let answer = node.post("/v1/chat/completions", &request(&schema, 5, 1));
    assert_eq!(answer.status, 400, "{}", answer.text);
    let error = &answer.json()["error"];
    assert_eq!(error["param"], "response_format.json_schema.schema");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("`uniqueItems`"), "{message}");
    assert!(message.contains("#/properties/a"), "{message}");
}
