//! Tools of the node: the model asks for them, the node calls them, and the answer goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::http::content;
use e2e::node::Node;
use e2e::process::wait_for;
use serde_json::{Value, json};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
/// What the library says: long enough to be seen in the length of the next prompt.
const WORDS: usize = 150;

/// One node for all of it: starting one takes longer than asking it.
#[test]
fn a_node_calls_its_own_tools() {
    let service = Service::start();
    let node = Node::new();
    node.set("egress_origins", &service.origin());
    node.set("tool_rounds_max", "2");
    node.start();
    a_tool_is_offered_as_soon_as_it_is_added(&node, &service);
    the_call_is_made_and_the_answer_goes_on(&node, &service);
    what_a_tool_says_is_in_the_next_prompt(&node);
    calls_are_seen_in_the_stream(&node);
    a_failing_tool_is_told_to_the_model(&node);
    rounds_end_at_the_maximum(&node);
    the_callers_tools_stay_the_callers(&node);
    whoever_declines_is_left_alone(&node);
    a_client_that_goes_ends_the_call(&node, &service);
    calls_are_counted(&node);
}

/// A service on loopback with the weather, a long story, and a place that never answers.
struct Service {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    /// How many who waited at the place that never answers have gone.
    gone: Arc<Mutex<usize>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, gone) = (Arc::default(), Arc::default());
        let service = Self { port, asked, gone };
        let (asked, gone) = (Arc::clone(&service.asked), Arc::clone(&service.gone));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, gone) = (Arc::clone(&asked), Arc::clone(&gone));
                std::thread::spawn(move || answer(stream, &asked, &gone));
            }
        });
        service
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, asked: &Mutex<Vec<String>>, gone: &Mutex<usize>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if lines.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let target = head.split(' ').nth(1).unwrap().to_owned();
    asked.lock().unwrap().push(target.clone());
    let (status, body) = match target.split('?').next().unwrap() {
        "/weather" => ("200 OK", json!({"text": "Sunny, 21 degrees"})),
        "/story" => (
            "200 OK",
            json!({"text": "once upon a time ".repeat(WORDS / 4)}),
        ),
        "/broken" => ("500 Not Well", json!("no weather")),
        _ => {
            // Until whoever asked has closed the connection.
            let _closed = lines.read(&mut [0; 16]);
            *gone.lock().unwrap() += 1;
            return;
        }
    };
    let body = body.to_string();
    let length = body.len();
    let _gone = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
}

fn add(node: &Node, name: &str, url: &str) {
    let about = format!("Tells the {name} of a city.");
    node.gaia_ok(&[
        "tools",
        "add",
        name,
        "--url",
        url,
        "--description",
        &about,
        "--pointer",
        "/text",
    ]);
}

fn request(tool: &str) -> Value {
    json!({
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tool_choice": {"type": "function", "function": {"name": tool}},
        "parallel_tool_calls": false, "max_tokens": 120, "temperature": 0, "seed": 1,
    })
}

