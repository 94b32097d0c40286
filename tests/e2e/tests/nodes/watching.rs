//! Watching a node: spans at a collector, a log for programs, and the numbers that the documentation lists.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::node::Node;
use e2e::process::wait_for;
use e2e::root;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Said;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(120);
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
/// What nobody but the node may get to read.
const SAID: &str = "Zanzibar";
const SECRET: &str = "collector-secret-1";

/// One node for all of it: starting one takes longer than asking it.
#[test]
fn a_node_can_be_watched() {
    let outside = Outside::start();
    let node = Node::new();
    node.set("n_predict_max", "60");
    node.set("log_format", "json");
    node.set("otlp_endpoint", &outside.origin());
    node.set("otlp_headers", "authorization: Bearer {secret:otlp}");
    node.set("egress_origins", &outside.origin());
    keep_secret(&node);
    node.start();
    learn(&node);
    node.gaia_ok(&[
        "tools",
        "add",
        "weather",
        "--url",
        &format!("{}/weather?city={{city}}", outside.origin()),
        "--description",
        "Tells the weather of a city.",
    ]);
    a_streamed_answer_from_passages_is_a_tree_of_spans(&node, &outside);
    a_call_of_a_tool_is_in_the_trace_and_the_tool_learns_of_it(&node, &outside);
    what_was_said_is_in_no_span(&outside);
    the_documentation_lists_every_metric(&node);
    a_collector_that_is_away_costs_nothing(&node, &outside);
    every_line_of_the_log_is_an_object_and_tells_of_its_request(&node);
}

fn keep_secret(node: &Node) {
    let mut command = node.command(&["tools", "secret", "set", "otlp"]);
    command.stdin(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    write!(child.stdin.take().unwrap(), "{SECRET}").unwrap();
    assert!(child.wait().unwrap().success());
}

fn learn(node: &Node) {
    let file = node.home().join("facts.md");
    fs::write(
        &file,
        format!("# Harbours\n\n{SAID} has a harbour for dhows.\n"),
    )
    .unwrap();
    node.gaia_ok(&["knowledge", "add", &file.to_string_lossy()]);
}

/// A collector and a service with the weather, on one port.
struct Outside {
    port: u16,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    bodies: Vec<Vec<u8>>,
    /// The heads of requests for the weather.
    asked: Vec<String>,
    away: bool,
}

impl Outside {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::<Mutex<Taken>>::default();
        let keeps = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &keeps);
            }
        });
        Self { port, taken }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The spans of the trace that has a span called `name`, once it is all there.
    fn trace_with(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Vec<Span> {
        wait_for(what, LIMIT, || {
            let taken = self.taken.lock().unwrap();
            let one = taken.spans.iter().find(|span| is_it(span))?;
            let same = taken
                .spans
                .iter()
                .filter(|span| span.trace_id == one.trace_id);
            Some(same.cloned().collect())
        })
    }
}

fn answer(mut stream: TcpStream, taken: &Mutex<Taken>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let mut taken = taken.lock().unwrap();
    let status = match head.starts_with("post /v1/traces") {
        true if taken.away => "503 Away",
        true => {
            assert!(head.contains("content-type: application/x-protobuf"));
            assert!(head.contains(&format!("authorization: bearer {SECRET}")));
            let read = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            for scope in read
                .resource_spans
                .into_iter()
                .flat_map(|all| all.scope_spans)
            {
                taken.spans.extend(scope.spans);
            }
            taken.bodies.push(body);
            "200 OK"
        }
        false => {
            taken.asked.push(head);
            "200 OK"
        }
    };
    let _gone = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n\"sunny\""
    );
}

/// POST with headers of our own; gives the whole answer, head and all.
fn post(node: &Node, headers: &str, body: &Value) -> String {
    let url = node.url();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Said> {
    let pair = span.attributes.iter().find(|pair| pair.key == key)?;
    pair.value.as_ref()?.value.as_ref()
}

fn number(span: &Span, key: &str) -> i64 {
    match attribute(span, key) {
        Some(Said::IntValue(number)) => *number,
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Said::StringValue(text)) => text.clone(),
        other => panic!("{key} is {other:?} in {span:?}"),
    }
}

fn finish_reasons(span: &Span) -> String {
    format!("{:?}", attribute(span, "gen_ai.response.finish_reasons"))
}

