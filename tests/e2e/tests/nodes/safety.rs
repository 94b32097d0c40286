//! Promises of docs/safety.md that only a whole node can break.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use e2e::http;
use e2e::node::Node;
use e2e::random_model::{self, TINY};
use serde_json::{Value, json};

fn started() -> Node {
    let node = Node::new();
    node.set("chat_model", &random_model::path(TINY).to_string_lossy());
    node.start();
    node
}

/// The processes that this one started.
fn children(of: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parent = |id: &u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_whitespace().nth(1)?.parse().ok()
    };
    ids.filter(|id| parent(id) == Some(of)).collect()
}

/// Where the process listens, as the kernel writes it.
fn listens(process: u32) -> Vec<String> {
    const LISTENING: &str = "0A";
    let files = fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .flatten();
    let own: BTreeSet<String> = files
        .filter_map(|file| Some(fs::read_link(file.path()).ok()?.to_str()?.to_owned()))
        .collect();
    let tables = ["tcp", "tcp6"].map(|table| {
        fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default()
    });
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listening = fields[3] == LISTENING;
            let is_own = own.contains(&format!("socket:[{}]", fields[9]));
            (listening && is_own).then(|| fields[1].to_owned())
        })
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn services_listen_on_loopback_with_keys_of_their_own() {
    const LOOPBACK: &str = "0100007F:";
    let node = started();
    let worker = node.worker_pid();
    let mut processes = children(node.pid());
    assert!(
        processes.contains(&worker) && processes.len() == 2,
        "{processes:?}"
    );
    processes.push(node.pid());
    for process in processes {
        let addresses = listens(process);
        assert!(!addresses.is_empty());
        for address in addresses {
            assert!(
                address.starts_with(LOOPBACK),
                "{process} listens on {address}"
            );
        }
    }

    let state = node.state();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (worker, store) = (&state["worker"]["service"], &state["store"]);
    let worker_key = format!("Bearer {}", text(&worker["key"]));
    let store_key = text(&store["key"]);
    assert_ne!(text(&worker["key"]), store_key);
    let check = |url: &Value, path: &str, (name, key): (&str, &str)| {
        let url = format!("{}{path}", text(url));
        let other = key.replace(|c: char| c.is_ascii_hexdigit(), "0");
        assert_eq!(http::get(&url).unwrap().status, 401, "{url}");
        assert_eq!(
            http::get_with(&url, (name, &other)).unwrap().status,
            401,
            "{url}"
        );
        assert_eq!(
            http::get_with(&url, (name, key)).unwrap().status,
            200,
            "{url}"
        );
    };
    check(&worker["url"], "/v1/models", ("authorization", &worker_key));
    check(&store["url"], "/collections", ("api-key", &store_key));
}

/// Names that other servers give to places a request may choose.
const PLACES: &[&str] = &[
    "store_url",
    "vdb_server_url",
    "qdrant_url",
    "base_url",
    "api_base",
    "url",
    "webhook",
    "server_url",
];
const FILES: &[&str] = &[
    "chat_template",
    "chat_template_file",
    "draft_model",
    "grammar_file",
    "lora",
    "mmproj",
    "model_path",
    "prompt_file",
    "slot_save_path",
];

/// Also that something is not there; never that something broke.
fn is_answer(status: u16) -> bool {
    (200..500).contains(&status) || [501, 503].contains(&status)
}

#[test]
fn a_request_chooses_no_place() {
    let node = started();
    let lure = TcpListener::bind("127.0.0.1:0").unwrap();
    lure.set_nonblocking(true).unwrap();
    let place = format!("http://{}", lure.local_addr().unwrap());
    let mut body = json!({
        "messages": [{"role": "user", "content": "Hi"}], "prompt": "Hi", "input": "Hi", "query": "Hi",
        "max_tokens": 2});
    for name in PLACES {
        body[*name] = json!(place);
    }
    for name in FILES {
        body[*name] = json!("/etc/passwd");
    }
    for path in [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/retrieve",
        "/tokenize",
        "/apply-template",
    ] {
        let answer = node.post(path, &body);
        assert!(!answer.text.contains("root:"), "{path}: {}", answer.text);
        assert!(is_answer(answer.status), "{path}: {}", answer.text);
        let mut named = body.clone();
        named["model"] = json!("/etc/passwd");
        let answer = node.post(path, &named);
        assert!(!answer.text.contains("root:"), "{path}: {}", answer.text);
        assert!(is_answer(answer.status), "{path}: {}", answer.text);
    }
    let visit = lure.accept().map(|(_, from)| from);
    assert!(visit.is_err(), "somebody came: {visit:?}");
    assert_eq!(node.get("/health").status, 200);
}
