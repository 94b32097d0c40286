//! What callers send, and what is understood: one line a case.

#![allow(
    clippy::unwrap_used,
    reason = "a helper that cannot go on is a failed test"
)]

use gaia_openai::completion::{CompletionChoice, CompletionLogProbs};
use gaia_openai::embedding::{EmbeddingInput, Encoding, Vector};
use gaia_openai::input::Input;
use gaia_openai::{
    ApiError, ChatRequest, CompletionRequest, Constraint, EmbeddingReply, EmbeddingRequest, Limits,
    Role, ServiceTier, ToolChoice,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn limits() -> Limits {
    Limits {
        messages_max: 3,
        parts_max: 3,
        text_bytes_max: 100,
        stop_bytes_max: 8,
        logit_bias_max: 2,
        inputs_max: 3,
        input_tokens_max: 4,
        grammar_bytes_max: 20,
        name_bytes_max: 10,
        metadata_max: 2,
        tokens_max: 1000,
        ..Limits::default()
    }
}

fn parse(fields: Value) -> Result<ChatRequest, ApiError> {
    let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    ChatRequest::parse(body.to_string().as_bytes(), &limits())
}

#[track_caller]
fn accepted(fields: Value) -> ChatRequest {
    parse(fields).unwrap()
}

/// Refused with 400, naming `param`.
#[track_caller]
fn refused(param: &str, fields: Value) {
    let shown = fields.to_string();
    let error = parse(fields).expect_err(&shown);
    assert_eq!(
        (error.status, error.param.as_deref()),
        (400, Some(param)),
        "{shown}: {error}"
    );
}

/// Refused as part of the API that this node does not honour yet.
#[track_caller]
fn not_yet(param: &str, fields: Value) {
    refused(param, fields.clone());
    let code = parse(fields).unwrap_err().code;
    assert_eq!(code.as_deref(), Some("unsupported_parameter"), "{param}");
}

#[test]
fn bodies_that_are_no_request() {
    for body in ["", "x", "[]", "{\"messages\":[", "null", "{} {}"] {
        let error = ChatRequest::parse(body.as_bytes(), &limits()).unwrap_err();
        assert_eq!((error.status, error.param), (400, None), "{body}");
    }
    assert!(ChatRequest::parse(b"\xff", &limits()).is_err());
    let deep = "[".repeat(100_000);
    assert!(ChatRequest::parse(deep.as_bytes(), &limits()).is_err());
}

#[test]
fn messages() {
    let request = accepted(json!({"messages": [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ada"},
        {"role": "assistant", "content": "c", "tool_calls": null, "refusal": null},
    ]}));
    let seen: Vec<(Role, &str)> = request
        .messages
        .iter()
        .map(|m| (m.role, m.content.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (Role::System, "Be kind."),
            (Role::User, "a\nb"),
            (Role::Assistant, "c")
        ]
    );
    assert_eq!(request.messages[1].name.as_deref(), Some("Ada"));

    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    refused("messages", json!({"messages": null}));
    refused("messages", json!({"messages": []}));
    refused("messages", json!({"messages": "Hi"}));
    refused("messages[0]", json!({"messages": ["Hi"]}));
    refused("messages[0].role", json!({"messages": [{"content": "x"}]}));
    refused(
        "messages[0].role",
        json!({"messages": [{"role": "robot", "content": "x"}]}),
    );
    refused(
        "messages[0].content",
        json!({"messages": [{"role": "user"}]}),
    );
    refused("messages[0].content", user(json!(5)));
    refused("messages[0].content", user(json!([])));
    refused("messages[0].content[0].type", user(json!([{"text": "x"}])));
    refused(
        "messages[0].content[0].text",
        user(json!([{"type": "text"}])),
    );
    refused(
        "messages[0].content[0].type",
        user(json!([{"type": "video"}])),
    );
    not_yet(
        "messages[0].content[0].image_url.url",
        user(json!([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])),
    );
    refused(
        "messages[0].content[0].image_url",
        user(json!([{"type": "image_url"}])),
    );
    not_yet(
        "messages[0].content[0].image_url.detail",
        user(json!([{"type": "image_url", "image_url": {"url": PIXEL, "detail": "tiny"}}])),
    );
    refused(
        "messages[0].content",
        user(json!(vec![
            json!({"type": "image_url", "image_url": {"url": PIXEL}});
            9
        ])),
    );
    not_yet(
        "messages[0].content",
        json!({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}]}),
    );
    not_yet(
        "messages[0].role",
        json!({"messages": [{"role": "function", "content": "x", "name": "f"}]}),
    );
    not_yet(
        "messages[0].tool_calls",
        json!({"messages": [{"role": "user", "content": "", "tool_calls": [{}]}]}),
    );
}

