//! Tools of the caller: a model that knows nothing of tools calls them when it must, in a form that parses.

use e2e::node::Node;
use serde_json::{Value, json};

/// One node for all of it: starting one takes longer than asking it.
#[test]
fn a_node_calls_the_tools_of_its_callers() {
    let node = Node::started();
    a_135m_model_calls_when_it_must(&node);
    a_135m_model_calls_the_named_one(&node);
    arguments_always_parse(&node);
    arguments_stream_in_pieces(&node);
    parallel_off_means_one(&node);
    a_result_goes_back(&node);
    what_is_wrong_is_refused_by_name(&node);
}

fn tools() -> Value {
    json!([
        {"type": "function", "function": {
            "name": "get_weather", "description": "The weather of a city.",
            "parameters": {"type": "object", "properties": {
                "city": {"type": "string", "maxLength": 24},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
            }, "required": ["city", "unit"], "additionalProperties": false},
        }},
        {"type": "function", "function": {
            "name": "add", "description": "Adds two numbers.", "strict": true,
            "parameters": {"type": "object", "properties": {
                "a": {"type": "integer", "minimum": -999, "maximum": 999},
                "b": {"type": "integer", "minimum": -999, "maximum": 999},
            }, "required": ["a", "b"], "additionalProperties": false},
        }},
    ])
}

fn request(choice: Value) -> Value {
    json!({
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tools": tools(), "tool_choice": choice, "parallel_tool_calls": false,
        "max_tokens": 200, "temperature": 0, "seed": 1,
    })
}

fn named(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

fn ask(node: &Node, body: &Value) -> Value {
    let answer = node.post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["choices"][0].clone()
}

fn calls(choice: &Value) -> Vec<Value> {
    let calls = choice["message"]["tool_calls"].as_array();
    calls
        .unwrap_or_else(|| panic!("no calls in {choice}"))
        .clone()
}

/// The name of a call whose arguments conform to the tool's schema.
#[track_caller]
fn check_call(call: &Value) -> String {
    let name = call["function"]["name"].as_str().unwrap().to_owned();
    let arguments = call["function"]["arguments"].as_str().unwrap();
    let arguments: Value = serde_json::from_str(arguments).unwrap();
    let tools = tools();
    let mut known = tools.as_array().unwrap().iter();
    let tool = known.find(|tool| tool["function"]["name"] == name.as_str());
    let schema = &tool.unwrap_or_else(|| panic!("{call}"))["function"]["parameters"];
    let wrong = jsonschema::validate(schema, &arguments);
    assert!(wrong.is_ok(), "{wrong:?} in {call}");
    name
}

fn a_135m_model_calls_when_it_must(node: &Node) {
    let choice = ask(node, &request(json!("required")));
    assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
    assert_eq!(choice["message"]["content"], Value::Null, "{choice}");
    let calls = calls(&choice);
    check_call(&calls[0]);
    assert_eq!(calls[0]["type"], "function");
    let id = calls[0]["id"].as_str().unwrap();
    assert!(id.starts_with("call_") && id.len() == 29, "{id}");
}

fn a_135m_model_calls_the_named_one(node: &Node) {
    for name in ["get_weather", "add"] {
        let choice = ask(node, &request(named(name)));
        assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
        assert_eq!(check_call(&calls(&choice)[0]), name);
    }
}

/// Whatever is drawn, and whether or not the model had to call.
fn arguments_always_parse(node: &Node) {
    for seed in 0..4 {
        let mut body = request(json!("required"));
        body["temperature"] = json!(1.5);
        body["seed"] = json!(seed);
        let choice = ask(node, &body);
        check_call(&calls(&choice)[0]);
        body["tool_choice"] = json!("auto");
        body["max_tokens"] = json!(40);
        let choice = ask(node, &body);
        if choice["finish_reason"] == "tool_calls" {
            check_call(&calls(&choice)[0]);
        }
    }
}

fn arguments_stream_in_pieces(node: &Node) {
    let mut body = request(named("get_weather"));
    body["stream"] = json!(true);
    let events = node.chat_stream(&body).rest();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks = events.iter().filter(|data| *data != "[DONE]");
    let choices: Vec<Value> = chunks
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["choices"][0].clone())
        .collect();
    assert_eq!(
        choices[0]["delta"],
        json!({"role": "assistant", "content": null})
    );
    let pieces: Vec<&Value> = choices
        .iter()
        .filter_map(|choice| choice["delta"]["tool_calls"].get(0))
        .collect();
    assert_eq!(pieces[0]["function"]["name"], "get_weather");
    assert!(pieces[0]["id"].is_string(), "{}", pieces[0]);
    assert!(
        pieces[1..]
            .iter()
            .all(|piece| piece["id"].is_null() && piece["index"] == 0),
        "{pieces:?}"
    );
    assert!(pieces.len() > 4, "as they are generated: {pieces:?}");
    let arguments: String = pieces
        .iter()
        .filter_map(|piece| piece["function"]["arguments"].as_str())
        .collect();
    check_call(&json!({"function": {"name": "get_weather", "arguments": arguments}}));
    let last = choices
        .iter()
        .rev()
        .find(|choice| !choice.is_null())
        .unwrap();
    assert_eq!(last["finish_reason"], "tool_calls");
}

fn parallel_off_means_one(node: &Node) {
    for seed in 0..4 {
        let mut body = request(json!("required"));
        body["temperature"] = json!(1);
        body["seed"] = json!(seed);
        let choice = ask(node, &body);
        assert_eq!(calls(&choice).len(), 1, "{choice}");
        assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
    }
}

/// A second round: the call and its result are part of the conversation.
fn a_result_goes_back(node: &Node) {
    let mut body = request(named("get_weather"));
    let said = ask(node, &body)["message"].clone();
    let id = said["tool_calls"][0]["id"].clone();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(said);
    messages.push(json!({"role": "tool", "tool_call_id": id, "content": "sunny, 31 degrees"}));
    let prompt = node.post("/apply-template", &body).json()["prompt"].clone();
    let prompt = prompt.as_str().unwrap();
    assert!(prompt.contains("sunny, 31 degrees"), "{prompt}");
    assert!(prompt.contains("The weather of a city."), "{prompt}");
    body["tool_choice"] = json!("none");
    body["max_tokens"] = json!(24);
    let choice = ask(node, &body);
    assert!(choice["message"]["tool_calls"].is_null(), "{choice}");
    assert!(choice["message"]["content"].is_string(), "{choice}");
}

fn what_is_wrong_is_refused_by_name(node: &Node) {
    let refused = |param: &str, body: &Value| {
        let answer = node.post("/v1/chat/completions", body);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json()["error"]["param"], param, "{}", answer.text);
    };
    refused("tool_choice", &request(named("unheard_of")));
    let mut body = request(json!("auto"));
    body["tools"][1]["function"]["parameters"]["not"] = json!({});
    refused("tools[1].function.parameters", &body);
    let mut body = request(json!("auto"));
    body["messages"] = json!([{"role": "tool", "tool_call_id": "call_1", "content": "x"}]);
    refused("messages[0].tool_call_id", &body);
}
