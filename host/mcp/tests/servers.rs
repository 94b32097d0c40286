//! Servers that behave: every revision and transport, and what happens over time.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gaia_egress::HeaderText;
use gaia_mcp::{CallError, Credentials, Limits, LostError, Transport};
use serde_json::{Value, json};
use support::{Node, PATIENCE, Reply, Said, Web, answered, described, limits, server, text, tools};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// A server whose tool `echo` says what it was called with.
fn echo(said: &Said) -> Option<Reply> {
    match said.method() {
        "tools/list" => Some(said.result(tools(&["echo"]))),
        "tools/call" => Some(said.result(text(&said.params()["arguments"].to_string()))),
        _ => None,
    }
}

#[tokio::test]
async fn a_tool_is_listed_and_called() {
    let web = server(echo).await;
    let node = Node::of(&web);
    assert_eq!(web.seen(), 0, "nothing is asked before it is needed");
    assert_eq!(node.names().await, ["news__echo"]);
    assert!(node.servers.has("news__echo") && !node.servers.has("weather__echo"));
    let answer = node.call("news__echo", json!({"a": 1})).await.unwrap();
    assert_eq!(answer, answered("{\"a\":1}"));
    let call = web.requests().pop().unwrap();
    assert!(
        call.contains("authorization: Bearer s3cret-key\r\n"),
        "{call}"
    );
    assert!(
        call.contains("mcp-protocol-version: 2025-11-25\r\n"),
        "{call}"
    );
}

#[tokio::test]
async fn a_session_is_kept_and_ended() {
    let web = server(|said| match said.method() {
        "initialize" => {
            let result = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "test", "version": "1"}});
            let answer = json!({"jsonrpc": "2.0", "id": said.message["id"], "result": result});
            let headers = "content-type: application/json\r\nmcp-session-id: s-1\r\n";
            Some(Reply::of("200 OK", headers, &answer.to_string()))
        }
        _ => echo(said),
    })
    .await;
    let node = Node::of(&web);
    node.call("news__echo", json!({})).await.unwrap();
    let call = web
        .requests()
        .into_iter()
        .find(|request| request.contains("tools/call"));
    assert!(call.unwrap().contains("mcp-session-id: s-1\r\n"));
    drop(node);
    until(|| {
        web.requests()
            .iter()
            .any(|request| request.starts_with("DELETE /mcp "))
    })
    .await;
}

/// Waits for something that another task does.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn answers_come_as_events_too() {
    let web = server(|said| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": 1, "progress": 1}});
        match said.method() {
            "tools/list" => Some(said.event(&[], tools(&["slow"]))),
            "tools/call" => Some(said.event(&[progress], text("done"))),
            _ => None,
        }
    })
    .await;
    let node = Node::of(&web);
    assert_eq!(
        node.call("news__slow", json!({})).await.unwrap(),
        answered("done")
    );
}

#[tokio::test]
async fn the_revision_without_a_handshake_is_spoken() {
    let web = server(|said| match said.method() {
        "server/discover" => Some(said.result(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private",
        }))),
        "initialize" => Some(said.error(-32601, "no such method any more")),
        _ => echo(said),
    })
    .await;
    let node = Node::of(&web);
    let answer = node.call("news__echo", json!({"a": 1})).await.unwrap();
    assert_eq!(answer, answered("{\"a\":1}"));
    let call = web.requests().pop().unwrap();
    assert!(
        call.contains("mcp-protocol-version: 2026-07-28\r\n"),
        "{call}"
    );
    assert!(call.contains("mcp-name: echo\r\n"), "{call}");
}