/// Whether it is an image, others find out.
const PIXEL: &str = "data:image/png;base64,AAEC";

#[test]
fn images_are_named_where_they_stand() {
    let image = json!({"type": "image_url", "image_url": {"url": PIXEL, "detail": "auto"}});
    let content =
        json!([{"type": "text", "text": "Look:"}, image, {"type": "text", "text": "Well?"}]);
    let body = json!({"messages": [{"role": "user", "content": content}]}).to_string();
    let request = ChatRequest::parse(body.as_bytes(), &Limits::default()).unwrap();
    let message = &request.messages[0];
    assert_eq!(message.images.len(), 1);
    assert_eq!(message.images[0].bytes(), [0, 1, 2]);
    let name = message.images[0].name();
    assert_eq!(message.content, format!("Look:\n{name}\nWell?"));
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn calling(calls: Value) -> Value {
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

fn result(id: &str) -> Value {
    json!({"role": "tool", "content": "x", "tool_call_id": id})
}

#[test]
fn messages_with_calls() {
    let calls = json!([call("a", "f", "{\"x\": 1}"), call("b", "g", "")]);
    let request = accepted(json!({"messages": [calling(calls), result("b"), result("a")]}));
    let [said, answer, _] = request.messages.as_slice() else {
        panic!("{request:?}");
    };
    assert_eq!((said.role, said.content.as_str()), (Role::Assistant, ""));
    assert_eq!(said.tool_calls[0].arguments, "{\"x\": 1}");
    assert_eq!(said.tool_calls[1].arguments, "{}");
    assert_eq!(answer.tool_call_id.as_deref(), Some("b"));
    let back = serde_json::to_value(said).unwrap();
    assert_eq!(back["tool_calls"][0], call("a", "f", "{\"x\": 1}"));

    let bad = |param: &str, call: Value| {
        let at = format!("messages[0].tool_calls[0].{param}");
        refused(&at, json!({"messages": [calling(json!([call]))]}));
    };
    bad(
        "type",
        json!({"id": "a", "function": {"name": "f", "arguments": "{}"}}),
    );
    bad(
        "id",
        json!({"type": "function", "function": {"name": "f", "arguments": "{}"}}),
    );
    bad("id", call("12345678901", "f", "{}"));
    bad("function", json!({"id": "a", "type": "function"}));
    bad("function.name", call("a", "f g", "{}"));
    bad("function.name", call("a", "", "{}"));
    bad("function.arguments", call("a", "f", "{\"x\": "));
    bad("function.arguments", call("a", "f", "[]"));
    refused(
        "messages[0].tool_calls[1].id",
        json!({"messages": [calling(json!([call("a", "f", "{}"), call("a", "f", "{}")]))]}),
    );
    let many: Vec<Value> = (0..33).map(|id| call(&id.to_string(), "f", "{}")).collect();
    refused(
        "messages[0].tool_calls",
        json!({"messages": [calling(json!(many))]}),
    );
    let large = format!("{{\"x\": \"{}\"}}", "y".repeat(100));
    refused(
        "messages",
        json!({"messages": [calling(json!([call("a", "f", &large)]))]}),
    );
}

#[test]
fn a_tool_message_needs_a_call_it_answers() {
    let said = calling(json!([call("a", "f", "{}")]));
    let user = json!({"role": "user", "content": "Hi"});
    let refused = |at: usize, messages: Value| {
        let param = format!("messages[{at}].tool_call_id");
        refused(&param, json!({ "messages": messages }));
    };
    accepted(json!({"messages": [said, result("a")]}));
    refused(0, json!([result("a")]));
    refused(1, json!([said, result("b")]));
    refused(2, json!([said, user, result("a")]));
    refused(2, json!([said, result("a"), result("a")]));
    refused(1, json!([said, {"role": "tool", "content": "x"}]));
}

#[test]
fn messages_within_their_limits() {
    let message = json!({"role": "user", "content": "x"});
    accepted(json!({"messages": [message, message, message]}));
    refused(
        "messages",
        json!({"messages": [message, message, message, message]}),
    );
    let half = json!({"role": "user", "content": "x".repeat(51)});
    accepted(json!({"messages": [half]}));
    refused("messages", json!({"messages": [half, half]}));
    let part = json!({"type": "text", "text": "x"});
    refused(
        "messages[0].content",
        json!({"messages": [{"role": "user", "content": [part, part, part, part]}]}),
    );
    refused(
        "messages[0].name",
        json!({"messages": [{"role": "user", "content": "x", "name": "x".repeat(11)}]}),
    );
}

#[test]
fn numbers_in_their_ranges() {
    for (key, low, high) in [
        ("temperature", -0.1, 2.1),
        ("top_p", -0.1, 1.1),
        ("min_p", -0.1, 1.1),
        ("presence_penalty", -2.1, 2.1),
        ("frequency_penalty", -2.1, 2.1),
        ("repeat_penalty", 0.0, 10.1),
    ] {
        refused(key, json!({key: low}));
        refused(key, json!({key: high}));
        refused(key, json!({key: "1"}));
        accepted(json!({key: 1}));
        accepted(json!({key: null}));
    }
    for key in ["max_tokens", "max_completion_tokens"] {
        refused(key, json!({key: 0}));
        refused(key, json!({key: -2}));
        assert_eq!(accepted(json!({key: -1})).sampling.tokens_max, None);
        refused(key, json!({key: 1.5}));
        refused(key, json!({key: 1001}));
        refused(key, json!({key: u64::MAX}));
        assert_eq!(accepted(json!({key: 7.0})).sampling.tokens_max, Some(7));
    }
    let both = accepted(json!({"max_tokens": 1, "max_completion_tokens": 2}));
    assert_eq!(both.sampling.tokens_max, Some(2));
    assert_eq!(
        accepted(json!({"frequency_penalty": -1.5}))
            .sampling
            .frequency_penalty,
        Some(-1.5)
    );
    refused("top_k", json!({"top_k": -2}));
    assert_eq!(accepted(json!({"top_k": -1})).sampling.top_k, Some(0));
    assert_eq!(
        accepted(json!({"top_k": 0, "seed": -1})).sampling.seed,
        Some(u32::MAX - 1)
    );
    refused("seed", json!({"seed": 0.5}));
    refused("seed", json!({"seed": u64::MAX}));
}

#[test]
fn stop_sequences() {
    let stop = |value: Value| accepted(json!({"stop": value})).sampling.stop;
    assert_eq!(stop(json!("a")), ["a"]);
    assert_eq!(stop(json!(["a", "b", "c", "d"])), ["a", "b", "c", "d"]);
    assert!(stop(json!(null)).is_empty() && stop(json!([])).is_empty());
    refused("stop", json!({"stop": ["a", "b", "c", "d", "e"]}));
    refused("stop", json!({"stop": ""}));
    refused("stop", json!({"stop": [1]}));
    refused("stop", json!({"stop": 1}));
    refused("stop", json!({"stop": "123456789"}));
}

#[test]
fn biases() {
    let bias = accepted(json!({"logit_bias": {"5": -100, "7": 0.5}}))
        .sampling
        .logit_bias;
    assert_eq!(
        (bias[0].token, bias[0].bias, bias[1].bias),
        (5, -100.0, 0.5)
    );
    refused("logit_bias", json!({"logit_bias": {"x": 1}}));
    refused("logit_bias", json!({"logit_bias": {"-1": 1}}));
    refused("logit_bias", json!({"logit_bias": {"4294967295": 1}}));
    refused("logit_bias", json!({"logit_bias": {"1": 101}}));
    refused("logit_bias", json!({"logit_bias": {"1": "1"}}));
    refused("logit_bias", json!({"logit_bias": [[1, 1]]}));
    refused(
        "logit_bias",
        json!({"logit_bias": {"1": 1, "2": 1, "3": 1}}),
    );
}

#[test]
fn log_probabilities() {
    assert_eq!(accepted(json!({})).logprobs, None);
    assert_eq!(
        accepted(json!({"logprobs": false, "top_logprobs": 0})).logprobs,
        None
    );
    assert_eq!(accepted(json!({"logprobs": true})).logprobs, Some(0));
    assert_eq!(
        accepted(json!({"logprobs": true, "top_logprobs": 20})).logprobs,
        Some(20)
    );
    refused(
        "top_logprobs",
        json!({"logprobs": true, "top_logprobs": 21}),
    );
    refused("top_logprobs", json!({"top_logprobs": 1}));
    refused("logprobs", json!({"logprobs": 1}));
}

#[test]
fn streaming() {
    let request = accepted(json!({"stream": true, "stream_options": {"include_usage": true}}));
    assert!(request.stream && request.include_usage);
    assert!(!accepted(json!({"stream": true, "stream_options": {}})).include_usage);
    refused("stream", json!({"stream": "yes"}));
    refused(
        "stream_options",
        json!({"stream_options": {"include_usage": true}}),
    );
    refused(
        "stream_options.include_usage",
        json!({"stream": true, "stream_options": {"include_usage": 1}}),
    );
}

#[test]
fn constraints() {
    let constraint = |fields: Value| accepted(fields).sampling.constraint;
    assert_eq!(
        constraint(json!({"response_format": {"type": "text"}})),
        None
    );
    let accepts = |fields: Value, text: &str| match constraint(fields) {
        Some(Constraint::Schema(schema)) => schema.grammar.accepts(text),
        other => panic!("{other:?}"),
    };
    let object = json!({"response_format": {"type": "json_object"}});
    assert!(accepts(object.clone(), "{\"a\": [1]}"));
    assert!(!accepts(object, "[1]"));
    let one = json!({"response_format": {"type": "json_object", "schema": {"const": 1}}});
    assert!(accepts(one.clone(), "1") && !accepts(one, "{}"));
    let schema = json!({"type": "object", "properties": {"z": {}, "a": {}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}});
    for fields in [
        json!({"json_schema": schema}),
        json!({"response_format": format}),
    ] {
        assert!(accepts(fields.clone(), "{\"z\": 1, \"a\": 2}"));
        assert!(
            !accepts(fields, "{\"a\": 2, \"z\": 1}"),
            "in the schema's order"
        );
    }
    assert_eq!(
        constraint(json!({"grammar": "root ::= \"a\""})),
        Some(Constraint::Grammar("root ::= \"a\"".to_owned()))
    );

    refused("response_format", json!({"response_format": "json"}));
    refused("response_format.type", json!({"response_format": {}}));
    refused(
        "response_format.type",
        json!({"response_format": {"type": "xml"}}),
    );
    refused(
        "response_format.json_schema",
        json!({"response_format": {"type": "json_schema"}}),
    );
    refused(
        "response_format.json_schema.schema",
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}),
    );
    refused(
        "response_format.json_schema.schema",
        json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}}),
    );
    refused("json_schema", json!({"json_schema": {"type": "strnig"}}));
    refused("grammar", json!({"grammar": "x".repeat(21)}));
    refused("grammar", json!({"grammar": "root ::= root"}));
    refused(
        "response_format",
        json!({"grammar": "root ::= \"a\"", "json_schema": {}}),
    );
}

