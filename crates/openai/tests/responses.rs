//! `POST /v1/responses`: what is understood of requests, and which events an answer becomes.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

use gaia_openai::chat::{CallStatus, ChunkHead, NodeCall};
use gaia_openai::responses::{
    Events, Item, Kept, Response, ResponseRequest, ResponseUsage, in_words_of_responses,
};
use gaia_openai::{ApiError, ChatRequest, FinishReason, Limits, Role, ToolChoice, Usage};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn limits() -> Limits {
    Limits {
        messages_max: 4,
        parts_max: 2,
        images_max: 1,
        text_bytes_max: 100,
        tools_max: 2,
        ..Limits::default()
    }
}

fn parse(fields: Value) -> Result<ResponseRequest, ApiError> {
    let mut body = json!({"input": "Hi"});
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    ResponseRequest::parse(body.to_string().as_bytes(), &limits())
}

fn chat(fields: Value) -> Result<ChatRequest, ApiError> {
    parse(fields)?.conversation(&[])
}

#[track_caller]
fn check_refused(fields: Value, param: &str) {
    let shown = fields.to_string();
    let error = chat(fields).unwrap_err();
    let got = (error.status, error.param.as_deref());
    assert_eq!(got, (400, Some(param)), "{shown}: {error}");
}

const PIXEL: &str = "data:image/png;base64,AAEC";

fn message(role: &str, content: Value) -> Value {
    json!({"role": role, "content": content})
}

#[test]
fn a_text_is_a_question() {
    let chat = chat(json!({})).unwrap();
    let [message] = chat.messages.as_slice() else {
        panic!("{:?}", chat.messages);
    };
    assert_eq!((message.role, message.content.as_str()), (Role::User, "Hi"));
    assert!(!chat.stream && chat.choices == 1 && chat.logprobs.is_none());
}

#[test]
fn fields_have_their_effect() {
    let tool = json!({"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true});
    let request = chat(json!({
        "model": "m",
        "instructions": "Be brief.",
        "max_output_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 2,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"const": 1}, "strict": true}},
        "reasoning": {"effort": "high", "summary": "auto"},
        "metadata": {"a": "b"},
        "user": "u",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "stream": true,
        "truncation": "disabled",
        "store": true,
    }))
    .unwrap();
    assert_eq!(request.messages[0].content, "Be brief.");
    assert_eq!(request.sampling.tokens_max, Some(7));
    assert_eq!(request.sampling.temperature, Some(0.5));
    assert_eq!(request.logprobs, Some(2));
    assert_eq!(request.tooling.tools[0].name, "f");
    assert!(request.tooling.tools[0].strict && !request.tooling.parallel);
    assert_eq!(request.tooling.choice, ToolChoice::Named("f".to_owned()));
    assert!(request.sampling.constraint.is_some());
    assert_eq!(request.variables["reasoning_effort"], "high");
    assert_eq!(request.metadata["a"], "b");
    assert!(request.stream);
}

#[test]
fn what_is_not_honoured_is_refused_by_name() {
    for (fields, param) in [
        (json!({"input": null}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": 7}), "input"),
        (json!({"input": ["Hi"]}), "input[0]"),
        (json!({"input": [{}]}), "input[0].type"),
        (
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            "input[0].type",
        ),
        (
            json!({"input": [message("tool", json!("x"))]}),
            "input[0].role",
        ),
        (
            json!({"input": [message("user", json!(7))]}),
            "input[0].content",
        ),
        (
            json!({"input": [message("user", json!([{"type": "input_image", "image_url": "data:"}]))]}),
            "input[0].content[0].image_url",
        ),
        (
            json!({"input": [message("user", json!([{"type": "input_image", "file_id": "f"}]))]}),
            "input[0].content[0].file_id",
        ),
        (
            json!({"input": [message("assistant", json!([{"type": "input_image", "image_url": PIXEL}]))]}),
            "input[0].content",
        ),
        (
            json!({"input": [message("user", json!(vec![json!({"type": "input_image", "image_url": PIXEL}); 2]))]}),
            "input",
        ),
        (
            json!({"input": [{"type": "function_call_output", "call_id": "a", "output": "1"}]}),
            "input",
        ),
        (
            json!({"input": [{"type": "reasoning", "summary": []}]}),
            "input",
        ),
        (
            json!({"input": [{"type": "function_call", "call_id": "a", "name": "f", "arguments": "x"}]}),
            "input[0].arguments",
        ),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tool_choice": {"type": "mcp"}}), "tool_choice.type"),
        (
            json!({"text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n"}}}),
            "text.format.schema",
        ),
        (json!({"text": {"verbosity": "low"}}), "text.verbosity"),
        (json!({"reasoning": {"effort": "much"}}), "reasoning.effort"),
        (
            json!({"reasoning": {"summary": "detailed"}}),
            "reasoning.summary",
        ),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"include": ["everything"]}), "include[0]"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"max_tool_calls": 1}), "max_tool_calls"),
        (json!({"store": "yes"}), "store"),
        (
            json!({"stream_options": {"include_obfuscation": true}}),
            "stream_options.include_obfuscation",
        ),
    ] {
        check_refused(fields, param);
    }
}

