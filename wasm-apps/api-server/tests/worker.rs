//! The worker as a process of its own: `wasmedge` with the plugin, a real model, and clients of every kind.
//!
//! Needs what `make build` and `make setup` leave: `target/release/api-server.wasm`, the plugin beside it (or
//! `GAIA_TEST_WORKER` and `GAIA_TEST_PLUGIN`), the chat model in the cache. Where one is missing the tests say so
//! and pass; the end-to-end tests do not.

#![cfg(not(target_os = "wasi"))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gaia_manifest::Manifest;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(180);

struct Worker {
    child: Child,
    address: String,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    #[track_caller]
    fn check_error(&self, status: u16, param: Option<&str>, code: Option<&str>) {
        let error = &self.json()["error"];
        let found = (error["param"].as_str(), error["code"].as_str());
        assert_eq!(
            (self.status, found),
            (status, (param, code)),
            "{}",
            self.body
        );
        for key in ["message", "type", "param", "code"] {
            assert!(error.get(key).is_some(), "{key} is not there");
        }
    }
}

impl Worker {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn say(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that refuses may stop reading before everything is written.
        let _refused = stream.write_all(request);
        let mut bytes = Vec::new();
        let _reset = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{text:?}"));
        Answer {
            status: head[9..12].parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get(&self, path: &str, headers: &str) -> Answer {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        self.say(request.as_bytes())
    }

    fn post(&self, path: &str, body: &Value) -> Answer {
        self.say(&posted(path, &body.to_string()))
    }

    fn chat(&self, question: &str, fields: Value) -> Answer {
        self.post("/v1/chat/completions", &conversation(question, fields))
    }

    fn gauge(&self, name: &str) -> String {
        let metrics = self.get("/metrics", "").body;
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    }

    #[track_caller]
    fn wait_for_gauge(&self, name: &str, value: &str) {
        let started = Instant::now();
        while self.gauge(name) != value {
            assert!(
                started.elapsed() < PATIENCE,
                "{name} is {}",
                self.gauge(name)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn posted(path: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn conversation(question: &str, mut fields: Value) -> Value {
    fields["messages"] = json!([
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": question},
    ]);
    fields
}

fn found(name: &str, candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = candidates.into_iter().find(|path| path.is_file());
    if path.is_none() {
        eprintln!("skipped: no {name}");
    }
    path
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

fn cache() -> PathBuf {
    let home = variable("HOME").unwrap_or_default();
    variable("GAIA_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("gaia")))
        .unwrap_or_else(|| home.join(".cache/gaia"))
}

fn command(args: &[&str]) -> Option<Command> {
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
    let or = |name: &str, file: &str| variable(name).unwrap_or_else(|| built.join(file));
    let wasm = found(
        "api-server.wasm",
        [or("GAIA_TEST_WORKER", "api-server.wasm")],
    )?;
    let plugin = found("plugin", [or("GAIA_TEST_PLUGIN", "libgaia_wasi_nn.so")])?;
    let manifest = include_str!("../../../models/smollm2-135m-instruct.toml");
    let file = Manifest::parse(manifest).unwrap().file;
    let model = cache().join("models").join(file);
    let model = found("chat model", [model])?;
    let newest = cache().join("wasmedge/0.17.1/bin/wasmedge");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("wasmedge"));
    let places = variable("GAIA_WASMEDGE")
        .into_iter()
        .chain([newest])
        .chain(in_path);
    let mut command = Command::new(found("wasmedge", places)?);
    command
        .env("WASMEDGE_PLUGIN_PATH", plugin)
        // One thread: two that wait for each other come to a crawl on a machine with other work.
        .env("GAIA_NN_DEFAULT", r#"{"threads":1,"ctx-size":1024}"#)
        .arg("--nn-preload")
        .arg(format!("default:GGML:AUTO:{}", model.display()))
        .arg(wasm)
        .args(["--port", "0", "--chat-name", "chat"])
        .args(args);
    Some(command)
}

fn start(args: &[&str]) -> Option<Worker> {
    let worker = listening(args)?;
    let started = Instant::now();
    while worker.get("/ready", "authorization: bearer k\r\n").status != 200 {
        assert!(started.elapsed() < PATIENCE, "not ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    Some(worker)
}

fn listening(args: &[&str]) -> Option<Worker> {
    let mut child = command(args)?.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://");
    let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
    Some(Worker { child, address })
}

#[test]
fn it_answers_while_the_model_loads() {
    let Some(worker) = listening(&[]) else { return };
    let started = Instant::now();
    let mut answered = 0;
    while worker.get("/ready", "").status == 503 {
        assert!(started.elapsed() < PATIENCE, "not ready");
        assert_eq!(worker.get("/health", "").status, 200);
        let early = worker.chat("Hi", json!({"max_tokens": 1}));
        // The model may just have come.
        assert!(matches!(early.status, 503 | 200), "{}", early.body);
        answered += 1;
    }
    assert_eq!(worker.get("/ready", "").status, 200);
    assert!(answered > 3, "{answered} answers while it loaded");
}

#[test]
fn a_prompt_is_read_once() {
    let Some(worker) = start(&[]) else { return };
    let question = "Tell me everything you know about the sea and its fish. ".repeat(8);
    let usage = |fields: Value| {
        let mut fields = fields;
        fields["max_tokens"] = json!(4);
        worker.chat(&question, fields).json()["usage"].clone()
    };
    let cached = |usage: &Value| {
        let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
        (cached.unwrap(), usage["prompt_tokens"].as_u64().unwrap())
    };
    let (first, prompt) = cached(&usage(json!({})));
    assert!(first < prompt / 2, "{first} of {prompt} before it was read");
    let (again, _) = cached(&usage(json!({})));
    assert!(again > prompt / 2 && again < prompt, "{again} of {prompt}");
    assert_eq!(cached(&usage(json!({"cache_prompt": false}))), (0, prompt));
    let (several, _) = cached(&usage(json!({"n": 2})));
    assert!(several > prompt / 2, "{several} of {prompt}");
    let completion = json!({"prompt": question, "max_tokens": 2});
    worker.post("/v1/completions", &completion);
    let reply = worker.post("/v1/completions", &completion).json();
    let (again, prompt) = cached(&reply["usage"]);
    assert!(again > prompt / 2, "{again} of {prompt}");
}

#[test]
fn several_answers_to_one_question() {
    let Some(worker) = start(&[]) else { return };
    let fields =
        json!({"n": 3, "max_tokens": 12, "seed": 5, "temperature": 1.5, "ignore_eos": true});
    let whole = worker.chat("Tell a story.", fields.clone()).json();
    let choices = whole["choices"].as_array().unwrap();
    let indexes: Vec<_> = choices.iter().map(|choice| &choice["index"]).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert_ne!(choices[0]["message"], choices[1]["message"]);
    assert_ne!(choices[1]["message"], choices[2]["message"]);
    let alone = worker
        .chat("Tell a story.", json!({"max_tokens": 1}))
        .json();
    let usage = &whole["usage"];
    assert_eq!(
        usage["prompt_tokens"], alone["usage"]["prompt_tokens"],
        "the prompt counts once"
    );
    assert_eq!(usage["completion_tokens"], 36);

    let mut streamed = fields;
    streamed["stream"] = json!(true);
    let stream = worker.chat("Tell a story.", streamed).body;
    let events = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events
        .filter_map(|event| serde_json::from_str(event).ok())
        .collect();
    for index in 0..3 {
        let own = events.iter().map(|event| &event["choices"][0]);
        let own: Vec<_> = own.filter(|choice| choice["index"] == index).collect();
        assert_eq!(own[0]["delta"]["role"], "assistant");
        assert_eq!(own.last().unwrap()["finish_reason"], "length");
        assert!(own.len() > 3);
    }
    assert!(stream.ends_with("data: [DONE]\n\n") || stream.contains("data: [DONE]"));

    let prompts = json!({"prompt": ["One, two,", "Red, green,"], "n": 2, "max_tokens": 4,
        "ignore_eos": true, "echo": true});
    let reply = worker.post("/v1/completions", &prompts).json();
    let choices = reply["choices"].as_array().unwrap();
    let texts: Vec<_> = choices
        .iter()
        .map(|choice| choice["text"].as_str().unwrap().get(..3).unwrap())
        .collect();
    assert_eq!(texts, ["One", "One", "Red", "Red"]);
    assert_eq!(choices[3]["index"], 3);
    assert_eq!(reply["usage"]["completion_tokens"], 16);
}

#[test]
fn answers_are_what_was_asked_for() {
    let Some(worker) = start(&[]) else { return };
    let one = |fields| worker.chat("Tell a story.", fields).json()["choices"][0].clone();

    let choice = one(json!({"max_tokens": 4, "temperature": 0}));
    assert_eq!(choice["finish_reason"], "length");

    same_seed_same_answer(&worker);

    let choice =
        one(json!({"grammar": "root ::= \"abc-END-def\"", "stop": "END", "max_tokens": 30}));
    assert_eq!(choice["message"]["content"], "abc-");
    assert_eq!(choice["finish_reason"], "stop");

    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema}});
    let choice = one(json!({"response_format": format, "max_tokens": 60, "temperature": 0}));
    let content: Value =
        serde_json::from_str(choice["message"]["content"].as_str().unwrap()).unwrap();
    assert!(content["ok"].is_boolean());

    let choice =
        one(json!({"max_tokens": 2, "temperature": 0, "logprobs": true, "top_logprobs": 2}));
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0]["top_logprobs"].as_array().unwrap().len(), 2);

    let id = worker
        .post("/tokenize", &json!({"content": "hello"}))
        .json()["tokens"][0]
        .clone();
    let back = |tokens: &Value| worker.post("/detokenize", &json!({"tokens": tokens}));
    assert_eq!(back(&json!([id])).json()["content"], "hello");
    assert_eq!(back(&json!([])).json()["content"], "");
    back(&json!([9_999_999])).check_error(400, Some("tokens"), Some("invalid_value"));
    let prompt = worker.post(
        "/apply-template",
        &json!({"messages": [{"role": "user", "content": "Hi"}]}),
    );
    let prompt = prompt.json()["prompt"].as_str().unwrap().to_owned();
    assert!(
        prompt.ends_with("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
        "{prompt}"
    );

    let bias = json!({(id.to_string()): 100});
    let choice = one(json!({"max_tokens": 3, "temperature": 0, "logit_bias": bias}));
    assert_eq!(choice["message"]["content"], "hellohellohello");
    // And nothing of all that stays for the next.
    let choice = one(json!({"max_tokens": 3, "temperature": 0}));
    assert_ne!(choice["message"]["content"], "hellohellohello");
    assert!(choice["logprobs"].is_null());

    let echo = json!({"prompt": [id], "max_tokens": 1, "echo": true, "temperature": 0});
    let text = worker.post("/v1/completions", &echo).json()["choices"][0]["text"].clone();
    assert!(text.as_str().unwrap().starts_with("hello"));
}

/// One letter, drawn among equals: a longer text would meet a place where the last bits of the
/// model's numbers decide, and these depend on what else is computed. One in five may do so.
fn same_seed_same_answer(worker: &Worker) {
    let letter = |seed: u64| {
        let fields = json!({
            "grammar": "root ::= [a-z]", "max_tokens": 4, "seed": seed,
            "temperature": 2.0, "top_p": 1.0,
        });
        let reply = worker.chat("Say any letter.", fields).json();
        let letter = reply["choices"][0]["message"]["content"].as_str();
        letter.unwrap().to_owned()
    };
    let again: Vec<String> = (0..5).map(|_| letter(7)).collect();
    let most = again
        .iter()
        .map(|one| again.iter().filter(|other| *other == one).count());
    assert!(most.max() >= Some(4), "{again:?}");
    let others: HashSet<String> = (0..8).map(letter).collect();
    assert!(others.len() > 1, "another seed, another letter: {others:?}");
}

#[test]
fn a_stream_has_its_parts_in_order() {
    let Some(worker) = start(&[]) else { return };
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}, "grammar": "root ::= \"Gr\u{fc}\u{df}e \u{1f600}\""});
    let answer = worker.chat("Greet me.", fields);
    assert!(answer.head.contains("content-type: text/event-stream"));
    let events: Vec<&str> = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let texts = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    assert_eq!(texts.collect::<String>(), "Gr\u{fc}\u{df}e \u{1f600}");
    let [.., finish, usage] = &chunks[..] else {
        panic!("{chunks:?}")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert!(finish["usage"].is_null());
    assert_eq!(usage["choices"], json!([]));
    let usage = &usage["usage"];
    let sum =
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap();
    assert_eq!(usage["total_tokens"].as_u64(), Some(sum));
}

#[test]
fn bad_requests_are_refused_by_name() {
    let Some(worker) = start(&[]) else { return };
    let check = |fields: Value, status, param, code| {
        worker
            .chat("Hi", fields)
            .check_error(status, Some(param), Some(code));
    };
    check(
        json!({"tools": [{"type": "function"}]}),
        400,
        "tools[0].function",
        "missing_required_parameter",
    );
    check(json!({"n": 9}), 400, "n", "invalid_value");
    check(
        json!({"temperature": 3}),
        400,
        "temperature",
        "invalid_value",
    );
    check(json!({"model": "gpt-4"}), 404, "model", "model_not_found");
    check(
        json!({"grammar": "root ::= ("}),
        400,
        "grammar",
        "invalid_value",
    );
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "bogus"}}});
    let schema = "response_format.json_schema.schema";
    check(
        json!({"response_format": format}),
        400,
        schema,
        "invalid_value",
    );

    let long = worker.chat(&"word ".repeat(2000), json!({}));
    long.check_error(400, Some("messages"), Some("context_length_exceeded"));
    assert!(long.body.contains("1024 tokens"), "{}", long.body);

    worker
        .say(&posted("/v1/chat/completions", "{"))
        .check_error(400, None, Some("invalid_json"));
    worker
        .post("/health", &json!({}))
        .check_error(405, None, Some("method_not_allowed"));
    worker
        .post("/v1/nothing", &json!({}))
        .check_error(404, None, Some("unknown_url"));
    worker
        .get("/../Cargo.toml", "")
        .check_error(404, None, Some("unknown_url"));
    worker
        .post("/v1/embeddings", &json!({"input": "x"}))
        .check_error(503, None, Some("model_unavailable"));
    assert_eq!(worker.chat("Hi", json!({"max_tokens": 1})).status, 200);
}

#[test]
fn limits_have_their_answers() {
    let args = [
        "--body-bytes-max",
        "2000",
        "--header-timeout-seconds",
        "0.7",
    ];
    let args = [
        &args[..],
        &["--requests-running-max", "1", "--queue-len-max", "1"],
    ]
    .concat();
    let Some(worker) = start(&args) else { return };
    let big = "x".repeat(5_000_000);
    worker
        .say(&posted("/v1/chat/completions", &big))
        .check_error(413, None, Some("request_too_large"));
    let chunked = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1388\r\n{}",
        "x".repeat(5000)
    );
    worker
        .say(chunked.as_bytes())
        .check_error(413, None, Some("request_too_large"));
    let half = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nconnection: close\r\n\r\n{";
    worker
        .say(half)
        .check_error(408, None, Some("request_timeout"));

    let story = conversation(
        "Tell a long story.",
        json!({"max_tokens": 800, "ignore_eos": true}),
    );
    let story = posted("/v1/chat/completions", &story.to_string());
    let mut held: Vec<TcpStream> = Vec::new();
    for (running, waiting) in [("1", "0"), ("1", "1")] {
        held.push(worker.connect());
        held.last_mut().unwrap().write_all(&story).unwrap();
        worker.wait_for_gauge("gaia_requests_running ", running);
        worker.wait_for_gauge("gaia_requests_waiting ", waiting);
    }
    let refused = worker.chat("Hi", json!({"max_tokens": 1}));
    refused.check_error(429, None, Some("rate_limit_exceeded"));
    let after = refused.head.split("retry-after: ").nth(1).unwrap();
    let seconds: u32 = after.lines().next().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // Clients that go away free their place, running or waiting.
    drop(held);
    worker.wait_for_gauge("gaia_requests_waiting ", "0");
    worker.wait_for_gauge("gaia_requests_running ", "0");
    assert_eq!(worker.chat("Hi", json!({"max_tokens": 1})).status, 200);
}

#[test]
fn who_may_come_in() {
    let Some(worker) = start(&[
        "--worker-key",
        "k",
        "--cors-origins",
        "https://good.example",
    ]) else {
        return;
    };
    assert_eq!(worker.get("/health", "").status, 200);
    worker
        .get("/v1/models", "")
        .check_error(401, None, Some("invalid_api_key"));
    worker
        .get("/", "authorization: Bearer wrong\r\n")
        .check_error(401, None, Some("invalid_api_key"));
    let key = "authorization: Bearer k\r\n";
    let page = worker.get("/", key);
    assert_eq!(page.status, 200);
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'")
    );
    let etag = page
        .head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap();
    let again = worker.get("/", &format!("{key}if-none-match: {etag}\r\n"));
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    let listed = worker.get(
        "/v1/models",
        &format!("{key}origin: https://good.example\r\nx-request-id: r-1\r\n"),
    );
    assert!(
        listed
            .head
            .contains("access-control-allow-origin: https://good.example")
    );
    assert!(listed.head.contains("x-request-id: r-1"));
}