#[test]
fn what_is_not_honoured_yet_says_so() {
    not_yet("tools[0].type", json!({"tools": [{"type": "custom"}]}));
    not_yet("functions", json!({"functions": [{}]}));
    not_yet("function_call", json!({"function_call": {"name": "f"}}));
    assert!(accepted(json!({"store": true})).store);
    not_yet("modalities", json!({"modalities": ["text", "audio"]}));
    not_yet("audio", json!({"audio": {}}));
    not_yet("prediction", json!({"prediction": {}}));
    not_yet("web_search_options", json!({"web_search_options": {}}));
    refused("n", json!({"n": 0}));
    refused("n", json!({"n": 9}));
    refused("n", json!({"n": "1"}));
    refused("store", json!({"store": "no"}));
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn tools() {
    let offered = |fields: Value| accepted(fields).tooling;
    assert_eq!(offered(json!({})).choice, ToolChoice::Auto);
    let tooling = offered(json!({"tools": [tool("f"), tool("g")]}));
    assert_eq!((tooling.choice, tooling.parallel), (ToolChoice::Auto, true));
    assert_eq!(tooling.tools[1].name, "g");
    let bare = json!([{"type": "function", "function": {"name": "f", "strict": true, "description": "d"}}]);
    let tooling = offered(json!({"tools": bare, "parallel_tool_calls": false}));
    assert_eq!(tooling.tools[0].parameters["type"], "object");
    assert!(tooling.tools[0].strict && !tooling.parallel);

    let choice = |choice: Value| offered(json!({"tools": [tool("f")], "tool_choice": choice}));
    assert_eq!(choice(json!("required")).choice, ToolChoice::Required);
    let named = json!({"type": "function", "function": {"name": "f"}});
    assert_eq!(choice(named).choice, ToolChoice::Named("f".to_owned()));
    let none = choice(json!("none"));
    assert!(none.offered().is_empty() && none.tools.len() == 1);
}

#[test]
fn tools_that_are_none() {
    let function = |function: Value| json!({"tools": [{"type": "function", "function": function}]});
    refused("tools", json!({"tools": {}}));
    refused("tools[0]", json!({"tools": ["f"]}));
    refused("tools[0].type", json!({"tools": [{}]}));
    refused(
        "tools[0].function",
        json!({"tools": [{"type": "function"}]}),
    );
    refused("tools[0].function.name", function(json!({})));
    refused("tools[0].function.name", function(json!({"name": "a b"})));
    refused(
        "tools[0].function.name",
        function(json!({"name": "x".repeat(65)})),
    );
    refused(
        "tools[0].function.parameters",
        function(json!({"name": "f", "parameters": []})),
    );
    refused(
        "tools[0].function.strict",
        function(json!({"name": "f", "strict": 1})),
    );
    refused(
        "tools[1].function.name",
        json!({"tools": [tool("f"), tool("f")]}),
    );

    let with = |choice: Value| json!({"tools": [tool("f")], "tool_choice": choice});
    refused("tool_choice", with(json!("always")));
    refused("tool_choice", with(json!(1)));
    let cannot_be_met = |fields: Value| {
        let error = accepted(fields).tooling.check().unwrap_err();
        assert_eq!(error.param.as_deref(), Some("tool_choice"));
    };
    cannot_be_met(json!({"tool_choice": "required"}));
    cannot_be_met(with(json!({"type": "function", "function": {"name": "g"}})));
    assert_eq!(accepted(with(json!("required"))).tooling.check(), Ok(()));
    refused("tool_choice.function", with(json!({"type": "function"})));
    let named = json!({"type": "function", "function": {"name": "f"}});
    let allowed = |allowed: Value| with(json!({"type": "allowed_tools", "allowed_tools": allowed}));
    refused(
        "tool_choice.allowed_tools",
        with(json!({"type": "allowed_tools"})),
    );
    refused(
        "tool_choice.allowed_tools.tools",
        allowed(json!({"mode": "auto"})),
    );
    refused(
        "tool_choice.allowed_tools.mode",
        allowed(json!({"mode": "often", "tools": [named]})),
    );
    let other = json!({"type": "function", "function": {"name": "g"}});
    refused("tool_choice", allowed(json!({"tools": [other]})));
    let tools = json!([tool("f"), tool("g")]);
    let choice =
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [other]}});
    let tooling = accepted(json!({"tools": tools, "tool_choice": choice})).tooling;
    assert_eq!(tooling.choice, ToolChoice::Required);
    let names: Vec<_> = tooling.tools.iter().map(|tool| &tool.name).collect();
    assert_eq!(names, ["g"]);
    refused("parallel_tool_calls", json!({"parallel_tool_calls": 1}));
}

