//! Clients of llama.cpp's server and of GaiaNet find their own words, on one node.

use e2e::http::{self, Answer};
use e2e::node::Node;
use serde_json::{Value, json};

const PROMPT: &str = "Once upon a time";

fn post(node: &Node, path: &str, body: Value) -> Answer {
    http::post(&format!("{}{path}", node.url()), &body).unwrap()
}

#[track_caller]
fn posted(node: &Node, path: &str, body: Value) -> Value {
    let answer = post(node, path, body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn get(node: &Node, path: &str) -> Value {
    http::get(&format!("{}{path}", node.url())).unwrap().json()
}

#[test]
fn every_client_finds_its_own_words() {
    let node = Node::started();
    a_completion_in_llama_cpps_words(&node);
    a_stream_of_them_ends_with_the_whole_account(&node);
    prompts_of_every_shape_continue_alike(&node);
    a_text_that_is_biased_away_does_not_come(&node);
    what_ends_an_answer_is_told(&node);
    too_long_is_told_in_their_words(&node);
    tokens_come_with_their_pieces(&node);
    inputs_of_every_shape_embed_alike(&node);
    a_conversation_tells_how_long_it_took(&node);
    a_text_is_scored_as_it_was_written(&node);
    a_text_is_scored_alone(&node);
    gaps_need_a_model_that_knows_them(&node);
    a_prompt_can_be_shown_closed(&node);
    routes_without_a_version_answer_too(&node);
    the_node_describes_itself(&node);
}

fn a_completion_in_llama_cpps_words(node: &Node) {
    let body = json!({"prompt": PROMPT, "n_predict": 5, "temperature": 0, "n_probs": 3, "return_tokens": true});
    let reply = posted(node, "/completion", body);
    assert_eq!(
        (&reply["stop"], &reply["stop_type"]),
        (&json!(true), &json!("limit"))
    );
    assert_eq!(reply["tokens_predicted"], 5);
    assert_eq!(reply["tokens"].as_array().unwrap().len(), 5);
    assert_eq!(reply["generation_settings"]["n_predict"], 5);
    assert_eq!(reply["timings"]["predicted_n"], 5);
    assert_eq!(reply["prompt"], PROMPT);
    let probabilities = reply["completion_probabilities"].as_array().unwrap();
    assert_eq!(probabilities.len(), 5);
    assert_eq!(probabilities[0]["id"], reply["tokens"][0]);
    assert_eq!(
        probabilities[0]["top_logprobs"].as_array().unwrap().len(),
        3
    );
    let few = json!({"prompt": PROMPT, "n_predict": 2, "response_fields": ["content", "timings/predicted_n"]});
    let few = posted(node, "/completions", few);
    assert_eq!(
        (few.as_object().unwrap().len(), &few["timings/predicted_n"]),
        (2, &json!(2))
    );
}

fn a_stream_of_them_ends_with_the_whole_account(node: &Node) {
    let body = json!({"prompt": PROMPT, "n_predict": 4, "temperature": 0, "stream": true});
    let events = http::stream(&format!("{}/completion", node.url()), &body).unwrap();
    let events: Vec<Value> = events
        .rest()
        .iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let (last, pieces) = events.split_last().unwrap();
    let text: String = pieces
        .iter()
        .map(|piece| piece["content"].as_str().unwrap())
        .collect();
    assert!(pieces.iter().all(|piece| piece["stop"] == false));
    assert_eq!(
        (&last["stop"], &last["content"]),
        (&json!(true), &json!(""))
    );
    let whole = posted(
        node,
        "/completion",
        json!({"prompt": PROMPT, "n_predict": 4, "temperature": 0}),
    );
    assert_eq!(whole["content"], text);
    assert_eq!(whole["tokens"], json!([]));
}

fn prompts_of_every_shape_continue_alike(node: &Node) {
    let ask = json!({"content": PROMPT, "add_special": true});
    let tokens = posted(node, "/tokenize", ask)["tokens"].clone();
    let mut mixed = tokens.as_array().unwrap().clone();
    let last = mixed.pop().unwrap();
    let last = posted(node, "/detokenize", json!({"tokens": [last]}))["content"].clone();
    mixed.push(last);
    let prompts = json!([PROMPT, tokens, mixed, {"prompt_string": PROMPT}]);
    let replies = posted(
        node,
        "/completion",
        json!({"prompt": prompts, "n_predict": 4, "temperature": 0}),
    );
    let texts: Vec<_> = replies
        .as_array()
        .unwrap()
        .iter()
        .map(|reply| &reply["content"])
        .collect();
    assert_eq!(texts.len(), 4);
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

fn a_text_that_is_biased_away_does_not_come(node: &Node) {
    let ask = |bias: Value| {
        let body = json!({"prompt": PROMPT, "n_predict": 1, "temperature": 0, "logit_bias": bias});
        posted(node, "/completion", body)["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let likeliest = ask(Value::Null);
    assert_ne!(ask(json!([[likeliest, false]])), likeliest);
    assert_ne!(ask(json!({likeliest.clone(): -100})), likeliest);
    let many = json!({"prompt": PROMPT, "logit_bias": [["a b c d e f g h ".repeat(200), 1]]});
    assert_eq!(
        post(node, "/completion", many).json()["error"]["param"],
        "logit_bias"
    );
}

fn what_ends_an_answer_is_told(node: &Node) {
    let ask = |stop: Value| {
        let body = json!({"prompt": PROMPT, "n_predict": 24, "temperature": 0, "stop": stop});
        posted(node, "/completion", body)
    };
    let text = ask(json!([]))["content"].as_str().unwrap().to_owned();
    let word = text.split_whitespace().nth(1).unwrap();
    let ended = ask(json!([word]));
    assert_eq!(
        (&ended["stop_type"], &ended["stopping_word"]),
        (&json!("word"), &json!(word))
    );
    let refused = post(
        node,
        "/completion",
        json!({"prompt": PROMPT, "mirostat": 2}),
    );
    assert_eq!(
        (refused.status, &refused.json()["error"]["param"]),
        (400, &json!("mirostat"))
    );
}

fn too_long_is_told_in_their_words(node: &Node) {
    let long = "word ".repeat(20_000);
    let check = |path: &str, body: Value, words: &str| {
        let refused = post(node, path, body);
        assert_eq!(refused.status, 400);
        let error = &refused.json()["error"];
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
        assert_eq!(error["code"], "context_length_exceeded");
    };
    check(
        "/completion",
        json!({"prompt": long}),
        "exceeds the available context size",
    );
    check("/v1/embeddings", json!({"input": long}), "too large");
}

fn tokens_come_with_their_pieces(node: &Node) {
    let text = "媽 and 🤗";
    let reply = posted(
        node,
        "/tokenize",
        json!({"content": text, "with_pieces": true}),
    );
    let mut bytes = Vec::new();
    for token in reply["tokens"].as_array().unwrap() {
        assert!(token["id"].is_u64());
        match &token["piece"] {
            Value::String(piece) => bytes.extend(piece.bytes()),
            piece => bytes.extend(serde_json::from_value::<Vec<u8>>(piece.clone()).unwrap()),
        }
    }
    assert_eq!(String::from_utf8(bytes).unwrap(), text);
}

fn inputs_of_every_shape_embed_alike(node: &Node) {
    let parts =
        json!({"content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "world"}]});
    let input =
        json!(["hello world", parts, {"prompt_string": "hello world"}, [101, "hello world", 102]]);
    let reply = posted(node, "/v1/embeddings", json!({"input": input}));
    let vector =
        |item: &Value| serde_json::from_value::<Vec<f64>>(item["embedding"].clone()).unwrap();
    let vectors: Vec<_> = reply["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(vector)
        .collect();
    assert_eq!(vectors.len(), 4);
    // In this model's vocabulary 101 and 102 are what belongs around a text.
    for other in &vectors {
        let cosine: f64 = vectors[0].iter().zip(other).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999, "{cosine}");
    }
}

fn a_conversation_tells_how_long_it_took(node: &Node) {
    let body =
        json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "temperature": 0});
    let reply = posted(node, "/v1/chat/completions", body.clone());
    let timings = &reply["timings"];
    assert_eq!(timings["predicted_n"], reply["usage"]["completion_tokens"]);
    let read = timings["prompt_n"].as_u64().unwrap() + timings["cache_n"].as_u64().unwrap();
    assert_eq!(reply["usage"]["prompt_tokens"], read);
    assert!(timings["predicted_per_second"].is_number());
    let mut streamed = body;
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let url = format!("{}/v1/chat/completions", node.url());
    let events = http::stream(&url, &streamed).unwrap().rest();
    let usage = events
        .iter()
        .rev()
        .find(|data| data.starts_with('{'))
        .unwrap();
    let usage: Value = serde_json::from_str(usage).unwrap();
    assert_eq!(usage["timings"]["predicted_n"], 3);
    assert!(!events[0].contains("timings"));
}

fn a_text_is_scored_as_it_was_written(node: &Node) {
    let ask = |prompt: &str, fields: Value| {
        let mut body = json!({"prompt": prompt, "temperature": 0, "logprobs": 1});
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        posted(node, "/v1/completions", body)
    };
    let written = ask(PROMPT, json!({"max_tokens": 6}));
    let (text, logprobs) = scored(&written);
    let whole = format!("{PROMPT}{text}");
    let reply = ask(&whole, json!({"max_tokens": 1, "echo": true}));
    let (echoed, scores) = scored(&reply);
    assert!(echoed.starts_with(&whole), "{echoed}");
    let count = reply["usage"]["prompt_tokens"].as_u64().unwrap() as usize;
    assert_eq!((scores.len(), scores[0]), (count + 1, None));
    assert_eq!(reply["usage"]["completion_tokens"], 1);
    // The same tokens at the same places are as likely, up to rounding.
    for (given, own) in scores[count - 6..count].iter().zip(&logprobs) {
        let (given, own) = (given.unwrap(), own.unwrap());
        assert!((given - own).abs() < 0.05, "{given} {own}");
    }
    let tokens = reply["choices"][0]["logprobs"]["tokens"]
        .as_array()
        .unwrap();
    let joined: String = tokens.iter().filter_map(Value::as_str).collect();
    assert_eq!(joined, echoed);
    let offsets = &reply["choices"][0]["logprobs"]["text_offset"];
    assert_eq!(offsets[1], tokens[0].as_str().unwrap().len());
}

fn a_text_is_scored_alone(node: &Node) {
    let body = json!({"prompt": PROMPT, "echo": true, "temperature": 0, "logprobs": 1});
    let ask = |tokens: u32| {
        let mut body = body.clone();
        body["max_tokens"] = json!(tokens);
        posted(node, "/v1/completions", body)
    };
    let (alone, continued) = (ask(0), ask(1));
    assert_eq!(alone["choices"][0]["text"], PROMPT, "{alone}");
    assert_eq!(alone["choices"][0]["finish_reason"], "length");
    assert_eq!(alone["usage"]["completion_tokens"], 0);
    let (_, scores) = scored(&alone);
    let (_, more) = scored(&continued);
    assert_eq!(scores.len() + 1, more.len());
    for (alone, continued) in scores.iter().zip(&more).skip(1) {
        assert!((alone.unwrap() - continued.unwrap()).abs() < 0.05);
    }
    let plain = json!({"prompt": PROMPT, "echo": true, "max_tokens": 0, "stream": true});
    let url = format!("{}/v1/completions", node.url());
    let events = http::stream(&url, &plain).unwrap().rest();
    let texts = events
        .iter()
        .filter_map(|data| serde_json::from_str(data).ok());
    let texts =
        texts.filter_map(|chunk: Value| Some(chunk["choices"][0]["text"].as_str()?.to_owned()));
    assert_eq!(texts.collect::<String>(), PROMPT);
}

/// The text of a reply and the log-probabilities of its tokens.
fn scored(reply: &Value) -> (String, Vec<Option<f64>>) {
    let choice = &reply["choices"][0];
    let scores = choice["logprobs"]["token_logprobs"].as_array().unwrap();
    let text = choice["text"].as_str().unwrap().to_owned();
    (text, scores.iter().map(Value::as_f64).collect())
}

fn gaps_need_a_model_that_knows_them(node: &Node) {
    let body = json!({"prompt": "def add(", "suffix": "return a + b", "max_tokens": 4});
    let answer = post(node, "/v1/completions", body);
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert_eq!(answer.json()["error"]["param"], "suffix");
    let empty = json!({"prompt": PROMPT, "suffix": "", "max_tokens": 1});
    posted(node, "/v1/completions", empty);
}

fn a_prompt_can_be_shown_closed(node: &Node) {
    let ask = |fields: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "Hi"}]});
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let reply = posted(node, "/apply-template", body);
        reply["prompt"].as_str().unwrap().to_owned()
    };
    let open = ask(json!({}));
    let closed = ask(json!({"add_generation_prompt": false}));
    assert_eq!(open, format!("{closed}<|im_start|>assistant\n"));
}

fn routes_without_a_version_answer_too(node: &Node) {
    let body = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1});
    assert_eq!(
        posted(node, "/chat/completions", body)["object"],
        "chat.completion"
    );
    assert_eq!(
        posted(node, "/embeddings", json!({"input": "a"}))["object"],
        "list"
    );
    assert_eq!(get(node, "/models"), get(node, "/v1/models"));
    let ask = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1});
    let reply = posted(node, "/v1/chat/completions", ask.clone());
    let counted = posted(node, "/chat/completions/input_tokens", ask);
    assert_eq!(counted["input_tokens"], reply["usage"]["prompt_tokens"]);
}

fn the_node_describes_itself(node: &Node) {
    assert_eq!(get(node, "/openapi.json")["openapi"], "3.1.0");
    let props = get(node, "/props");
    assert!(
        props["default_generation_settings"]["n_ctx"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(
        props["chat_template"]
            .as_str()
            .unwrap()
            .contains("im_start")
    );
    let told = get(node, "/config_pub.json");
    let model = &get(node, "/v1/models")["data"][0]["id"];
    assert_eq!(&told["chat_name"], model);
    assert!(told.as_object().unwrap().values().all(Value::is_string));
}