#[test]
fn each_limit_is_reached() {
    let hi = message("user", json!("Hi"));
    assert!(chat(json!({"input": vec![hi.clone(); 4]})).is_ok());
    check_refused(json!({"input": vec![hi.clone(); 5]}), "input");
    check_refused(json!({"input": "x".repeat(101)}), "input");
    check_refused(json!({"instructions": "x".repeat(101)}), "instructions");
    let text = json!({"type": "input_text", "text": "x"});
    let parts = message("user", json!([text, text, text]));
    check_refused(json!({"input": [parts]}), "input[0].content");
    let tool = |name: &str| json!({"type": "function", "name": name});
    check_refused(json!({"tools": [tool("a"), tool("b"), tool("c")]}), "tools");
}

#[test]
fn it_goes_on_from_what_was_kept() {
    let mut first = parse(json!({"input": "One?"})).unwrap();
    first.name_input("resp_1");
    let mut events = Events::new(Response::new(
        "resp_1".to_owned(),
        ChunkHead::default(),
        first.settings.clone(),
    ));
    events.text("One.", Vec::new());
    events.answer_ends(FinishReason::Stop);
    events.settle(FinishReason::Stop, ResponseUsage::default(), 9);
    let kept = Kept {
        response: events.response().clone(),
        input: first.input,
        depth: 0,
    };
    let back = Kept::from_json(&kept.to_json()).unwrap();
    assert_eq!(back, kept);
    assert_eq!(back.input[0].id(), "msg_1i000");
    let history: Vec<Item> = back.into_items().collect();
    let second = parse(json!({"previous_response_id": "resp_1", "instructions": "New."})).unwrap();
    let said: Vec<String> = second
        .conversation(&history)
        .unwrap()
        .messages
        .into_iter()
        .map(|message| format!("{}: {}", message.role.as_str(), message.content))
        .collect();
    assert_eq!(
        said,
        ["system: New.", "user: One?", "assistant: One.", "user: Hi"]
    );
    let long = vec![history[0].clone(); 4];
    assert_eq!(
        second.conversation(&long).unwrap_err().param.as_deref(),
        Some("input")
    );
}

#[test]
fn errors_of_chats_are_said_in_the_words_of_responses() {
    let check = |before: &str, after: &str| {
        let error = ApiError::invalid_value(before, format!("`{before}` is bad."));
        let error = in_words_of_responses(error);
        assert_eq!(error.param.as_deref(), Some(after));
        assert!(!error.message.contains("messages"), "{error}");
    };
    check("messages", "input");
    check("response_format", "text.format");
    check("tools[3].function.parameters", "tools[3].parameters");
    check("temperature", "temperature");
}