#[test]
fn as_on_the_stock_plugin_one_at_a_time() {
    let Some(worker) = start(&["--stock-engine", "true", "--chat-template", "chatml"]) else {
        return;
    };
    assert_eq!(worker.get("/ready", "").json()["engine"], "stock");
    let refused = worker.chat("Hi", json!({"logprobs": true}));
    refused.check_error(400, Some("logprobs"), Some("unsupported_parameter"));
    let refused = worker.chat("Hi", json!({"n": 2}));
    refused.check_error(400, Some("n"), Some("unsupported_parameter"));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    worker.chat(
                        "Count.",
                        json!({"max_tokens": 5, "temperature": 0, "stop": "zzz"}),
                    )
                })
            })
            .collect();
        asked
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["choices"], answers[0].json()["choices"]);
        assert_eq!(answer.json()["usage"]["completion_tokens"], 5);
    }
}

#[test]
fn wrong_options_are_told_all_at_once() {
    let args = [
        "--limit",
        "x",
        "--rag-policy",
        "y",
        "--store-url",
        "http://10.0.0.1",
    ];
    let Some(mut command) = command(&args) else {
        return;
    };
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.lines()
            .filter(|line| line.starts_with("ERROR api-server: --"))
            .count(),
        3,
        "{said}"
    );
}
