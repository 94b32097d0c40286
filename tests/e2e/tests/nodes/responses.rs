//! Responses: answered, streamed, kept, gone on from, and forgotten, also when everything is killed.

use e2e::http::{self, Answer};
use e2e::node::{Node, READY_LIMIT};
use e2e::process::{is_alive, signal, wait_for};
use serde_json::{Value, json};

/// A caller with a key of his own.
struct Caller<'a> {
    node: &'a Node,
    key: String,
}

impl<'a> Caller<'a> {
    fn new(node: &'a Node, name: &str) -> Self {
        let key = node.gaia_ok(&["key", "api", "create", name]);
        let key = format!("Bearer {}", key.trim());
        Self { node, key }
    }

    fn header(&self) -> (&str, &str) {
        ("authorization", &self.key)
    }

    fn respond(&self, body: &Value) -> Answer {
        let url = format!("{}/v1/responses", self.node.url());
        http::post_with(&url, self.header(), body).unwrap()
    }

    #[track_caller]
    fn responded(&self, body: &Value) -> Value {
        let answer = self.respond(body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    fn get(&self, path: &str) -> Answer {
        let url = format!("{}/v1/responses/{path}", self.node.url());
        http::get_with(&url, self.header()).unwrap()
    }

    fn delete(&self, id: &str) -> Answer {
        let url = format!("{}/v1/responses/{id}", self.node.url());
        http::delete_with(&url, self.header()).unwrap()
    }
}

fn question(text: &str) -> Value {
    json!({"input": text, "max_output_tokens": 12, "temperature": 0})
}

fn id(response: &Value) -> &str {
    response["id"].as_str().unwrap()
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"]
        .as_str()
        .unwrap()
}

#[test]
fn responses_are_kept_and_gone_on_from() {
    let node = Node::new();
    let anna = Caller::new(&node, "anna");
    let ben = Caller::new(&node, "ben");
    node.start();
    let first = whole(&anna);
    streamed(&anna);
    calls(&anna);
    held_to_a_schema(&anna);
    refused(&anna);
    gone_on_from(&anna, &first);
    another_keys_response_is_404(&ben, &first);
    forgotten(&anna);
    in_the_background(&anna);
    killed(&node, &anna, &first);
}

fn whole(anna: &Caller<'_>) -> Value {
    let response = anna.responded(&question("What is the capital of France?"));
    assert!(id(&response).starts_with("resp_"), "{response}");
    assert_eq!(response["store"], true);
    assert!(!text(&response).is_empty());
    let usage = &response["usage"];
    assert!(usage["output_tokens"].as_u64().unwrap() <= 12, "{usage}");
    let total = usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"], total);
    let kept = anna.get(id(&response));
    assert_eq!((kept.status, kept.json()), (200, response.clone()));
    let items = anna.get(&format!("{}/input_items", id(&response))).json();
    assert_eq!(
        items["data"][0]["content"][0]["text"],
        "What is the capital of France?"
    );
    assert_eq!(items["has_more"], false);
    response
}

fn streamed(anna: &Caller<'_>) {
    let mut body = question("What is the capital of France?");
    body["stream"] = json!(true);
    let url = format!("{}/v1/responses", anna.node.url());
    let events = http::stream_with(&url, anna.header(), &body)
        .unwrap()
        .rest();
    let events: Vec<Value> = events
        .iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
    }
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds[..4],
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added"
        ]
    );
    let deltas: String = events
        .iter()
        .filter_map(|event| event["delta"].as_str())
        .collect();
    let last = events.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], deltas);
    let kept = anna.get(id(&last["response"])).json();
    assert_eq!(kept, last["response"], "what was kept is what was said");
}

fn calls(anna: &Caller<'_>) {
    let mut body = question("What is the weather in Rome?");
    body["tools"] = json!([{"type": "function", "name": "get_weather", "parameters": {"type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"], "additionalProperties": false}}]);
    body["tool_choice"] = json!({"type": "function", "name": "get_weather"});
    body["parallel_tool_calls"] = json!(false);
    body["max_output_tokens"] = json!(80);
    let response = anna.responded(&body);
    let call = &response["output"][0];
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("get_weather"))
    );
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["city"].is_string(), "{arguments}");
    let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny, 25 degrees."});
    let next = anna.responded(
        &json!({"previous_response_id": id(&response), "input": [result], "max_output_tokens": 8}),
    );
    assert_eq!(next["output"][0]["type"], "message");
}