/// A piece of an answer.
#[derive(Debug, Clone)]
enum Step {
    Text(String),
    Reasoning(String),
    Call,
    Arguments(String),
    ItemEnds,
    NodeCall(CallStatus),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        "[a-c]{0,3}".prop_map(Step::Text),
        "[a-c]{0,3}".prop_map(Step::Reasoning),
        Just(Step::Call),
        "[a-c]{0,3}".prop_map(Step::Arguments),
        Just(Step::ItemEnds),
        Just(Step::NodeCall(CallStatus::Completed)),
        Just(Step::NodeCall(CallStatus::Failed)),
    ];
    prop::collection::vec(step, 0..24)
}

/// How an answer ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Whole(FinishReason),
    Failed,
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        Just(End::Whole(FinishReason::Stop)),
        Just(End::Whole(FinishReason::Length)),
        Just(End::Whole(FinishReason::ToolCalls)),
        Just(End::Failed),
    ]
}

/// All events of an answer, as clients get them, and the response at its end.
fn played(steps: &[Step], end: End) -> (Vec<Value>, Value) {
    let settings = parse(json!({})).unwrap().settings;
    let response = Response::new("resp_7".to_owned(), ChunkHead::default(), settings);
    let mut events = Events::new(response);
    let mut out = events.take();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Text(text) => events.text(text, Vec::new()),
            Step::Reasoning(text) => events.reasoning(text),
            Step::Call => events.call(format!("call_{index}"), "f".to_owned()),
            Step::Arguments(text) => events.arguments(text),
            Step::ItemEnds => events.item_ends(),
            Step::NodeCall(status) => events.node_call(NodeCall {
                name: "weather".to_owned(),
                arguments: "{}".to_owned(),
                status: *status,
                ms: 1,
                bytes: 2,
            }),
        }
        out.extend(events.take());
    }
    match end {
        End::Whole(reason) => {
            events.answer_ends(reason);
            events.settle(reason, ResponseUsage::new(Usage::new(3, 2, 1), 1), 9);
            events.finish();
        }
        End::Failed => events.fail(&ApiError::internal("No.")),
    }
    out.extend(events.take());
    let out = out.iter().map(|event| {
        let bytes = event.to_sse();
        let text = String::from_utf8(bytes).unwrap();
        let (name, data) = text.trim_end().split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", data["type"].as_str().unwrap()));
        data
    });
    let response = serde_json::to_value(events.response()).unwrap();
    (out.collect(), response)
}

/// A client that puts a response together from nothing but events, and is surprised by none.
#[derive(Default)]
struct Client {
    items: Vec<Value>,
    /// The item that grows, with its text so far and whether a piece of content is open.
    open: Option<(Value, String, bool)>,
}

impl Client {
    fn take(&mut self, event: &Value) {
        let kind = event["type"].as_str().unwrap();
        let index = event["output_index"].as_u64().unwrap();
        assert_eq!(index, self.items.len() as u64, "{event}");
        if kind == "response.output_item.added" {
            assert!(self.open.is_none(), "{event}");
            assert_eq!(event["item"]["status"], "in_progress");
            self.open = Some((event["item"].clone(), String::new(), false));
            return;
        }
        let (item, text, content) = self.open.as_mut().expect("an item was added");
        let id = item["id"].clone();
        match kind {
            "response.output_item.done" => {
                assert!(!*content && event["item"]["id"] == id, "{event}");
                assert_ne!(event["item"]["status"], "in_progress");
                self.items.push(event["item"].clone());
                self.open = None;
                return;
            }
            "response.content_part.added" => {
                assert!(!std::mem::replace(content, true), "{event}");
                assert_eq!(event["part"]["text"], "");
            }
            "response.content_part.done" => {
                assert!(std::mem::replace(content, false), "{event}");
                assert_eq!(event["part"]["text"], text.as_str());
            }
            "response.output_text.delta" | "response.reasoning_text.delta" => {
                assert!(*content, "{event}");
                text.push_str(event["delta"].as_str().unwrap());
            }
            "response.output_text.done" | "response.reasoning_text.done" => {
                assert!(*content && event["text"] == text.as_str(), "{event}");
            }
            "response.function_call_arguments.delta" => {
                assert_eq!(item["type"], "function_call");
                text.push_str(event["delta"].as_str().unwrap());
            }
            "response.mcp_call.in_progress"
            | "response.mcp_call.completed"
            | "response.mcp_call.failed" => assert_eq!(item["type"], "mcp_call"),
            "response.mcp_call_arguments.done" => {
                assert_eq!(event["arguments"], item["arguments"]);
            }
            "response.function_call_arguments.done" => {
                assert_eq!(event["arguments"], text.as_str());
                assert_eq!(event["name"], item["name"]);
            }
            other => panic!("{other} is no event of an item"),
        }
        assert_eq!(event["item_id"], id);
    }
}