#[tokio::test]
async fn a_tool_that_fails_says_so() {
    let web = server(|said| match said.method() {
        "tools/list" => Some(said.result(tools(&["fails", "refuses"]))),
        "tools/call" if said.params()["name"] == "fails" => {
            let mut result = text("no such city");
            result["isError"] = Value::Bool(true);
            Some(said.result(result))
        }
        "tools/call" => Some(said.error(-32602, "bad arguments")),
        _ => None,
    })
    .await;
    let node = Node::of(&web);
    let answer = node.call("news__fails", json!({})).await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.failed),
        ("no such city", true)
    );
    let error = node.call("news__refuses", json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refuses: bad arguments");
    let error = node.call("news__other", json!({})).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no tool `news__other`");
    let error = node.call("news__fails", json!([])).await.unwrap_err();
    assert!(matches!(error, CallError::NotObject), "{error}");
    let long = json!({"x": "y".repeat(gaia_outbound::ARGUMENTS_BYTES_MAX)});
    let error = node.call("news__fails", long).await.unwrap_err();
    assert!(
        matches!(error, CallError::ArgumentsTooLong { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_list_that_changed_is_asked_for_again() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lists);
    let web = server(
        move |said| match (said.http_method.as_str(), said.method()) {
            ("GET", _) => {
                let changed =
                    json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
                Some(Reply::Stall(format!("{head}data: {changed}\n\n")))
            }
            (_, "initialize") => {
                let result = json!({"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "test", "version": "1"}});
                let answer = json!({"jsonrpc": "2.0", "id": said.message["id"], "result": result});
                let headers = "content-type: application/json\r\nmcp-session-id: s-1\r\n";
                Some(Reply::of("200 OK", headers, &answer.to_string()))
            }
            (_, "tools/list") => match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Some(said.result(tools(&["old"]))),
                _ => Some(said.result(tools(&["new"]))),
            },
            _ => None,
        },
    )
    .await;
    let node = Node::of(&web);
    let changed = async {
        while node.names().await != ["news__new"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
    node.names().await;
    assert_eq!(lists.load(Ordering::SeqCst), 2, "one change, one more list");
}

#[tokio::test]
async fn pages_are_put_together() {
    let web = server(|said| {
        let cursor = said.params()["cursor"].as_str().unwrap_or("first");
        let mut page = tools(&[cursor]);
        if cursor == "first" {
            page["nextCursor"] = "second".into();
        }
        (said.method() == "tools/list").then(|| said.result(page))
    })
    .await;
    assert_eq!(
        Node::of(&web).names().await,
        ["news__first", "news__second"]
    );
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let origin = format!("http://{address}");
    let server = described(&format!("{origin}/mcp"), Transport::Http);
    let long = Limits {
        pause_min: PATIENCE,
        pause_max: PATIENCE,
        ..limits()
    };
    let patient = Node::new(&origin, server.clone(), &long);
    let problem = patient.listing().await.problem.unwrap().to_string();
    assert!(problem.contains("failed to connect"), "{problem}");
    let error = patient.call("news__echo", json!({})).await.unwrap_err();
    let paused = matches!(
        &error,
        CallError::Lost {
            why: LostError::Pausing { .. },
            ..
        }
    );
    assert!(paused, "{error}");
    let node = Node::new(&origin, server, &limits());
    assert!(node.listing().await.problem.is_some());
    let web = Web::start_at(&address.to_string(), None, |request| {
        let said = Said::read(request);
        echo(&said).unwrap_or_else(|| support::polite(&said))
    })
    .await;
    let found = async {
        while node.names().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap();
    assert!(web.seen() > 0);
}

#[tokio::test]
async fn a_slow_server_delays_nobody() {
    let web = Web::start(|_| Reply::Silence).await;
    let node = Node::of(&web);
    let short = Duration::from_millis(50);
    let listing = node.servers.listing("news", short).await.unwrap();
    assert!(matches!(listing.problem, Some(LostError::TooSlow(_))));
    assert_eq!(node.servers.offered(short).await, []);
}

#[tokio::test]
async fn a_fresh_list_is_not_asked_for_again() {
    let web = server(echo).await;
    let node = Node::of(&web);
    for _ in 0..3 {
        let offered = node.servers.offered(PATIENCE).await;
        assert_eq!(offered[0].name, "news__echo");
        assert_eq!(node.names().await, ["news__echo"]);
    }
    let requests = web.requests();
    let lists = requests
        .iter()
        .filter(|request| request.contains("tools/list"));
    assert_eq!(lists.count(), 1);
}

#[tokio::test]
async fn a_server_that_wants_another_key_is_told_it_the_next_time() {
    let keys = Arc::new(AtomicUsize::new(1));
    let wanted = Arc::clone(&keys);
    let web = server(move |said| {
        let key = format!(
            "\r\nauthorization: key-{}\r\n",
            wanted.load(Ordering::SeqCst)
        );
        match said.head.contains(&key) {
            true => echo(said),
            false => Some(Reply::of("401 Unauthorized", "", "no such key")),
        }
    })
    .await;
    let mut server = described(&web.url("/mcp"), Transport::Http);
    let given = Arc::clone(&keys);
    server.credentials = Credentials::new(move || {
        let key = format!("key-{}", given.load(Ordering::SeqCst));
        async move { Ok(vec![("authorization".to_owned(), HeaderText::plain(&key))]) }
    });
    let node = Node::new(&web.origin(), server, &limits());
    node.call("news__echo", json!({})).await.unwrap();
    keys.store(2, Ordering::SeqCst);
    let error = node.call("news__echo", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("status 401"), "{error}");
    node.call("news__echo", json!({})).await.unwrap();
}

#[tokio::test]
async fn an_old_list_is_asked_for_again() {
    let web = server(echo).await;
    let server = described(&web.url("/mcp"), Transport::Http);
    let limits = Limits {
        list_age_max: Duration::ZERO,
        ..limits()
    };
    let node = Node::new(&web.origin(), server, &limits);
    assert_eq!(node.names().await, node.names().await);
    let requests = web.requests();
    let lists = requests
        .iter()
        .filter(|request| request.contains("tools/list"));
    assert_eq!(lists.count(), 2);
}

/// The older transport: one stream for answers, one address for messages.
async fn legacy(endpoint: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (say, _) = broadcast::channel::<String>(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(legacy_connection(stream, endpoint, say.clone()));
        }
    });
    origin
}

async fn legacy_connection(
    mut stream: TcpStream,
    endpoint: &'static str,
    say: broadcast::Sender<String>,
) {
    let mut reader = BufReader::new(&mut stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    if head.starts_with("GET /sse ") {
        let mut answers = say.subscribe();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        let first = format!("{head}event: endpoint\ndata: {endpoint}\n\n");
        stream.write_all(first.as_bytes()).await.unwrap();
        while let Ok(answer) = answers.recv().await {
            let event = format!("event: message\ndata: {answer}\n\n");
            if stream.write_all(event.as_bytes()).await.is_err() {
                return;
            }
        }
        return;
    }
    assert!(head.starts_with("POST /messages?session=1 "), "{head}");
    assert!(
        head.contains("authorization: Bearer s3cret-key\r\n"),
        "{head}"
    );
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    reader.read_exact(&mut body).await.unwrap();
    let request = format!("{head}{}", String::from_utf8(body).unwrap());
    let said = Said::read(&request);
    let reply = echo(&said).unwrap_or_else(|| support::polite(&said));
    if let Reply::Say(reply) = reply
        && let Some((_, answer)) = reply.split_once("\r\n\r\n")
        && !answer.is_empty()
    {
        say.send(answer.to_owned()).unwrap();
    }
    let accepted = "HTTP/1.1 202 Accepted\r\ncontent-length: 8\r\n\r\nAccepted";
    stream.write_all(accepted.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_older_transport_is_spoken() {
    let origin = legacy("/messages?session=1").await;
    let server = described(&format!("{origin}/sse"), Transport::Sse);
    let node = Node::new(&origin, server, &limits());
    assert_eq!(node.names().await, ["news__echo"]);
    let answer = node.call("news__echo", json!({"a": 1})).await.unwrap();
    assert_eq!(answer, answered("{\"a\":1}"));
}

#[tokio::test]
async fn the_older_transport_names_no_other_place() {
    let origin = legacy("http://127.0.0.1:1/messages").await;
    let server = described(&format!("{origin}/sse"), Transport::Sse);
    let node = Node::new(&origin, server, &limits());
    let problem = node.listing().await.problem.unwrap().to_string();
    assert!(problem.contains("wants messages elsewhere"), "{problem}");
}
