//! A worker that the node does not start: a pod, a unit of systemd or another terminal does.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::node::{Node, READY_LIMIT};
use e2e::process::{is_alive, signal, wait_for};
use e2e::{CHAT_MODEL, EMBEDDING_MODEL, model, program, root, wasmedge};
use serde_json::{Value, json};

/// A worker of the test's own.
struct Worker(Child);

impl Worker {
    /// As containerd's shim does it: it sees all files of its container, is told of its models by variables, and of
    /// everything else by the file that the node wrote.
    fn as_a_pod(node: &Node) -> Self {
        let preload = |graph: &str, name: &str| {
            // One thread, because threads that wait for each other crawl where other work takes a core.
            format!(
                "{graph}:GGML:AUTO:{}:{{\"threads\":1}}",
                model(name).display()
            )
        };
        let mut command = Command::new(wasmedge());
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("WASMEDGE_PLUGIN_PATH", program("libgaia_wasi_nn.so"))
            .env("WASMEDGE_WASINN_PRELOAD", preload("default", CHAT_MODEL))
            .env(
                "WASMEDGE_WASINN_PRELOAD_EMBEDDING",
                preload("embedding", EMBEDDING_MODEL),
            )
            .args(["--dir", "/:/"])
            .arg(program("api-server.wasm"))
            .arg("--config")
            .arg(node.home().join("run/worker/worker.toml"))
            .arg("--prompts")
            .arg(node.home().join("prompts"));
        Self::of(command)
    }

    /// As `gaia worker` says it.
    fn in_a_terminal(node: &Node) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {}", node.gaia_ok(&["worker"]))]);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        signal(self.0.id(), "KILL");
        let _ = self.0.wait();
    }
}

/// A node for a worker at four ports that nobody has.
fn node() -> Node {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let port = wait_for("free ports", Duration::from_secs(10), || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let all = port..=port.checked_add(3)?;
        all.into_iter().all(is_free).then_some(port)
    });
    let node = Node::new();
    node.set("n_predict_max", "8");
    node.set("worker_url", &format!("http://127.0.0.1:{port}"));
    node
}

fn question() -> Value {
    json!({
        "messages": [{"role": "user", "content": "What does gaia do when the worker process crashes?"}],
        "temperature": 0,
    })
}

/// The message of an answer.
fn answer(node: &Node) -> Value {
    let answer = node.post("/v1/chat/completions", &question());
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["choices"][0]["message"].take()
}

fn phase(node: &Node) -> String {
    let status: Value = serde_json::from_str(&node.gaia_ok(&["--json", "status"])).unwrap();
    status["phase"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_serves_by_a_worker_that_somebody_else_starts_and_starts_again() {
    let node = node();
    let settings = node.gaia_ok(&["worker", "--settings"]);
    assert!(settings.trim().ends_with("run/worker/worker.toml"));
    let doctor = node.gaia(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("does not answer"), "{doctor}");

    let worker = Worker::as_a_pod(&node);
    node.start();
    let handbook = root().join("knowledge/handbook/running.md");
    node.gaia_ok(&["knowledge", "add", &handbook.to_string_lossy()]);
    assert!(answer(&node)["citations"][0].is_object());
    let status = node.gaia_ok(&["status"]);
    assert!(status.contains("kept by somebody else"), "{status}");

    drop(worker);
    wait_for("the node to notice", Duration::from_secs(30), || {
        (phase(&node) == "waiting").then_some(())
    });
    let refused = node.post("/v1/chat/completions", &question());
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(
        refused.json()["error"]["message"].is_string(),
        "{}",
        refused.text
    );
    let status = node.gaia_ok(&["status"]);
    assert!(status.contains("no worker listens at"), "{status}");

    let worker = Worker::as_a_pod(&node);
    wait_for("the worker to be taken up again", READY_LIMIT, || {
        (phase(&node) == "ready").then_some(())
    });
    assert!(answer(&node)["citations"][0].is_object());

    // The node ends alone, and another start finds the worker with the keys that it was told.
    node.gaia_ok(&["stop"]);
    assert!(
        is_alive(worker.0.id()),
        "the node ends only what it started"
    );
    node.start();
    assert!(answer(&node)["citations"][0].is_object());
}

#[test]
fn a_worker_in_another_terminal_is_confined_as_the_nodes_own() {
    let node = node();
    let own = Node::new().gaia(&["worker"]);
    let told = String::from_utf8_lossy(&own.stderr).into_owned();
    assert!(
        !own.status.success() && told.contains("worker_url"),
        "{told}"
    );

    let worker = Worker::in_a_terminal(&node);
    node.start();
    assert!(answer(&node)["content"].is_string());
    let line = std::fs::read_to_string(format!("/proc/{}/status", worker.0.id())).unwrap();
    assert!(line.contains("NoNewPrivs:\t1"), "{line}");
    let stopped = node.gaia_ok(&["restart"]);
    assert!(is_alive(worker.0.id()), "{stopped}");
    assert!(answer(&node)["content"].is_string());
}
