//! `gaia tools`, from the litepaper's weather example to everything that must not work.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use support::{Run, Sandbox};

const KEY: &str = "weather-key-4711";

/// A weather service on loopback, and what it was asked.
struct Weather {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Weather {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &seen);
            }
        });
        Self { port, requests }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn last_request(&self) -> String {
        self.requests.lock().unwrap().last().unwrap().clone()
    }

    fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if lines.read_line(&mut request).unwrap() == 0 {
            return;
        }
    }
    let length = request
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    lines.read_exact(&mut body).unwrap();
    request.push_str(std::str::from_utf8(&body).unwrap());
    let known = request.contains(&format!("\r\nauthorization: Bearer {KEY}\r\n"));
    let (status, body) = match (known, request.contains("city=Atlantis")) {
        (false, _) => ("401 Unauthorized", json!({"error": "no such key"})),
        (true, true) => (
            "404 Not Found",
            json!({"error": format!("{KEY} found no such city")}),
        ),
        (true, false) => (
            "200 OK",
            json!({"current": {"temp_c": 21.5, "condition": {"text": "Sunny"}}}),
        ),
    };
    seen.lock().unwrap().push(request);
    let body = body.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
}

/// A node with the key of the weather service.
fn node() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    set_secret(&sandbox, "weather", KEY).ok();
    sandbox
}

fn set_secret(sandbox: &Sandbox, name: &str, secret: &str) -> Run {
    sandbox.gaia_with_input(&["tools", "secret", "set", name], &format!("{secret}\n"))
}

fn add_weather(sandbox: &Sandbox, weather: &Weather) -> Run {
    let url = format!(
        "{}/v1/current.json?city={{city}}&days={{days}}",
        weather.origin()
    );
    sandbox.gaia(&[
        "tools",
        "add",
        "weather",
        "--url",
        &url,
        "--description",
        "The weather in a city, now",
        "--param",
        "city=Name of the city",
        "--param",
        "days?:integer",
        "--header",
        "Authorization: Bearer {secret:weather}",
        "--pointer",
        "/current/condition/text",
    ])
}

fn test(sandbox: &Sandbox, arguments: &str) -> Run {
    sandbox.gaia(&["tools", "test", "weather", "--args", arguments])
}

#[track_caller]
fn check_failed(run: &Run, code: i32, expected: &[&str]) {
    assert_eq!(run.code, code, "{}{}", run.out, run.err);
    for words in expected {
        assert!(run.err.contains(words), "`{words}` is not in: {}", run.err);
    }
    assert!(!run.err.contains(KEY), "{}", run.err);
}

