//! A back port that is open, and all who have no business there.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream as Socket;

use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;
use crate::library::Library;

/// A node's folder and its open back port.
struct Opened {
    home: TempDir,
    back: Back,
}

impl Opened {
    async fn with(tools: &str, listed: &str) -> Self {
        Self::made(tools, listed, true).await
    }

    async fn made(tools: &str, listed: &str, has_store: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("tools.toml"), tools).unwrap();
        let config = Config {
            egress_origins: vec![listed.to_owned()],
            ..Config::default()
        };
        let live = LiveTools::open(
            &Home::new(home.path()).unwrap(),
            &config,
            &Environment::default(),
        );
        let folder = home.path().join("records");
        let records = Records::open(&folder, gaia_records::Limits::default()).unwrap();
        let store = Service {
            url: "http://127.0.0.1:9".to_owned(),
            key: String::new(),
        };
        let (_no_worker, worker) = tokio::sync::watch::channel(None);
        let library =
            Library::open(&home.path().join("library"), store, "default", worker).unwrap();
        let library = KeptLibrary { library, has_store };
        let routes = Routes::new(live, Arc::new(records), library);
        let back = Back::open(routes, Seat::any().unwrap()).await.unwrap();
        Self { home, back }
    }

    /// The status and the body of the answer to a request with the right key.
    async fn ask(&self, request: &str, body: &str) -> (u16, Value) {
        let head = format!(
            "{request} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.back.service().key,
            body.len()
        );
        self.send(format!("{head}{body}")).await
    }

    async fn send(&self, text: String) -> (u16, Value) {
        let address = self.back.service().url.replace("http://", "");
        let sent = tokio::task::spawn_blocking(move || {
            let mut socket = Socket::connect(address).unwrap();
            socket.write_all(text.as_bytes()).unwrap();
            let mut reply = String::new();
            socket.read_to_string(&mut reply).unwrap();
            reply
        });
        let reply = sent.await.unwrap();
        let status = reply[9..12].parse().unwrap();
        let body = reply.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    async fn call(&self, turn: &str, arguments: &str) -> Value {
        let call = json!({"turn": turn, "name": "weather", "arguments": arguments});
        let (status, said) = self.ask("POST /call", &call.to_string()).await;
        assert_eq!(status, 200, "{said}");
        said
    }
}

/// A server that answers every request with `reply`; gives its origin.
fn server(reply: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 4096]);
            let length = reply.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let _gone = stream.write_all(format!("{head}{reply}").as_bytes());
        }
    });
    origin
}

fn weather(origin: &str) -> String {
    format!(
        "[[tool]]\nname = \"weather\"\ndescription = \"The weather.\"\nurl = \"{origin}/now?city={{city}}\"\npointer = \"/text\"\n"
    )
}

const BONN: &str = "{\"city\": \"Bonn\"}";

#[tokio::test]
async fn nobody_comes_in_without_the_key() {
    let opened = Opened::with("", "http://127.0.0.1:1").await;
    let key = &opened.back.service().key;
    assert_eq!(key.len(), 64);
    for shown in [
        String::new(),
        "authorization: Bearer x\r\n".to_owned(),
        format!("authorization: Bearer {}\r\n", &key[1..]),
        format!("authorization: Basic {key}\r\n"),
    ] {
        let text = format!("GET /tools HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{shown}\r\n");
        assert_eq!(opened.send(text).await.0, 401, "{shown}");
    }
    assert_eq!(opened.ask("GET /tools", "").await.0, 200);
    assert!(!format!("{:?}", opened.back).contains(key.as_str()));
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let opened = Opened::with("", "http://127.0.0.1:1").await;
    let check = async |request: &str, body: &str, expected: u16| {
        assert_eq!(opened.ask(request, body).await.0, expected, "{request}");
    };
    check("GET /", "", 404).await;
    check("GET /tools/x", "", 404).await;
    check("POST /tools", "", 405).await;
    check("GET /call", "", 405).await;
    check("POST /call", "{}", 400).await;
    let turn = |turn: String| json!({"turn": turn, "name": "x", "arguments": "{}"}).to_string();
    check("POST /call", &turn(String::new()), 400).await;
    check("POST /call", &turn("x".repeat(129)), 400).await;
    check("POST /call", &turn("x".repeat(128)), 200).await;
    check("GET /tools", "too long", 413).await;
    check("POST /call", &"x".repeat(tools::CALL_BYTES_MAX + 1), 413).await;
}

