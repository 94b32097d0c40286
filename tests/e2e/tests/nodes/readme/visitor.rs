//! Somebody who reads the README for the first time, with a home of his own, a node, and a few notes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::node::Node;
use e2e::{cache, program, wasmedge};
use serde_json::json;
use tempfile::TempDir;

use super::blocks::Block;

/// What the README takes for granted: the port of a node, and services that other people run.
const PORT: &str = "127.0.0.1:8080";
const WEATHER: &str = "https://api.example.org";
const MCP: &str = "https://mcp.example.org";
/// The door that a test does not open to the network.
const EVERYWHERE: &str = "0.0.0.0";

/// The reader, and what he has.
pub struct Visitor {
    /// The node that `make run` would have left running.
    pub node: Node,
    home: TempDir,
    port: u16,
    weather: u16,
}

impl Visitor {
    /// With a node that knows the handbook.
    pub fn arrive() -> Self {
        let visitor = Self {
            node: Node::new(),
            home: tempfile::tempdir().unwrap(),
            port: free_port(),
            weather: weather(),
        };
        visitor.node.set("port", &visitor.port.to_string());
        // Whoever uses services in his own network lists them; the README says so.
        let origins = format!(
            "http://127.0.0.1:{},http://127.0.0.1:{}",
            visitor.weather, visitor.port
        );
        visitor.node.set("egress_origins", &origins);
        // A model of this size may ramble to the end of its context.
        visitor.node.set("n_predict_max", "60");
        visitor.node.start();
        let handbook = e2e::root().join("knowledge/handbook");
        visitor
            .node
            .gaia_ok(&["knowledge", "add", &handbook.to_string_lossy()]);
        let notes = visitor.folder().join("notes");
        fs::create_dir(&notes).unwrap();
        fs::write(
            notes.join("holidays.md"),
            "# Holiday rules\n\nEverybody has thirty days of holidays a year.\n",
        )
        .unwrap();
        std::os::unix::fs::symlink(visitor.node.home(), visitor.folder().join(".gaia")).unwrap();
        visitor
    }

    /// His home, in which he types.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Types the block; gives what came of it.
    pub fn run(&self, block: &Block) -> String {
        assert_eq!(block.language, "", "a block for a shell");
        self.shell(&self.here(&block.text))
    }

    /// The block's text with the places of this test.
    fn here(&self, text: &str) -> String {
        text.replace(PORT, &format!("127.0.0.1:{}", self.port))
            .replace(WEATHER, &format!("http://127.0.0.1:{}", self.weather))
            .replace(MCP, &format!("http://127.0.0.1:{}", self.port))
            .replace(EVERYWHERE, "127.0.0.1")
    }

    /// Types `script`, which must succeed; gives what it printed.
    pub fn shell(&self, script: &str) -> String {
        finished(self.bash(script), script)
    }

    /// Runs the block with the official package in reach.
    pub fn run_python(&self, block: &Block) -> String {
        let script = self.here(&block.text);
        let mut python = Command::new("python3");
        python.args(["-c", &script]).env_remove("OPENAI_API_KEY");
        python.env("PYTHONPATH", super::python_packages());
        finished(python, &script)
    }

    /// A shell that stops at the first thing that goes wrong.
    pub fn bash(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = [program("gaia"), wasmedge()];
        let folders: Vec<String> = programs
            .iter()
            .map(|program| program.parent().unwrap().display().to_string())
            .collect();
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", script])
            .current_dir(self.folder())
            .env("PATH", format!("{}:{path}", folders.join(":")))
            .env("HOME", self.folder())
            .env("GAIA_HOME", self.node.home())
            .env("GAIA_CACHE", cache())
            .env("GAIA_WASMEDGE", wasmedge())
            .env("GAIA_PASSWORD", "only for tests")
            .stdin(Stdio::null());
        bash
    }

    /// What the model is given to read for a question.
    pub fn read_by_model(&self, question: &str) -> String {
        let request = json!({"messages": [{"role": "user", "content": question}]});
        let answer = self.node.post("/apply-template", &request);
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["prompt"].as_str().unwrap().to_owned()
    }
}

fn finished(mut command: Command, script: &str) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}:\n{script}\n--- it said\n{said}\n--- and\n{complained}",
        output.status
    );
    said
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The service of the litepaper's example, on a port of this machine.
fn weather() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            forecast(stream);
        }
    });
    port
}

/// Tells the weather in the city that was asked for. Whoever breaks off is no concern of it.
fn forecast(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let asked = lines.next().and_then(Result::ok).unwrap_or_default();
    for line in lines.map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
    }
    let city = asked.split(['=', ' ']).nth(2).unwrap_or_default();
    let body = json!({"current": {"text": format!("Rain in {city}")}}).to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}