fn ask(node: &Node, body: &Value) -> Value {
    let answer = node.post("/v1/chat/completions", body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// The calls that the node says it made.
fn calls(reply: &Value) -> Vec<Value> {
    let calls = reply["gaia_tools"].as_array();
    calls
        .unwrap_or_else(|| panic!("no calls in {reply}"))
        .clone()
}

fn a_tool_is_offered_as_soon_as_it_is_added(node: &Node, service: &Service) {
    let unknown = node.post("/v1/chat/completions", &request("weather"));
    assert_eq!(unknown.status, 400, "{}", unknown.text);
    assert_eq!(unknown.json()["error"]["param"], "tool_choice");
    let origin = service.origin();
    add(node, "weather", &format!("{origin}/weather?city={{city}}"));
    add(node, "story", &format!("{origin}/story?city={{city}}"));
    add(node, "slow", &format!("{origin}/slow?city={{city}}"));
    add(node, "broken", &format!("{origin}/broken?city={{city}}"));
    wait_for("the tools to be offered", LIMIT, || {
        let answer = node.post("/v1/chat/completions", &request("broken"));
        (answer.status == 200).then_some(())
    });
}

fn the_call_is_made_and_the_answer_goes_on(node: &Node, service: &Service) {
    let before = service.asked().len();
    let reply = ask(node, &request("weather"));
    let calls = calls(&reply);
    assert_eq!(calls[0]["name"], "weather", "{reply}");
    assert_eq!(calls[0]["status"], "completed", "{reply}");
    assert_eq!(calls[0]["bytes"], "{\"text\":\"Sunny, 21 degrees\"}".len());
    assert!(calls[0]["ms"].is_u64(), "{reply}");
    let arguments: Value = serde_json::from_str(calls[0]["arguments"].as_str().unwrap()).unwrap();
    assert!(arguments["city"].is_string(), "{arguments}");
    let asked = &service.asked()[before..];
    assert!(asked[0].starts_with("/weather?city="), "{asked:?}");
    let choice = &reply["choices"][0];
    assert!(choice["message"]["tool_calls"].is_null(), "{reply}");
    assert!(choice["message"]["content"].is_string(), "{reply}");
    let reason = choice["finish_reason"].as_str().unwrap();
    assert!(["stop", "length"].contains(&reason), "{reply}");
}

/// The prompts of all rounds are counted: a longer result makes a longer one.
fn what_a_tool_says_is_in_the_next_prompt(node: &Node) {
    let prompt_tokens = |tool: &str| {
        let reply = ask(node, &request(tool));
        let rounds = u64::try_from(calls(&reply).len()).unwrap() + 1;
        (reply["usage"]["prompt_tokens"].as_u64().unwrap(), rounds)
    };
    let (short, rounds) = prompt_tokens("weather");
    let (long, others) = prompt_tokens("story");
    let words = u64::try_from(WORDS).unwrap();
    assert!(rounds >= 2 && others >= 2);
    let least = short / rounds * others + words / 2;
    assert!(long > least, "{long} tokens are too few beside {short}");
}

fn calls_are_seen_in_the_stream(node: &Node) {
    let mut body = request("weather");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let events = node.chat_stream(&body).rest();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    let chunks: Vec<Value> = events[..events.len() - 1]
        .iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let called = chunks
        .iter()
        .position(|chunk| chunk["gaia_tool"].is_object());
    let called = called.unwrap_or_else(|| panic!("no call in {chunks:?}"));
    let call = &chunks[called];
    assert_eq!(call["gaia_tool"]["name"], "weather", "{call}");
    assert_eq!(call["gaia_tool"]["status"], "completed", "{call}");
    assert_eq!(call["choices"][0]["delta"], json!({}), "{call}");
    let has_calls = |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"].is_array();
    assert!(!chunks.iter().any(has_calls), "{chunks:?}");
    assert!(!content(&events[called..]).is_empty(), "{chunks:?}");
    let usage = &chunks.last().unwrap()["usage"];
    assert!(usage["total_tokens"].as_u64().unwrap() > 0, "{usage}");
}

fn a_failing_tool_is_told_to_the_model(node: &Node) {
    let reply = ask(node, &request("broken"));
    let calls = calls(&reply);
    assert_eq!(calls[0]["status"], "failed", "{reply}");
    assert!(
        reply["choices"][0]["message"]["content"].is_string(),
        "{reply}"
    );
}

fn rounds_end_at_the_maximum(node: &Node) {
    for seed in 0..4 {
        let mut body = request("weather");
        body["temperature"] = json!(1.2);
        body["seed"] = json!(seed);
        body["max_tokens"] = json!(60);
        let reply = ask(node, &body);
        assert!((1..=2).contains(&calls(&reply).len()), "{reply}");
        assert_ne!(
            reply["choices"][0]["finish_reason"], "tool_calls",
            "{reply}"
        );
    }
}

/// A tool of the caller's hides one of the node's that is called the same.
fn the_callers_tools_stay_the_callers(node: &Node) {
    let mut body = request("weather");
    body["tools"] = json!([{"type": "function", "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string", "maxLength": 20}},
            "required": ["place"], "additionalProperties": false},
    }}]);
    let reply = ask(node, &body);
    assert!(reply["gaia_tools"].is_null(), "{reply}");
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{reply}");
    let call = &choice["message"]["tool_calls"][0]["function"];
    assert!(
        call["arguments"].as_str().unwrap().contains("place"),
        "{call}"
    );
}

fn whoever_declines_is_left_alone(node: &Node) {
    let mut body = request("weather");
    body["tool_choice"] = json!("none");
    body["max_tokens"] = json!(8);
    let declined = ask(node, &body);
    assert!(declined["gaia_tools"].is_null(), "{declined}");
    body["tool_choice"] = json!("auto");
    let offered = ask(node, &body);
    let prompt_tokens = |reply: &Value| reply["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(prompt_tokens(&offered) > prompt_tokens(&declined));
}

fn a_client_that_goes_ends_the_call(node: &Node, service: &Service) {
    let mut body = request("slow");
    body["stream"] = json!(true);
    let stream = node.chat_stream(&body);
    let waiting = || {
        service
            .asked()
            .iter()
            .any(|target| target.starts_with("/slow"))
    };
    wait_for("the slow tool to be asked", LIMIT, || {
        waiting().then_some(())
    });
    let aborted = node.gauge("gaia_aborted_total").unwrap();
    drop(stream);
    let gone = || *service.gone.lock().unwrap() == 1;
    wait_for("the call to end", LIMIT, || gone().then_some(()));
    wait_for("the answer to end", LIMIT, || {
        (node.gauge("gaia_aborted_total")? > aborted).then_some(())
    });
    // One that had waited for the end of its time would be a failure.
    assert_eq!(node.gauge("gaia_tool_failures_total{tool=\"slow\"}"), None);
}

fn calls_are_counted(node: &Node) {
    let count = |name: &str| node.gauge(name).unwrap_or_default();
    assert!(count("gaia_tool_calls_total{tool=\"weather\"}") >= 4.0);
    assert!(count("gaia_tool_failures_total{tool=\"broken\"}") >= 1.0);
    assert!(count("gaia_tool_seconds_total{tool=\"broken\"}") >= 0.0);
}
