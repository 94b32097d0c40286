//! Starts `wasmedge` with the plugin and the guest, and talks to the guest in JSON lines.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs};

use gaia_manifest::Manifest;
use serde_json::{Value, json};

/// A running guest.
pub struct Guest {
    child: Child,
    calls: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// How to start one.
#[derive(Default, Clone)]
pub struct Start {
    /// Values of `--nn-preload`.
    pub preloads: Vec<String>,
    /// Environment variables.
    pub variables: Vec<(&'static str, String)>,
}

impl Start {
    /// With the chat model as `default`.
    pub fn chat() -> Self {
        Self::default()
            .preload("default", &chat_model())
            .orders("GAIA_NN_DEFAULT", json!({}))
    }

    /// With the embedding model as `embedding`.
    pub fn embedding() -> Self {
        let start = Self::default().preload("embedding", &embedding_model());
        start.orders("GAIA_NN_EMBEDDING", json!({}))
    }

    pub fn preload(mut self, name: &str, path: &Path) -> Self {
        self.preloads
            .push(format!("{name}:GGML:AUTO:{}", path.display()));
        self
    }

    /// Load options. One thread, because threads that wait for each other suffer most from whatever
    /// else the machine does.
    pub fn orders(mut self, variable: &'static str, mut orders: Value) -> Self {
        orders["threads"] = json!(1);
        self.variables.retain(|(name, _)| *name != variable);
        self.variables.push((variable, orders.to_string()));
        self
    }

    pub fn run(&self, wasmedge: &Path) -> Guest {
        let mut command = Command::new(wasmedge);
        command.env("WASMEDGE_PLUGIN_PATH", plugin());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for preload in &self.preloads {
            command.args(["--nn-preload", preload]);
        }
        command.arg(guest_program());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let calls = child.stdin.take();
        Guest {
            child,
            calls,
            answers,
        }
    }
}

impl Guest {
    /// Makes a call; the answer or the errno.
    pub fn call(&mut self, call: Value) -> Result<Value, i64> {
        let calls = self.calls.as_mut().unwrap();
        writeln!(calls, "{call}").unwrap();
        calls.flush().unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the guest is gone after {call}");
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        match answer["errno"].as_i64() {
            Some(errno) => Err(errno),
            None => Ok(answer["ok"].take()),
        }
    }

    pub fn load(&mut self, name: &str) -> Result<u64, i64> {
        let graph = self.call(json!({"call": "load", "name": name}))?;
        Ok(graph.as_u64().unwrap())
    }

    /// Opens a context on the first graph.
    pub fn context(&mut self) -> u64 {
        self.call(json!({"call": "context", "graph": 0}))
            .unwrap()
            .as_u64()
            .unwrap()
    }

    pub fn set(&mut self, context: u64, index: u64, data: Value) -> Result<Value, i64> {
        self.call(json!({"call": "set", "context": context, "index": index, "data": data}))
    }

    pub fn on(&mut self, call: &str, context: u64) -> Result<Value, i64> {
        self.call(json!({"call": call, "context": context}))
    }

    pub fn get(&mut self, context: u64, index: u64, kind: &str) -> Result<Value, i64> {
        self.call(json!({"call": "get", "context": context, "index": index, "as": kind}))
    }

    pub fn raw(&mut self, function: &str, arguments: &[i32]) -> i64 {
        let answer =
            self.call(json!({"call": "raw", "function": function, "arguments": arguments}));
        answer.unwrap().as_i64().unwrap()
    }

    /// Ends the guest; it must have lived until now.
    pub fn end(mut self) {
        drop(self.calls.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended already, and a failing test must not leave it behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `test` with each WasmEdge there is: `GAIA_WASMEDGE`, or those in the cache.
pub fn with_each(test: impl Fn(&Path)) {
    let found = versions();
    assert!(
        !found.is_empty(),
        "no WasmEdge: run `make setup`, or set GAIA_WASMEDGE"
    );
    for wasmedge in found {
        println!("{}", wasmedge.display());
        test(&wasmedge);
    }
}

fn versions() -> Vec<PathBuf> {
    if let Some(path) = env::var_os("GAIA_WASMEDGE") {
        return vec![path.into()];
    }
    let Ok(folder) = fs::read_dir(cache().join("wasmedge")) else {
        return Vec::new();
    };
    let programs = folder
        .flatten()
        .map(|entry| entry.path().join("bin/wasmedge"));
    programs.filter(|path| path.is_file()).collect()
}

pub fn chat_model() -> PathBuf {
    find("GAIA_TEST_CHAT_MODEL", "smollm2-135m-instruct")
}

pub fn embedding_model() -> PathBuf {
    find("GAIA_TEST_EMBEDDING_MODEL", "all-minilm-l6-v2")
}

fn find(variable: &str, name: &str) -> PathBuf {
    let named = env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| cache().join("models").join(file_of(name)));
    assert!(
        path.is_file(),
        "{} is missing: run `gaia model pull {name}`, or set {variable}",
        path.display()
    );
    path
}

/// The name of a model's file, from its manifest.
fn file_of(name: &str) -> String {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let manifest = fs::read_to_string(format!("{models}/{name}.toml")).unwrap();
    Manifest::parse(&manifest).unwrap().file
}

fn cache() -> PathBuf {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    folder("GAIA_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("gaia")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/gaia")))
        .unwrap()
}

/// The library that was built with this test, beside it.
fn plugin() -> PathBuf {
    let beside = env::current_exe()
        .unwrap()
        .with_file_name("libgaia_wasi_nn.so");
    assert!(beside.is_file(), "{} is missing", beside.display());
    beside
}

/// Builds the guest, once.
fn guest_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest");
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--release",
                "--locked",
                "--target",
                "wasm32-wasip1",
            ])
            .current_dir(source)
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_BUILD_BUILD_DIR", &target)
            .status()
            .unwrap();
        assert!(status.success());
        target.join("wasm32-wasip1/release/gaia-wasi-nn-guest.wasm")
    })
}