/// The spans right below `parent`, by the first word of their names, in the order in which they began.
fn below<'a>(spans: &'a [Span], parent: &Span) -> Vec<(&'a str, &'a Span)> {
    let mut below: Vec<_> = spans
        .iter()
        .filter(|span| span.parent_span_id == parent.span_id)
        .map(|span| (span.name.split(' ').next().unwrap(), span))
        .collect();
    below.sort_by_key(|(_, span)| span.start_time_unix_nano);
    below
}

fn names<'a>(below: &[(&'a str, &Span)]) -> Vec<&'a str> {
    below.iter().map(|(name, _)| *name).collect()
}

fn a_streamed_answer_from_passages_is_a_tree_of_spans(node: &Node, outside: &Outside) {
    let request = json!({
        "messages": [{"role": "user", "content": format!("What has {SAID}?")}],
        "tool_choice": "none", "max_tokens": 12, "stream": true,
    });
    let headers = format!("x-request-id: watched-1\r\ntraceparent: 00-{TRACE}-{CALLER}-01\r\n");
    let answer = post(node, &headers, &request);
    assert!(answer.contains("x-request-id: watched-1"), "{answer}");
    assert!(!answer.contains("x-gaia-"), "{answer}");
    let spans = outside.trace_with("the caller's trace", |span| hex(&span.trace_id) == TRACE);
    let server = spans.iter().find(|span| span.kind == 2).unwrap();
    assert_eq!(server.name, "POST /v1/chat/completions");
    assert_eq!(hex(&server.parent_span_id), CALLER);
    assert_eq!(number(server, "http.response.status_code"), 200);
    assert_eq!(text(server, "gaia.request.id"), "watched-1");
    let parts = below(&spans, server);
    assert_eq!(names(&parts), ["embeddings", "retrieval", "chat"]);
    assert_eq!(number(parts[1].1, "gaia.retrieval.hits"), 1);
    let chat = parts[2].1;
    assert_eq!(text(chat, "gen_ai.operation.name"), "chat");
    assert_eq!(text(chat, "gen_ai.request.model"), e2e::CHAT_MODEL);
    assert!(text(chat, "gen_ai.response.id").starts_with("chatcmpl-"));
    assert!(number(chat, "gen_ai.usage.input_tokens") > 20);
    assert!((1..=12).contains(&number(chat, "gen_ai.usage.output_tokens")));
    let first = attribute(chat, "gen_ai.response.time_to_first_chunk");
    assert!(matches!(first, Some(Said::DoubleValue(seconds)) if *seconds > 0.0));
    let reasons = finish_reasons(chat);
    assert!(
        reasons.contains("stop") || reasons.contains("length"),
        "{reasons}"
    );
    assert_eq!(names(&below(&spans, chat)), ["queue", "prefill", "decode"]);
    for span in &spans {
        let within = span.start_time_unix_nano >= server.start_time_unix_nano
            && span.end_time_unix_nano <= server.end_time_unix_nano
            && span.start_time_unix_nano <= span.end_time_unix_nano;
        assert!(within, "{span:?} is outside of {server:?}");
    }
}

fn a_call_of_a_tool_is_in_the_trace_and_the_tool_learns_of_it(node: &Node, outside: &Outside) {
    let request = json!({
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": false, "temperature": 0, "seed": 1, "max_tokens": 60,
    });
    post(node, "x-request-id: watched-2\r\n", &request);
    let spans = outside.trace_with("the trace of a call", |span| {
        span.name == "execute_tool weather"
    });
    let server = spans.iter().find(|span| span.kind == 2).unwrap();
    assert_eq!(
        server.parent_span_id,
        Vec::<u8>::new(),
        "a trace of its own"
    );
    let parts = below(&spans, server);
    let names = names(&parts);
    let at = names
        .iter()
        .position(|name| *name == "execute_tool")
        .unwrap();
    assert_eq!(names[at - 1], "chat", "{names:?}");
    assert!(names[at + 1..].contains(&"chat"), "{names:?}");
    assert!(finish_reasons(parts[at - 1].1).contains("tool_calls"));
    let call = parts[at].1;
    assert_eq!(text(call, "gen_ai.tool.name"), "weather");
    assert!(text(call, "gen_ai.tool.call.id").starts_with("call_"));
    let told = format!(
        "traceparent: 00-{}-{}-01",
        hex(&call.trace_id),
        hex(&call.span_id)
    );
    let asked = outside.taken.lock().unwrap().asked.clone();
    assert!(
        asked.iter().any(|head| head.contains(&told)),
        "{told} in {asked:?}"
    );
}