#[tokio::test]
async fn records_are_kept() {
    let opened = Opened::with("", "http://127.0.0.1:1").await;
    let path = "/records/anna/resp_0123456789abcdef01234567";
    assert_eq!(opened.ask(&format!("GET {path}"), "").await.0, 404);
    let kept = opened.ask(&format!("PUT {path}"), "{\"a\":1}").await;
    assert_eq!(kept.0, 200);
    let found = opened.ask(&format!("GET {path}"), "").await;
    assert_eq!(found, (200, json!({"a": 1})));
    let large = "x".repeat(gaia_records::Limits::default().record_bytes_max + 1);
    assert_eq!(opened.ask(&format!("PUT {path}"), &large).await.0, 413);
}

#[tokio::test]
async fn files_are_asked_for() {
    let opened = Opened::with("", "http://127.0.0.1:1").await;
    let listed = opened.ask("GET /library/anna/v1/files?limit=2", "").await;
    assert_eq!((listed.0, &listed.1["data"]), (200, &json!([])));
    let refused = opened.ask("GET /library/anna/v1/files/x", "").await;
    assert_eq!(
        (refused.0, &refused.1["error"]["param"]),
        (404, &json!("id"))
    );
    for path in ["/library", "/library/A/v1/files", "/library/anna/x"] {
        assert_eq!(
            opened.ask(&format!("GET {path}"), "").await.0,
            404,
            "{path}"
        );
    }
}

/// What there is without one is kept and shown; what it would have to do is refused with what to do.
#[tokio::test]
async fn without_an_embedding_model_no_vector_store_is_asked() {
    let opened = Opened::made("", "http://127.0.0.1:1", false).await;
    let refused = async |request: &str| {
        let (status, said) = opened.ask(request, "{}").await;
        let message = said["error"]["message"].to_string();
        assert_eq!(status, 503, "{request}: {said}");
        assert!(message.contains("config set embedding_model"), "{said}");
    };
    refused("POST /library/anna/v1/vector_stores").await;
    refused("POST /library/anna/v1/vector_stores/vs_1/search").await;
    refused("DELETE /library/anna/v1/vector_stores/vs_1").await;
    refused("POST /library/anna/v1/create/rag").await;
    refused("POST /library/anna/v1/chunks").await;
    for (request, status) in [
        ("GET /library/anna/v1/files", 200),
        ("GET /library/anna/v1/vector_stores", 200),
        // No vector store could know of it.
        ("DELETE /library/anna/v1/files/file_1", 404),
    ] {
        assert_eq!(opened.ask(request, "").await.0, status, "{request}");
    }
}

#[tokio::test]
async fn a_tool_is_called_and_one_that_fails_says_so() {
    let origin = server("{\"text\": \"Sunny\"}");
    let opened = Opened::with(&weather(&origin), &origin).await;
    let said = opened.call("t", BONN).await;
    assert_eq!(
        (&said["answer"], &said["bytes"]),
        (&json!("Sunny"), &json!(17))
    );
    let failed = async |arguments: &str, expected: &str| {
        let said = opened.call("t", arguments).await;
        let failure = said["failure"].as_str().unwrap().to_owned();
        assert!(failure.contains(expected), "{failure}");
    };
    failed("{}", "`city` is missing").await;
    failed("{", "not JSON").await;
    fs::write(opened.home.path().join("tools.toml"), "").unwrap();
    failed(BONN, "there is no tool `weather`").await;
}

#[tokio::test]
async fn a_tool_is_there_as_soon_as_it_is_added() {
    let opened = Opened::with("", "http://127.0.0.1:1").await;
    assert_eq!(opened.ask("GET /tools", "").await.1, json!({"tools": []}));
    let file = opened.home.path().join("tools.toml");
    fs::write(&file, weather("https://api.example.org")).unwrap();
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let expected =
        json!({"name": "weather", "description": "The weather.", "parameters": parameters});
    assert_eq!(
        opened.ask("GET /tools", "").await.1["tools"],
        json!([expected])
    );
    // A table that is broken changes nothing.
    fs::write(&file, "[[tool").unwrap();
    assert_eq!(
        opened.ask("GET /tools", "").await.1["tools"],
        json!([expected])
    );
}

#[tokio::test]
async fn the_calls_of_a_turn_have_an_end() {
    let origin = server("{\"text\": \"Sunny\"}");
    let opened = Opened::with(&weather(&origin), &origin).await;
    let max = gaia_egress::Limits::default().calls_per_turn_max;
    for _ in 0..max {
        assert_eq!(opened.call("one", BONN).await["answer"], "Sunny");
    }
    let said = opened.call("one", BONN).await;
    assert_eq!(
        said["failure"],
        format!("this turn has made its {max} calls")
    );
    assert_eq!(opened.call("two", BONN).await["answer"], "Sunny");
}