fn is_of_response(event: &Value) -> bool {
    event["response"].is_object()
}

proptest! {
    #[test]
    fn events_are_a_legal_sequence(steps in steps(), end in ends()) {
        let (events, response) = played(&steps, end);
        for (index, event) in events.iter().enumerate() {
            prop_assert_eq!(event["sequence_number"].as_u64(), Some(index as u64));
        }
        prop_assert_eq!(&events[0]["type"], "response.created");
        prop_assert_eq!(&events[1]["type"], "response.in_progress");
        let last = events.last().unwrap();
        let expected = match end {
            End::Whole(FinishReason::Length) => "incomplete",
            End::Whole(_) => "completed",
            End::Failed => "failed",
        };
        prop_assert_eq!(last["type"].as_str().unwrap(), format!("response.{expected}"));
        prop_assert_eq!(&last["response"]["status"], expected);
        prop_assert_eq!(&last["response"], &response);
        let between = &events[2..events.len() - 1];
        prop_assert!(!between.iter().any(is_of_response));
        let mut client = Client::default();
        between.iter().for_each(|event| client.take(event));
        prop_assert!(client.open.is_none());
        prop_assert_eq!(&Value::Array(client.items), &response["output"]);
    }

    /// Nothing of what the model said is lost, and nothing is said twice.
    #[test]
    fn what_was_said_is_in_the_response(steps in steps()) {
        let (_, response) = played(&steps, End::Whole(FinishReason::Stop));
        let said: String = steps.iter().filter_map(|step| match step {
            Step::Text(text) => Some(text.as_str()),
            _ => None,
        }).collect();
        let items = response["output"].as_array().unwrap();
        let got: String = items.iter().filter(|item| item["type"] == "message")
            .flat_map(|item| item["content"].as_array().unwrap())
            .map(|part| part["text"].as_str().unwrap()).collect();
        prop_assert_eq!(got, said);
    }
}

#[test]
fn an_answer_without_a_word_is_an_empty_message() {
    let (events, response) = played(&[], End::Whole(FinishReason::Stop));
    assert_eq!(events.len(), 8, "{events:#?}");
    assert_eq!(response["output"][0]["content"][0]["text"], "");
    assert_eq!(
        response["usage"]["input_tokens_details"]["cached_tokens"],
        1
    );
    assert_eq!(response["completed_at"], 9);
}

#[test]
fn what_the_token_limit_cuts_is_incomplete() {
    let steps = [
        Step::Text("a".to_owned()),
        Step::Call,
        Step::Arguments("{".to_owned()),
    ];
    let (_, response) = played(&steps, End::Whole(FinishReason::Length));
    assert_eq!(
        response["incomplete_details"]["reason"],
        "max_output_tokens"
    );
    let statuses: Vec<&Value> = response["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["status"])
        .collect();
    assert_eq!(statuses, ["completed", "incomplete"]);
    assert_eq!(response["completed_at"], Value::Null);
}

/// The keys of OpenAI's own object are all there, empty or not.
#[test]
fn a_response_has_all_its_keys() {
    let (_, response) = played(&[], End::Failed);
    let map: &Map<String, Value> = response.as_object().unwrap();
    for key in [
        "id",
        "object",
        "created_at",
        "completed_at",
        "status",
        "background",
        "error",
        "incomplete_details",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "model",
        "output",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "usage",
        "user",
        "metadata",
    ] {
        assert!(map.contains_key(key), "{key}");
    }
    assert_eq!(response["error"]["code"], "server_error");
    assert_eq!(response["object"], "response");
}