fn what_was_said_is_in_no_span(outside: &Outside) {
    let taken = outside.taken.lock().unwrap();
    assert!(!taken.bodies.is_empty());
    for body in &taken.bodies {
        let text = String::from_utf8_lossy(body);
        for word in [SAID, "Rome", "sunny", SECRET] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
}

/// The names in the first column of the table.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let (_, table) = text.split_once("## Metrics").unwrap();
    table
        .lines()
        .skip_while(|line| !line.starts_with("| `"))
        .take_while(|line| line.starts_with("| `"))
        .map(|line| line.split('`').nth(1).unwrap().to_owned())
        .collect()
}

fn the_documentation_lists_every_metric(node: &Node) {
    let text = node.get("/metrics").text;
    let names = |kind: &str| -> BTreeSet<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        lines
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("# TYPE "), names("# HELP "));
    assert_eq!(names("# TYPE "), documented(), "docs/api.md, \"Metrics\"");
    for process in ["gaia", "worker", "store"] {
        let name = format!("gaia_process_resident_bytes{{process=\"{process}\"}}");
        assert!(node.gauge(&name).unwrap() > 1e6, "{name}");
    }
    let (used, cells) = (
        node.gauge("gaia_kv_cells_used "),
        node.gauge("gaia_kv_cells "),
    );
    assert!(0.0 < used.unwrap() && used < cells, "{used:?} of {cells:?}");
    assert!(node.gauge("gaia_trace_spans_exported_total ").unwrap() > 8.0);
    let requests = "gaia_ingress_requests_total{route=\"/v1/chat/completions\",class=\"2xx\"}";
    assert_eq!(node.gauge(requests), Some(2.0));
}

fn a_collector_that_is_away_costs_nothing(node: &Node, outside: &Outside) {
    outside.taken.lock().unwrap().away = true;
    let request = json!({
        "messages": [{"role": "user", "content": "Hi"}], "tool_choice": "none", "max_tokens": 2,
    });
    post(node, "x-request-id: watched-3\r\n", &request);
    wait_for("a word about the collector", LIMIT, || {
        let log = fs::read_to_string(node.home().join("log/gaia.log")).unwrap();
        log.contains("the collector takes no spans").then_some(())
    });
    post(node, "x-request-id: watched-4\r\n", &request);
    outside.taken.lock().unwrap().away = false;
    let is_it = |span: &Span| span.kind == 2 && text(span, "gaia.request.id") == "watched-3";
    outside.trace_with("what it missed", is_it);
}

fn every_line_of_the_log_is_an_object_and_tells_of_its_request(node: &Node) {
    let mut about = Vec::new();
    for file in ["gaia", "worker", "store"] {
        let path = node.home().join(format!("log/{file}.log"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains(SECRET) && !text.contains(SAID), "{text}");
        for line in text.lines() {
            let record: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            for key in ["time", "level", "target", "message"] {
                assert!(record[key].is_string(), "no {key} in {line}");
            }
            if record["fields"]["request_id"] == "watched-2" {
                about.push(record);
            }
        }
    }
    let found = |message: &str| {
        let record = about.iter().find(|record| record["message"] == message);
        record.unwrap_or_else(|| panic!("no `{message}` in {about:?}"))
    };
    let access = &found("request")["fields"];
    assert_eq!(access["route"], "/v1/chat/completions", "{access}");
    assert!(access["prompt_tokens"].as_u64().unwrap() > 20, "{access}");
    assert!(
        access["completion_tokens"].as_u64().unwrap() > 1,
        "{access}"
    );
    assert_eq!(found("called a tool")["fields"]["tool"], "weather");
    let shown = node.gaia_ok(&["logs", "--request", "watched-2"]);
    assert!(
        shown.contains("called a tool") && !shown.contains('{'),
        "{shown}"
    );
    assert!(!shown.contains("watched-1"), "{shown}");
}