#[test]
fn tools_within_their_limits() {
    let many =
        |count: usize| -> Vec<Value> { (0..count).map(|id| tool(&format!("f{id}"))).collect() };
    accepted(json!({"tools": many(128)}));
    refused("tools", json!({"tools": many(129)}));
    let large = |bytes: usize| {
        let parameters = json!({"type": "object", "description": "x".repeat(bytes)});
        json!({"tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]})
    };
    accepted(large(65_000));
    refused("tools", large(65 << 10));
}

#[test]
fn what_templates_are_told() {
    let told = |fields: Value| Value::Object(accepted(fields).variables);
    assert_eq!(told(json!({})), json!({}));
    let effort = |effort: &str| told(json!({"reasoning_effort": effort}));
    assert_eq!(
        effort("none"),
        json!({"reasoning_effort": "low", "enable_thinking": false})
    );
    assert_eq!(
        effort("xhigh"),
        json!({"reasoning_effort": "high", "enable_thinking": true})
    );
    let own = json!({"reasoning_effort": "high", "chat_template_kwargs": {"enable_thinking": false, "x": 1}});
    assert_eq!(
        told(own),
        json!({"reasoning_effort": "high", "enable_thinking": false, "x": 1})
    );

    refused("reasoning_effort", json!({"reasoning_effort": "huge"}));
    let own = |key: &str, value: Value| {
        let param = format!("chat_template_kwargs.{key}");
        refused(&param, json!({"chat_template_kwargs": {key: value}}));
    };
    own("messages", json!("x"));
    own(&"x".repeat(65), json!(1));
    own("tools", json!(null));
    own("builtin_tools", json!(["python"]));
    own("x", json!("12345678901"));
    let many: Value = (0..17).map(|id| (format!("v{id}"), json!(1))).collect();
    refused(
        "chat_template_kwargs",
        json!({"chat_template_kwargs": many}),
    );
}

#[test]
fn the_tier_says_how_urgent_it_is() {
    let tier = |tier: Value| accepted(json!({"service_tier": tier})).service_tier;
    assert_eq!(tier(json!(null)), None);
    assert_eq!(tier(json!("auto")), Some(ServiceTier::Default));
    assert_eq!(tier(json!("default")), Some(ServiceTier::Default));
    assert_eq!(tier(json!("flex")), Some(ServiceTier::Flex));
    assert_eq!(tier(json!("priority")), Some(ServiceTier::Priority));
    refused("service_tier", json!({"service_tier": "scale"}));
    refused("service_tier", json!({"service_tier": 1}));
}

#[test]
fn what_asks_for_nothing_passes() {
    accepted(json!({
        "tools": [], "tool_choice": "auto", "functions": null, "n": 1, "store": false,
        "modalities": ["text"], "audio": null, "service_tier": "auto", "parallel_tool_calls": true,
        "reasoning_effort": null, "unheard_of": {"a": [1]}, "user": "u", "prompt_cache_key": "k",
    }));
    refused("user", json!({"user": 1}));
    refused("model", json!({"model": "x".repeat(11)}));
    assert_eq!(accepted(json!({"metadata": {"a": "b"}})).metadata["a"], "b");
    refused("metadata", json!({"metadata": {"a": 1}}));
    refused(
        "metadata",
        json!({"metadata": {"a": "1", "b": "2", "c": "3"}}),
    );
}

#[track_caller]
fn completion(fields: Value) -> Result<CompletionRequest, ApiError> {
    CompletionRequest::parse(fields.to_string().as_bytes(), &limits())
}

#[test]
fn completions() {
    let prompts =
        |prompt: Value| completion(json!({"prompt": prompt})).map(|request| request.prompts);
    let text = |text: &str| Input::Text(text.to_owned());
    assert_eq!(prompts(json!("a")), Ok(vec![text("a")]));
    assert_eq!(prompts(json!(["a", "b"])), Ok(vec![text("a"), text("b")]));
    assert_eq!(prompts(json!([1, 2])), Ok(vec![Input::Tokens(vec![1, 2])]));
    assert_eq!(
        prompts(json!([[1], [2]])),
        Ok(vec![Input::Tokens(vec![1]), Input::Tokens(vec![2])])
    );
    assert_eq!(
        completion(json!({"prompt": "a"}))
            .unwrap()
            .sampling
            .tokens_max,
        Some(16)
    );
    let echoed = |mut fields: Value| {
        fields["prompt"] = json!("a");
        let request = completion(fields).unwrap();
        (request.only_echo, request.sampling.tokens_max)
    };
    let only = (true, Some(1));
    assert_eq!(echoed(json!({"echo": true, "max_tokens": 0})), only);
    let newer = json!({"echo": true, "max_tokens": 5, "max_completion_tokens": 0});
    assert_eq!(echoed(newer), only);
    let newer = json!({"echo": true, "max_tokens": 0, "max_completion_tokens": 5});
    assert_eq!(echoed(newer), (false, Some(5)));
    let one = json!({"echo": true, "max_tokens": 1, "max_completion_tokens": null});
    assert_eq!(echoed(one), (false, Some(1)));
    let refused = |param: &str, fields: Value| {
        let error = completion(fields).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{error}");
    };
    refused("max_tokens", json!({"prompt": "a", "max_tokens": 0}));
    let without = json!({"prompt": "a", "max_tokens": 0, "echo": false});
    refused("max_tokens", without);
    refused("prompt", json!({}));
    refused("prompt", json!({"prompt": []}));
    refused("prompt.content", json!({"prompt": {}}));
    refused("prompt[0]", json!({"prompt": [true]}));
    refused("prompt", json!({"prompt": [-1]}));
    refused("prompt", json!({"prompt": [4_294_967_295_u32]}));
    refused("prompt", json!({"prompt": [1, true]}));
    refused("prompt[1]", json!({"prompt": [[1], []]}));
    refused("prompt", json!({"prompt": ["a", "b", "c", "d"]}));
    refused("prompt", json!({"prompt": [1, 2, 3, 4, 5]}));
    refused("prompt", json!({"prompt": "x".repeat(101)}));
    refused("suffix", json!({"prompt": "a", "suffix": 1}));
    let long = "a".repeat(Limits::default().text_bytes_max + 1);
    refused("suffix", json!({"prompt": "a", "suffix": long}));
    refused("best_of", json!({"prompt": "a", "best_of": 2}));
    refused(
        "suffix",
        json!({"prompt": "a", "echo": true, "logprobs": 1, "suffix": "b"}),
    );
}

#[test]
fn completion_log_probabilities_are_parallel_lists() {
    let token = |text: &str| gaia_openai::chat::TokenLogProb {
        token: text.to_owned(),
        logprob: -0.5,
        bytes: None,
        top_logprobs: Vec::new(),
    };
    let logprobs = CompletionLogProbs::new(&[token("né"), token("e")], 3);
    assert_eq!(logprobs.text_offset, [3, 5]);
    let choice = CompletionChoice {
        index: 0,
        text: "née".to_owned(),
        logprobs: Some(logprobs),
        finish_reason: None,
        warning: None,
    };
    assert_eq!(
        serde_json::to_value(choice).unwrap()["logprobs"]["token_logprobs"],
        json!([-0.5, -0.5])
    );
    let echoed = CompletionLogProbs::new(&[token("n")], 2).after("Go".to_owned());
    assert_eq!((echoed.tokens.len(), &*echoed.tokens[0]), (2, "Go"));
    assert_eq!(echoed.text_offset, [0, 2]);
    let json = serde_json::to_value(echoed).unwrap();
    assert_eq!(json["token_logprobs"], json!([null, -0.5]));
    assert_eq!(json["top_logprobs"], json!([null, {}]));
}

fn embedding(fields: Value) -> Result<EmbeddingRequest, ApiError> {
    EmbeddingRequest::parse(fields.to_string().as_bytes(), &limits())
}

#[test]
fn embeddings() {
    let input = |input: Value| embedding(json!({"input": input})).map(|request| request.input);
    assert_eq!(
        input(json!("a")),
        Ok(EmbeddingInput::Texts(vec!["a".to_owned()]))
    );
    assert_eq!(
        input(json!([[1, 2], [3]])),
        Ok(EmbeddingInput::Tokens(vec![vec![1, 2], vec![3]]))
    );
    let several = input(json!(["a", [1, 2]])).unwrap();
    assert!(matches!(&several, EmbeddingInput::Several(_)) && several.len() == 2);
    assert_eq!(input(json!([1, 2])).unwrap().len(), 1);
    assert_eq!(
        input(json!("")).unwrap_err().param.as_deref(),
        Some("input")
    );
    assert_eq!(
        input(json!(["a", ""])).unwrap_err().param.as_deref(),
        Some("input")
    );
    let base64 =
        embedding(json!({"input": "a", "encoding_format": "base64", "dimensions": 2})).unwrap();
    assert_eq!(base64.encoding, Encoding::Base64);
    assert_eq!(base64.check_dimensions(2, &[]), Ok(()));
    assert_eq!(
        base64
            .check_dimensions(3, &[])
            .unwrap_err()
            .param
            .as_deref(),
        Some("dimensions")
    );
    assert!(embedding(json!({"input": "a", "encoding_format": "hex"})).is_err());
    assert_eq!(base64.check_dimensions(3, &[1, 2]), Ok(()));
    // Nothing can be made longer.
    assert!(base64.check_dimensions(1, &[2]).is_err());
    let mut vectors = vec![vec![3.0, 4.0, 12.0], vec![0.0; 3]];
    base64.cut(&mut vectors);
    assert_eq!(vectors, [vec![0.6, 0.8], vec![0.0; 2]]);
    assert!(embedding(json!({"input": "a", "dimensions": 0})).is_err());
}

#[test]
fn vectors_are_written_as_asked() {
    let reply = EmbeddingReply::new("m", &[vec![1.0, -0.5]], Encoding::Base64, 3);
    assert_eq!(
        serde_json::to_value(&reply).unwrap(),
        json!({
            "object": "list",
            "data": [{"object": "embedding", "embedding": "AACAPwAAAL8=", "index": 0}],
            "model": "m",
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        })
    );
    assert_eq!(Vector::Base64("AAA=".to_owned()).values(), None);
}

proptest! {
    #[test]
    fn vectors_survive_base64(values: Vec<f32>) {
        let back = Vector::new(&values, Encoding::Base64).values().unwrap();
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&values));
    }

    /// Whatever is sent, there is an answer and no panic; a refusal is a 400.
    #[test]
    fn any_bytes_get_an_answer(bytes: Vec<u8>) {
        for error in [
            ChatRequest::parse(&bytes, &limits()).err(),
            CompletionRequest::parse(&bytes, &limits()).err(),
            EmbeddingRequest::parse(&bytes, &limits()).err(),
        ].into_iter().flatten() {
            prop_assert_eq!(error.status, 400);
        }
    }

    /// The same for JSON that comes close.
    #[test]
    fn any_value_in_any_field_gets_an_answer(key in "messages|stop|logit_bias|response_format|seed|n|top_k|metadata|stream_options|tools|max_tokens", value in json_value()) {
        let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
        body[key.as_str()] = value;
        if let Err(error) = ChatRequest::parse(body.to_string().as_bytes(), &limits()) {
            prop_assert_eq!(error.status, 400);
            prop_assert!(error.param.is_some_and(|param| param.starts_with(key.as_str())));
        }
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,12}|json_schema|text|user".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(
                "role|content|type|schema|json_schema|[0-9]{1,3}|[a-z]{1,4}",
                inner,
                0..4
            )
            .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
        ]
    })
}