fn held_to_a_schema(anna: &Caller<'_>) {
    let mut body = question("How warm is it?");
    let schema = json!({"type": "object", "properties": {"degrees": {"type": "integer", "minimum": -50, "maximum": 60}}, "required": ["degrees"], "additionalProperties": false});
    body["text"] = json!({"format": {"type": "json_schema", "name": "weather", "schema": schema, "strict": true}});
    body["max_output_tokens"] = json!(40);
    let response = anna.responded(&body);
    let answer: Value = serde_json::from_str(text(&response)).unwrap();
    assert!(answer["degrees"].is_i64(), "{answer}");
}

fn refused(anna: &Caller<'_>) {
    let check = |mut body: Value, param: &str| {
        if body.get("input").is_none() {
            body["input"] = json!("Hi");
        }
        let answer = anna.respond(&body);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert_eq!(answer.json()["error"]["param"], param, "{}", answer.text);
    };
    check(json!({"background": true, "store": false}), "background");
    check(
        json!({"input": [{"type": "item_reference", "id": "x"}]}),
        "input[0].type",
    );
    check(json!({"input": "x ".repeat(40_000)}), "input");
    check(
        json!({"previous_response_id": "resp_nothing"}),
        "previous_response_id",
    );
    let unsaid = anna.get("resp_000000000000000000000000?stream=true");
    assert_eq!(unsaid.json()["error"]["param"], "stream");
}

fn gone_on_from(anna: &Caller<'_>, first: &Value) {
    let mut body = question("Say it again.");
    body["previous_response_id"] = json!(id(first));
    let second = anna.responded(&body);
    let tokens = |response: &Value| response["usage"]["input_tokens"].as_u64().unwrap();
    assert!(
        tokens(&second) > tokens(first) + 10,
        "the conversation before is read: {second}"
    );
    assert_eq!(second["previous_response_id"], id(first));
    let cached = second["usage"]["input_tokens_details"]["cached_tokens"]
        .as_u64()
        .unwrap();
    assert!(cached > 0, "and from the cache: {second}");
}

fn another_keys_response_is_404(ben: &Caller<'_>, annas: &Value) {
    let id = id(annas);
    for answer in [
        ben.get(id),
        ben.delete(id),
        ben.get(&format!("{id}/input_items")),
    ] {
        assert_eq!(answer.status, 404, "{}", answer.text);
        assert_eq!(
            answer.json()["error"]["message"],
            format!("Response with id '{id}' not found.")
        );
    }
    let mut body = question("And?");
    body["previous_response_id"] = json!(id);
    let refused = ben.respond(&body);
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(
        refused.json()["error"]["code"],
        "previous_response_not_found"
    );
}

fn forgotten(anna: &Caller<'_>) {
    let mut body = question("Hi");
    let response = anna.responded(&body);
    let gone = anna.delete(id(&response));
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(true)));
    assert_eq!(anna.get(id(&response)).status, 404);
    assert_eq!(anna.delete(id(&response)).status, 404);
    body["store"] = json!(false);
    let response = anna.responded(&body);
    assert_eq!(response["store"], false);
    assert_eq!(anna.get(id(&response)).status, 404);
}

fn in_the_background(anna: &Caller<'_>) {
    let ended = |id: &str| {
        wait_for("a response to end", READY_LIMIT, || {
            let response = anna.get(id).json();
            let waits = ["queued", "in_progress"].contains(&response["status"].as_str().unwrap());
            (!waits).then_some(response)
        })
    };
    let mut body = question("What is the capital of France?");
    body["background"] = json!(true);
    let queued = anna.responded(&body);
    assert_eq!(queued["status"], "queued", "{queued}");
    assert!(!text(&ended(id(&queued))).is_empty());
    body["max_output_tokens"] = json!(400);
    body["ignore_eos"] = json!(true);
    let long = anna.responded(&body);
    let url = format!("{}/v1/responses/{}/cancel", anna.node.url(), id(&long));
    let cancelled = http::post_with(&url, anna.header(), &json!({})).unwrap();
    assert_eq!(
        cancelled.json()["status"],
        "cancelled",
        "{}",
        cancelled.text
    );
    assert_eq!(ended(id(&long))["status"], "cancelled");
    let again = http::post_with(&url, anna.header(), &json!({})).unwrap();
    assert_eq!(again.status, 400, "{}", again.text);
}

/// What was said to be kept is there after everything was killed at once.
fn killed(node: &Node, anna: &Caller<'_>, first: &Value) {
    let last = anna.responded(&question("Hi"));
    let pid = node.pid();
    signal(pid, "KILL");
    wait_for("the node to be gone", READY_LIMIT, || {
        (!is_alive(pid)).then_some(())
    });
    node.start();
    assert_eq!(&anna.get(id(first)).json(), first);
    assert_eq!(anna.get(id(&last)).json(), last);
    let folder = node.home().join("records");
    assert!(folder.is_dir());
}
