//! A node of a test's own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{self, Answer, Events};
use crate::process::{naming, wait_for};
use crate::{program, root};

/// Loading two small models on a busy machine, with room.
pub const READY_LIMIT: Duration = Duration::from_secs(180);

/// A node in a temporary home. Stopped when dropped.
pub struct Node {
    home: TempDir,
}

impl Node {
    /// A home with the small models and a free port, not started yet.
    ///
    /// # Panics
    /// When `gaia init` fails.
    #[must_use]
    pub fn new() -> Self {
        let node = Self {
            home: tempfile::tempdir().expect("a temporary folder"),
        };
        node.gaia_ok(&["init"]);
        node.set("port", "0");
        node.set("chat_model", crate::CHAT_MODEL);
        // llama.cpp's threads spin at barriers: two of them crawl where other work takes a core.
        node.set("threads", "1");
        node
    }

    /// A node that answers.
    #[must_use]
    pub fn started() -> Self {
        let node = Self::new();
        node.start();
        node
    }

    /// A node that answers and knows the handbook.
    #[must_use]
    pub fn with_handbook() -> Self {
        let node = Self::new();
        // A model of this size may ramble to the end of its context.
        node.set("n_predict_max", "200");
        node.start();
        node.gaia_ok(&[
            "knowledge",
            "add",
            &root().join("knowledge/handbook").to_string_lossy(),
        ]);
        node
    }

    /// The node's folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A `gaia` command line for this home.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("gaia"));
        command.arg("--home").arg(self.home()).args(arguments);
        command.env("GAIA_WASMEDGE", crate::wasmedge());
        command.env("GAIA_PASSWORD", "only for tests");
        command
    }

    /// Runs `gaia` to its end.
    ///
    /// # Panics
    /// When it does not run at all.
    #[must_use]
    pub fn gaia(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("gaia runs")
    }

    /// Runs `gaia`, which must succeed, and gives what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn gaia_ok(&self, arguments: &[&str]) -> String {
        let output = self.gaia(arguments);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "gaia {arguments:?}: {shown}{}",
            self.log()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Sets a configuration key.
    pub fn set(&self, key: &str, value: &str) {
        self.gaia_ok(&["config", "set", key, value]);
    }

    /// Starts the node and returns when it answers.
    pub fn start(&self) {
        self.gaia_ok(&["start"]);
    }

    /// The running node's own account of itself.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn state(&self) -> Value {
        self.try_state()
            .unwrap_or_else(|| panic!("no state in {}", self.home().display()))
    }

    fn try_state(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.home().join("run/state.json")).ok()?).ok()
    }

    /// Where it answers.
    ///
    /// # Panics
    /// When it has no address yet.
    #[must_use]
    pub fn url(&self) -> String {
        self.state()["url"]
            .as_str()
            .expect("a running node has an address")
            .to_owned()
    }

    /// The pid of the node's own process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        pid_of(&self.state()["pid"])
    }

    /// The pid of the worker; waits for one.
    #[must_use]
    pub fn worker_pid(&self) -> u32 {
        wait_for("a worker", READY_LIMIT, || {
            let state = self.try_state()?;
            state["worker"]["pid"]
                .as_u64()
                .and_then(|pid| u32::try_from(pid).ok())
        })
    }

    /// Waits until `/ready` says so.
    pub fn wait_until_ready(&self) {
        wait_for("the node to be ready", READY_LIMIT, || {
            let url = self.try_state()?["url"].as_str()?.to_owned();
            http::get(&format!("{url}/ready"))
                .ok()
                .filter(|answer| answer.status == 200)
        });
    }

    /// POST to the node.
    ///
    /// # Panics
    /// When no answer came.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        http::post(&format!("{}{path}", self.url()), body)
            .unwrap_or_else(|error| panic!("POST {path}: {error}{}", self.log()))
    }

    /// GET from the node.
    ///
    /// # Panics
    /// When no answer came.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        http::get(&format!("{}{path}", self.url()))
            .unwrap_or_else(|error| panic!("GET {path}: {error}{}", self.log()))
    }

    /// A value of `/metrics`; none if it is not there.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<f64> {
        let metrics = self.get("/metrics").text;
        let value = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
        metrics.lines().find_map(value)
    }

    /// A streamed chat completion.
    ///
    /// # Panics
    /// When the stream does not begin.
    #[must_use]
    pub fn chat_stream(&self, body: &Value) -> Events {
        let mut body = body.clone();
        body["stream"] = json!(true);
        http::stream(&format!("{}/v1/chat/completions", self.url()), &body)
            .unwrap_or_else(|error| panic!("stream: {error}{}", self.log()))
    }

    /// The end of the worker's log, for failure messages.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.home().join("log/worker.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        let tail: Vec<&str> = lines.into_iter().rev().collect();
        format!("\n--- worker.log\n{}", tail.join("\n"))
    }

    /// Processes that name this node's home in their command line.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        naming(&self.home().to_string_lossy())
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.gaia(&["stop"]);
    }
}

fn pid_of(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|pid| u32::try_from(pid).ok())
        .expect("a pid is a small number")
}