#[test]
fn the_litepapers_weather_example_works() {
    let weather = Weather::start();
    let mut sandbox = node();
    // A proxy in the environment is nobody's business here: nothing listens there.
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        sandbox.set(variable, Path::new("http://127.0.0.1:1"));
    }
    let refused = add_weather(&sandbox, &weather);
    let mend = format!("gaia config set egress_origins {}", weather.origin());
    check_failed(&refused, 1, &["plain HTTP", &mend]);
    sandbox
        .gaia(&["config", "set", "egress_origins", &weather.origin()])
        .ok();
    let added = add_weather(&sandbox, &weather).ok();
    assert!(
        added.contains("gaia tools test weather --args '{\"city\":\"…\"}'"),
        "{added}"
    );

    let run = test(&sandbox, r#"{"city": "K\u00f6ln & Bonn"}"#);
    assert!(run.err.contains("status 200, "), "{}", run.err);
    assert!(run.err.contains(" B, application/json"), "{}", run.err);
    assert_eq!(run.ok(), "Sunny\n");
    let request = weather.last_request();
    assert!(
        request.starts_with("GET /v1/current.json?city=K%C3%B6ln%20%26%20Bonn HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("\r\nhost: 127.0.0.1:{}\r\n", weather.port)),
        "{request}"
    );

    let arguments = [
        "--json",
        "tools",
        "test",
        "weather",
        "--args",
        r#"{"city": "Bonn", "days": 2}"#,
    ];
    let shown = sandbox.gaia(&arguments).json();
    assert_eq!(
        (&shown["status"], &shown["answer"]),
        (&json!(200), &json!("Sunny"))
    );
    assert!(
        weather
            .last_request()
            .starts_with("GET /v1/current.json?city=Bonn&days=2 ")
    );
}

#[test]
fn errors_say_what_to_do() {
    let weather = Weather::start();
    let sandbox = node();
    sandbox
        .gaia(&["config", "set", "egress_origins", &weather.origin()])
        .ok();
    add_weather(&sandbox, &weather).ok();
    check_failed(
        &add_weather(&sandbox, &weather),
        2,
        &["a tool of that name above", "gaia tools remove weather"],
    );
    check_failed(&test(&sandbox, "{"), 2, &["--args is not JSON"]);
    check_failed(
        &test(&sandbox, "{}"),
        2,
        &["argument `city` is missing", "--args that fit"],
    );
    check_failed(
        &test(&sandbox, r#"{"city": "x", "url": "http://evil"}"#),
        2,
        &["no parameter `url`"],
    );
    check_failed(
        &sandbox.gaia(&["tools", "test", "wether"]),
        2,
        &["no tool `wether`", "did you mean `weather`?"],
    );
    check_failed(
        &sandbox.gaia(&["tools", "test", "x"]),
        2,
        &["no tool `x`", "gaia tools list shows them"],
    );
    check_failed(
        &sandbox.gaia(&["tools", "remove", "nope"]),
        1,
        &["`nope` was not here", "gaia tools list"],
    );
    check_failed(
        &sandbox.gaia(&["tools", "secret", "remove", "nope"]),
        1,
        &["`nope` was not here", "gaia tools secret list"],
    );
    assert_eq!(weather.asked(), 0);
    // The server repeats the key; nobody else does.
    let lost = test(&sandbox, r#"{"city": "Atlantis"}"#);
    check_failed(
        &lost,
        1,
        &["status 404: {\"error\":\"**** found no such city\"}"],
    );

    set_secret(&sandbox, "weather", "another-key").ok();
    let refused = test(&sandbox, r#"{"city": "Bonn"}"#);
    check_failed(
        &refused,
        1,
        &["status 401", "gaia tools secret set weather"],
    );
    sandbox.gaia(&["tools", "secret", "remove", "weather"]).ok();
    let missing = test(&sandbox, r#"{"city": "Bonn"}"#);
    check_failed(
        &missing,
        1,
        &[
            "there is no secret `weather`",
            "gaia tools secret set weather",
        ],
    );

    sandbox.gaia(&["config", "set", "egress_origins", ""]).ok();
    set_secret(&sandbox, "weather", KEY).ok();
    let unlisted = test(&sandbox, r#"{"city": "Bonn"}"#);
    check_failed(
        &unlisted,
        1,
        &["plain HTTP", "gaia config set egress_origins"],
    );
    let elsewhere = ["tools", "add", "x", "--url", "https://127.0.0.1/"];
    check_failed(
        &sandbox.gaia(&elsewhere),
        1,
        &["this machine itself", "egress_origins https://127.0.0.1"],
    );
    let disguised = ["tools", "add", "x", "--url", "https://2130706433/"];
    check_failed(&sandbox.gaia(&disguised), 2, &["a number in disguise"]);
}

#[test]
fn a_tool_with_a_body_sends_what_the_url_has_no_place_for() {
    let weather = Weather::start();
    let sandbox = node();
    sandbox
        .gaia(&["config", "set", "egress_origins", &weather.origin()])
        .ok();
    let schema = sandbox.path("schema.json");
    let text = json!({
        "type": "object",
        "properties": {"station": {"type": "string"}, "reading": {"type": "object"}},
        "required": ["station"],
    });
    std::fs::write(&schema, text.to_string()).unwrap();
    let url = format!("{}/stations/{{station}}", weather.origin());
    let header = "Authorization: Bearer {secret:weather}";
    let schema = schema.to_str().unwrap();
    let add = [
        "tools", "add", "report", "--method", "PUT", "--url", &url, "--schema", schema, "--header",
        header,
    ];
    sandbox.gaia(&add).ok();
    let arguments = r#"{"station": "a b", "reading": {"c": 3}}"#;
    let answer = sandbox
        .gaia(&["tools", "test", "report", "--args", arguments])
        .ok();
    assert!(
        answer.contains("\"Sunny\""),
        "without a pointer, all of it: {answer}"
    );
    let request = weather.last_request();
    assert!(
        request.starts_with("PUT /stations/a%20b HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\n{\"reading\":{\"c\":3}}"),
        "{request}"
    );
}

#[test]
fn a_table_written_by_hand_keeps_its_comments_and_its_good_tools() {
    let sandbox = Sandbox::new();
    sandbox.gaia(&["init"]).ok();
    assert!(
        sandbox
            .gaia(&["tools", "list"])
            .ok()
            .contains("no tools yet")
    );
    let file = sandbox.path("home/tools.toml");
    let text = "# Mine.\n[[tool]]\nname = 'good'\nurl = 'https://a.example/'\n\n[[tool]]\nname = 'bad'\nurl = 'https://0x7f.1/'\n";
    std::fs::write(&file, text).unwrap();
    let listed = sandbox.gaia(&["tools", "list"]).ok();
    assert!(listed.contains("good "), "{listed}");
    assert!(
        listed.contains("left out: line 6: tool `bad`: url: `0x7f.1` is a number in disguise"),
        "{listed}"
    );
    check_failed(
        &sandbox.gaia(&["tools", "test", "bad"]),
        2,
        &["tools.toml, line 6: tool `bad`"],
    );

    sandbox
        .gaia(&[
            "tools",
            "add",
            "third",
            "--url",
            "https://a.example/{x}",
            "--time-ms",
            "500",
        ])
        .ok();
    let removed = sandbox.gaia(&["tools", "remove", "bad", "other"]);
    assert_eq!(removed.out, "bad: removed\n");
    check_failed(&removed, 1, &["`other` was not here"]);
    let listed = sandbox.gaia(&["--json", "tools", "list"]).json();
    assert_eq!(listed["left_out"], json!([]));
    assert_eq!(listed["tools"][1]["name"], "third");
    assert_eq!(listed["tools"][1]["parameters"]["required"], json!(["x"]));
    assert!(
        std::fs::read_to_string(&file)
            .unwrap()
            .starts_with("# Mine.\n")
    );

    std::fs::write(&file, "tools = []\n").unwrap();
    check_failed(
        &sandbox.gaia(&["tools", "list"]),
        5,
        &["tools.toml", "line 1: `tools` is nothing"],
    );
}

#[test]
fn secrets_are_sealed_and_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let early = Sandbox::new();
    check_failed(
        &set_secret(&early, "weather", KEY),
        1,
        &["no key here yet", "gaia init"],
    );

    let sandbox = node();
    assert_eq!(sandbox.gaia(&["tools", "secret", "list"]).ok(), "weather\n");
    let folder = sandbox.path("home/secrets");
    let file = folder.join("weather.json");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    assert!(!std::fs::read_to_string(&file).unwrap().contains(KEY));

    check_failed(
        &set_secret(&sandbox, "weather", "short"),
        1,
        &["8 to 4096 characters"],
    );
    check_failed(
        &set_secret(&sandbox, "../weather", KEY),
        1,
        &["a secret's name has"],
    );
    let words = sandbox.path("words");
    std::fs::write(&words, "not the password").unwrap();
    let words = words.to_str().unwrap();
    let mistyped = sandbox.gaia(&[
        "tools",
        "secret",
        "set",
        "weather",
        "--password-file",
        words,
    ]);
    check_failed(&mistyped, 1, &["wrong password"]);
    assert_eq!(
        sandbox.gaia(&["tools", "secret", "remove", "weather"]).ok(),
        "weather: removed\n"
    );
}
