//! Images in requests, all the way from the caller's file to the model; the projector is of random numbers, so what is
//! seen has no meaning, but it is seen.

use std::fs::File;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::node::Node;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

#[path = "../../../../host/engine/tests/engine/tiny_projector.rs"]
#[allow(dead_code, reason = "the engine's tests use more of it")]
mod tiny_projector;

/// What the small chat model has between its layers.
const WIDTH: u64 = 576;

#[test]
fn a_model_with_a_projector_sees() {
    let node = Node::new();
    node.start();
    a_blind_model_says_so(&node);
    let path = node.home().join("projector.gguf");
    tiny_projector::write(
        tiny_projector::Kind::Janus,
        WIDTH,
        &mut File::create(&path).unwrap(),
    );
    node.set("projector", &path.to_string_lossy());
    node.gaia_ok(&["restart"]);
    node.wait_until_ready();
    assert_eq!(node.get("/props").json()["modalities"]["vision"], true);
    the_same_image_is_read_once(&node);
    requests_at_a_time_see_their_own(&node);
    it_streams_and_calls_tools(&node);
    responses_keep_their_images(&node);
    what_is_no_image_is_refused(&node);
}

/// Stripes, so many pixels wide, as a file of this format.
fn file(width: u32, format: ImageFormat) -> String {
    let image = RgbImage::from_fn(60, 40, |x, _| match x / width % 2 {
        0 => Rgb([250, 20, 20]),
        _ => Rgb([10, 30, 240]),
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    let kind = format.to_mime_type();
    format!("data:{kind};base64,{}", STANDARD.encode(bytes.into_inner()))
}

fn png(width: u32) -> String {
    file(width, ImageFormat::Png)
}

fn about(url: &str) -> Value {
    json!({
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "What is to be seen here?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]}],
        "max_tokens": 6, "temperature": 0, "logprobs": true, "top_logprobs": 0,
    })
}

#[track_caller]
fn ask(node: &Node, body: &Value) -> Value {
    let answer = node.post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[track_caller]
fn check_refused(node: &Node, body: &Value, part: &str) {
    let answer = node.post("/v1/chat/completions", body);
    assert_eq!(answer.status, 400, "{}", answer.text);
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains(part), "{message}");
}

/// The log-probability of an answer's first token.
fn first(answer: &Value) -> f64 {
    let tokens = &answer["choices"][0]["logprobs"]["content"];
    tokens[0]["logprob"].as_f64().unwrap()
}

fn a_blind_model_says_so(node: &Node) {
    assert_eq!(node.get("/props").json()["modalities"]["vision"], false);
    check_refused(node, &about(&png(4)), "sees no images");
    check_refused(node, &about(&png(4)), "projector");
}

fn the_same_image_is_read_once(node: &Node) {
    let cold = ask(node, &about(&png(4)));
    let usage = |answer: &Value| {
        let usage = &answer["usage"];
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
        (usage["prompt_tokens"].as_u64().unwrap(), cached.unwrap())
    };
    let (prompt, cached) = usage(&cold);
    let mut words = about(&png(4));
    words["messages"][0]["content"]
        .as_array_mut()
        .unwrap()
        .pop();
    let (without, _) = usage(&ask(node, &words));
    // Its rows, and the line break that parts are joined with.
    assert_eq!(
        prompt,
        without + tiny_projector::Kind::Janus.rows() as u64 + 1
    );
    let again = ask(node, &about(&png(4)));
    assert_eq!(usage(&again), (prompt, prompt - 1));
    assert!((first(&cold) - first(&again)).abs() < 0.05);
    // What counts are the pixels and not the file.
    let as_gif = ask(node, &about(&file(4, ImageFormat::Gif)));
    assert_eq!(usage(&as_gif), (prompt, prompt - 1));
    let other = ask(node, &about(&png(9)));
    let (same, less) = usage(&other);
    assert!(
        same == prompt && less > cached && less < prompt - 16,
        "{less} of {prompt}"
    );
    assert!((first(&cold) - first(&other)).abs() > 1e-4);
}

fn requests_at_a_time_see_their_own(node: &Node) {
    let bodies = [3, 5, 8, 13].map(|width| about(&png(width)));
    let alone: Vec<f64> = bodies.iter().map(|body| first(&ask(node, body))).collect();
    let together: Vec<f64> = std::thread::scope(|scope| {
        let asked = bodies
            .iter()
            .map(|body| scope.spawn(|| first(&ask(node, body))));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for (alone, together) in alone.iter().zip(&together) {
        assert!((alone - together).abs() < 0.1, "{alone} {together}");
    }
}

fn it_streams_and_calls_tools(node: &Node) {
    let mut body = about(&png(6));
    body["max_tokens"] = json!(400);
    body["stream"] = json!(true);
    let mut events = node.chat_stream(&body);
    assert!(events.next_data().is_some());
    // Who goes is not read for any more, and the next one is.
    drop(events);
    let mut body = about(&png(6));
    body["max_tokens"] = json!(200);
    body.as_object_mut().unwrap().remove("logprobs");
    body.as_object_mut().unwrap().remove("top_logprobs");
    body["tools"] = json!([{"type": "function", "function": {"name": "name_colour", "parameters": {
        "type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"],
        "additionalProperties": false,
    }}}]);
    body["tool_choice"] = json!("required");
    let answer = ask(node, &body);
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["name"], "name_colour", "{answer}");
}

fn responses_keep_their_images(node: &Node) {
    let url = png(7);
    let shown = json!({"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": url},
    ]}], "max_output_tokens": 16, "temperature": 0});
    let first = node.post("/v1/responses", &shown);
    assert_eq!(first.status, 200, "{}", first.text);
    let first = first.json();
    let next = json!({"input": "And now?", "previous_response_id": first["id"],
        "max_output_tokens": 16, "temperature": 0});
    let next = node.post("/v1/responses", &next);
    assert_eq!(next.status, 200, "{}", next.text);
    let tokens = |response: &Value| response["usage"]["input_tokens"].as_u64().unwrap();
    assert!(tokens(&next.json()) > tokens(&first));
    let items = node.get(&format!(
        "/v1/responses/{}/input_items",
        first["id"].as_str().unwrap()
    ));
    assert!(items.text.contains(&url), "{}", items.text);
}

fn what_is_no_image_is_refused(node: &Node) {
    let of = |bytes: &[u8]| format!("data:image/png;base64,{}", STANDARD.encode(bytes));
    check_refused(
        node,
        &about(&of(b"no image at all")),
        "no PNG, JPEG, WebP or GIF",
    );
    check_refused(
        node,
        &about("https://example.com/a.png"),
        "this node fetches none",
    );
    // The name of an image that is not there is what it looks like: words.
    let name = format!("[image:{}]", "0".repeat(64));
    let body = json!({"messages": [{"role": "user", "content": name}], "max_tokens": 1});
    let tokens = ask(node, &body)["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens > 64);
}
