//! The supervisor with the real command and real processes. In the worker's and the store's place
//! stand small servers, so that each kind of failure can be had at will; the real ones are in the
//! end-to-end tests.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use support::Sandbox;

const PATIENCE: Duration = Duration::from_secs(60);

/// The file that says that `/slow` was asked for, in the sandbox; the stand-in runs in its worker's
/// folder, `home/run/worker`.
const ASKED_SLOW: &str = "asked-slow";

/// Not a test: the stand-in that the scripts below run, answering 200 to everything.
#[test]
fn stand_in() {
    if std::env::var_os("STAND_IN").is_none() {
        return;
    }
    let address = std::env::var("STAND_IN_ADDRESS").unwrap_or("127.0.0.1:0".into());
    let listener = TcpListener::bind(address).unwrap();
    println!("\nlistening on http://{}", listener.local_addr().unwrap());
    for stream in listener.incoming().flatten() {
        thread::spawn(move || answer(stream));
    }
}

fn answer(mut stream: std::net::TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.contains("/slow") {
            fs::write(Path::new("../../..").join(ASKED_SLOW), "").unwrap();
            thread::sleep(Duration::from_secs(2));
        }
        if line.is_empty() {
            let reply = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _gone = stream.write_all(reply.as_bytes());
            return;
        }
    }
}

struct Node {
    sandbox: Sandbox,
}

impl Node {
    /// A home whose `wasmedge` does what `script` says when asked to run.
    fn new(script: &str) -> Self {
        let mut sandbox = Sandbox::new();
        let own = std::env::current_exe().unwrap();
        let serve = format!(
            "STAND_IN=1 exec {} --exact stand_in --nocapture",
            own.display()
        );
        let script = script.replace("SERVE", &serve);
        let wasmedge = sandbox.path("wasmedge");
        write_script(
            &wasmedge,
            &format!(
                "case \"$1\" in\n--version) echo wasmedge version 0.17.1;;\n\
                 compile) cp \"$2\" \"$3\";;\n*) {script};;\nesac"
            ),
        );
        let store = sandbox.path("store");
        write_script(&store, &format!("export STAND_IN_ADDRESS=\"$2\"; {serve}"));
        for name in ["api-server.wasm", "plugin.so"] {
            fs::write(sandbox.path(name), name).unwrap();
        }
        write_model(&sandbox.path("chat.gguf"), "llama", 300);
        write_model(&sandbox.path("other.gguf"), "llama", 600);
        write_model(&sandbox.path("embedding.gguf"), "bert", 300);
        for (variable, name) in [
            ("GAIA_WASMEDGE", "wasmedge"),
            ("GAIA_VECTOR_STORE", "store"),
            ("GAIA_API_SERVER", "api-server.wasm"),
            ("GAIA_PLUGIN", "plugin.so"),
        ] {
            let path = sandbox.path(name);
            sandbox.set(variable, &path);
        }
        let node = Self { sandbox };
        let model = node.sandbox.path("chat.gguf");
        node.set("chat_model", model.to_str().unwrap());
        let model = node.sandbox.path("embedding.gguf");
        node.set("embedding_model", model.to_str().unwrap());
        node.set("port", "0");
        node
    }

    fn set(&self, key: &str, value: &str) {
        self.sandbox.gaia(&["config", "set", key, value]).ok();
    }

    fn status(&self) -> Value {
        self.sandbox.gaia(&["--json", "status"]).json()
    }

    /// Waits until the status fulfils `wanted`.
    #[track_caller]
    fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.sandbox.gaia(&["--json", "status"]);
            let status: Value = serde_json::from_str(&status.out).unwrap_or_default();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{status:#}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process ids of the store, by the folder it was given.
    fn store_pids(&self) -> Vec<i32> {
        let folder = self.sandbox.path("home/store");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.sandbox.gaia(&["stop", "--now"]);
    }
}

/// A model file without weights, of so many tokens.
fn write_model(path: &Path, architecture: &str, tokens: usize) {
    let tokens: Vec<String> = (0..tokens).map(|index| format!("t{index}")).collect();
    let mut writer = gaia_gguf::Writer::new();
    writer.set("general.architecture", architecture).unwrap();
    writer.set("tokenizer.ggml.tokens", tokens).unwrap();
    writer.write(&mut fs::File::create(path).unwrap()).unwrap();
}

fn write_script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn pid(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap()).unwrap()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn is_alive(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

#[track_caller]
fn wait_gone(pids: &[i32]) {
    let end = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < end, "{pids:?} are still there");
        thread::sleep(Duration::from_millis(10));
    }
}

fn get(url: &str) -> u16 {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    agent
        .get(url)
        .call()
        .map_or(0, |reply| reply.status().as_u16())
}

#[test]
fn starts_answers_and_stops_without_a_trace() {
    let node = Node::new("SERVE");
    let started = node.sandbox.gaia(&["--json", "start"]).json();
    let url = started["url"].as_str().unwrap();
    assert_eq!(get(&format!("{url}/health")), 200);

    let status = node.status();
    assert_eq!(status["phase"], "ready");
    assert_eq!(status["url"], url);
    let state = fs::metadata(node.sandbox.path("home/run/state.json")).unwrap();
    assert_eq!(state.permissions().mode() & 0o777, 0o600);

    let second = node.sandbox.gaia(&["start"]);
    assert_eq!(second.code, 4);
    assert!(
        second
            .err
            .starts_with("gaia: a node is running in this home already"),
        "{}",
        second.err
    );
    assert_eq!(second.err.lines().count(), 1);

    let mut pids = vec![pid(&status["pid"]), pid(&status["worker"]["pid"])];
    pids.extend(node.store_pids());
    assert_eq!(pids.len(), 3);
    node.sandbox.gaia(&["stop"]).ok();
    // The children first: they have ended for certain when the command returns.
    assert!(pids[1..].iter().all(|pid| !is_alive(*pid)), "{pids:?}");
    wait_gone(&pids);
    assert!(!node.sandbox.path("home/run/state.json").exists());
}

#[test]
fn a_killed_worker_is_replaced_at_once() {
    let node = Node::new("SERVE");
    node.sandbox.gaia(&["start"]).ok();
    let first = pid(&node.status()["worker"]["pid"]);
    signal(first, Signal::KILL);
    let status = node.wait_for(|status| status["restarts"] == 1 && status["phase"] == "ready");
    assert_ne!(pid(&status["worker"]["pid"]), first);
    assert_eq!(
        get(&format!("{}/health", status["url"].as_str().unwrap())),
        200
    );
}

#[test]
fn without_an_embedding_model_no_store_runs() {
    let node = Node::new("SERVE");
    node.set("embedding_model", "");
    let advice = "gaia config set embedding_model NAME";
    node.sandbox.gaia(&["start"]).ok();
    assert!(node.store_pids().is_empty());
    assert!(node.status()["store"].is_null(), "{}", node.status());
    let status = node.sandbox.gaia(&["status"]);
    assert!(status.out.contains(advice), "{}", status.out);
    let doctor = node.sandbox.gaia(&["doctor"]);
    assert!(doctor.out.contains("store"), "{}", doctor.out);
    assert!(doctor.out.contains(advice), "{}", doctor.out);
    for arguments in [
        &["knowledge", "list"][..],
        &["knowledge", "search", "x"],
        &["knowledge", "remove", "x"],
    ] {
        let run = node.sandbox.gaia(arguments);
        assert_eq!(run.code, 1, "{}", run.err);
        assert!(run.err.contains(advice), "{}", run.err);
    }
    let refused = node
        .sandbox
        .gaia(&["config", "set", "store_required", "true"]);
    assert!(refused.err.contains("embedding_model"), "{}", refused.err);
    let model = node.sandbox.path("embedding.gguf");
    node.set("embedding_model", model.to_str().unwrap());
    node.sandbox.gaia(&["restart"]).ok();
    assert_eq!(node.store_pids().len(), 1);
    assert!(node.status()["store"].is_string());
    node.sandbox.gaia(&["stop"]).ok();
}

#[test]
fn a_killed_store_is_replaced_at_the_same_address() {
    let node = Node::new("SERVE");
    node.sandbox.gaia(&["start"]).ok();
    let store = node.status()["store"].as_str().unwrap().to_owned();
    let first = node.store_pids();
    assert_eq!(first.len(), 1);
    signal(first[0], Signal::KILL);
    wait_gone(&first);
    let end = Instant::now() + PATIENCE;
    while get(&store) != 200 {
        assert!(Instant::now() < end, "the store does not come back");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_child_survives_a_killed_node() {
    let node = Node::new("SERVE");
    node.sandbox.gaia(&["start"]).ok();
    let status = node.status();
    let mut pids = node.store_pids();
    pids.push(pid(&status["worker"]["pid"]));
    signal(pid(&status["pid"]), Signal::KILL);
    wait_gone(&pids);
    assert_eq!(node.sandbox.gaia(&["status"]).code, 3);
    // And the next start finds nothing in its way.
    node.sandbox.gaia(&["start"]).ok();
}

#[test]
fn a_worker_that_never_comes_up_is_shown_with_its_last_words() {
    let node = Node::new("echo the model file is corrupt >&2; exit 1");
    let run = node.sandbox.gaia(&["start"]);
    assert_eq!(run.code, 8, "{}", run.err);
    assert!(run.err.contains("the model file is corrupt"), "{}", run.err);
    assert!(run.err.contains("3 attempts"), "{}", run.err);
    assert_eq!(node.sandbox.gaia(&["status"]).code, 3);
    assert!(node.store_pids().is_empty());
}

#[test]
fn a_worker_that_fails_again_and_again_is_reported() {
    // Works the first time only.
    let node = Node::new("[ -e ../../../broken ] && { echo out of memory; exit 1; }; SERVE");
    node.sandbox.gaia(&["start"]).ok();
    fs::write(node.sandbox.path("broken"), "").unwrap();
    signal(pid(&node.status_of_worker()), Signal::KILL);
    node.wait_for(|status| status["phase"] == "crash-loop");
    let run = node.sandbox.gaia(&["status"]);
    assert_eq!(run.code, 8);
    assert!(run.err.contains("out of memory"), "{}", run.err);
    fs::remove_file(node.sandbox.path("broken")).unwrap();
    node.wait_for(|status| status["phase"] == "ready");
}

impl Node {
    fn status_of_worker(&self) -> Value {
        self.status()["worker"]["pid"].clone()
    }
}

#[test]
fn a_taken_port_names_who_has_it() {
    let node = Node::new("SERVE");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    node.set("port", &port.to_string());
    let run = node.sandbox.gaia(&["start"]);
    assert_eq!(run.code, 7);
    let expected = format!("port {port} is taken by");
    assert!(run.err.contains(&expected), "{}", run.err);
    assert!(
        run.err
            .contains(&format!("(process {})", std::process::id())),
        "{}",
        run.err
    );
}

#[test]
fn a_home_that_wasmedge_cannot_see_is_refused() {
    let node = Node::new("SERVE");
    let home = node.sandbox.path("a:b");
    let home = home.to_str().unwrap();
    for (key, value) in [("port", "0"), ("embedding_model", "")] {
        node.sandbox
            .gaia(&["--home", home, "config", "set", key, value])
            .ok();
    }
    let model = node.sandbox.path("chat.gguf");
    let model = model.to_str().unwrap();
    node.sandbox
        .gaia(&["--home", home, "config", "set", "chat_model", model])
        .ok();
    let run = node.sandbox.gaia(&["--home", home, "start"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("colon"), "{}", run.err);
}

#[test]
fn running_answers_finish_before_the_node_stops() {
    let node = Node::new("SERVE");
    node.sandbox.gaia(&["start"]).ok();
    let url = node.status()["url"].as_str().unwrap().to_owned();
    let slow = thread::spawn(move || get(&format!("{url}/slow")));
    let asked = node.sandbox.path(ASKED_SLOW);
    let end = Instant::now() + PATIENCE;
    while !asked.exists() {
        assert!(Instant::now() < end, "the worker is never asked");
        thread::sleep(Duration::from_millis(10));
    }
    node.sandbox.gaia(&["stop"]).ok();
    assert_eq!(slow.join().unwrap(), 200);
}

#[test]
fn the_worker_gets_no_secret_and_sees_its_folder_and_the_prompts() {
    let mut node = Node::new("env > ../../../seen; echo \"$@\" >> ../../../seen; SERVE");
    node.sandbox
        .set("GAIA_PASSWORD", Path::new("hidden-password"));
    node.sandbox.gaia(&["start"]).ok();
    let seen = fs::read_to_string(node.sandbox.path("seen")).unwrap();
    assert!(
        !seen.contains("hidden-password") && !seen.contains("HOME="),
        "{seen}"
    );
    assert_eq!(seen.matches("--dir").count(), 2, "{seen}");
    let folder = fs::canonicalize(node.sandbox.path("home/run/worker")).unwrap();
    let prompts = fs::canonicalize(node.sandbox.path("home/prompts")).unwrap();
    for (name, folder) in [(".", &folder), ("prompts", &prompts)] {
        let view = format!("--dir {name}:{}:readonly", folder.display());
        assert!(seen.contains(&view), "{view} in {seen}");
    }
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(files, ["worker.toml"]);
}

#[test]
fn a_restart_that_would_be_refused_leaves_the_node_running() {
    let node = Node::new("SERVE");
    node.sandbox.gaia(&["start"]).ok();
    let before = node.status();
    let config = node.sandbox.path("home/config.toml");
    let good = fs::read_to_string(&config).unwrap();
    let path = |name: &str| node.sandbox.path(name).to_str().unwrap().to_owned();
    let (embedding, other) = (path("embedding.gguf"), path("other.gguf"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let check = |entries: &[(&str, &str)], code: i32, parts: [&str; 2]| {
        let lines = good.lines().map(|line| {
            let of = |(key, _): &&(&str, &str)| line.starts_with(&format!("{key} = "));
            match entries.iter().find(of) {
                Some((key @ ("port" | "admin_port"), value)) => format!("{key} = {value}\n"),
                Some((key, value)) => format!("{key} = '{value}'\n"),
                None => format!("{line}\n"),
            }
        });
        let text: String = lines.collect();
        fs::write(&config, text).unwrap();
        let run = node.sandbox.gaia(&["restart"]);
        assert_eq!(run.code, code, "{entries:?}: {}", run.err);
        for part in parts.iter().chain(&["not stopped and goes on as before"]) {
            assert!(run.err.contains(part), "{entries:?}: {}", run.err);
        }
        let now = node.status();
        assert_eq!(now["pid"], before["pid"], "{entries:?}");
        assert_eq!(now["phase"], "ready", "{entries:?}");
    };
    let kind = "which is a model for embedding";
    check(&[("draft_model", &embedding)], 6, ["draft_model is", kind]);
    check(
        &[("draft_model", &embedding)],
        6,
        ["draft_model is", "`\"\"` for none"],
    );
    check(
        &[("draft_model", &other)],
        6,
        ["draft_model is", "600 tokens"],
    );
    check(&[("chat_model", &embedding)], 6, ["chat_model is", kind]);
    check(&[("chat_model", "xyzzy")], 6, ["xyzzy", "gaia model list"]);
    check(
        &[("chat_model", &path("plugin.so"))],
        6,
        ["plugin.so", "cannot be read as a model"],
    );
    check(
        &[("chat_template", "/no/such")],
        1,
        ["chat_template", "/no/such"],
    );
    let template = path("broken.jinja");
    fs::write(&template, "{% if messages %}").unwrap();
    check(
        &[("chat_template", &template)],
        1,
        ["broken.jinja", "cannot be used"],
    );
    check(
        &[("tls_cert", &other), ("tls_key", &other)],
        1,
        ["other.gguf", "other.gguf"],
    );
    check(&[("port", &port)], 7, ["is taken by", &port]);
    check(&[("admin_port", &port)], 7, ["set admin_port", &port]);
    check(
        &[("temperature", "hot")],
        5,
        ["temperature", "must be a number"],
    );
    fs::write(&config, good).unwrap();
    node.sandbox.gaia(&["restart"]).ok();
    let after = node.wait_for(|status| status["phase"] == "ready");
    assert_ne!(after["pid"], before["pid"]);
}

#[test]
fn a_restart_keeps_the_ports_that_are_its_own() {
    let node = Node::new("SERVE");
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = free.map(|free| free.local_addr().unwrap().port().to_string());
    for (key, port) in ["port", "admin_port"].into_iter().zip(&ports) {
        node.set(key, port);
    }
    node.sandbox.gaia(&["start"]).ok();
    let before = node.status();
    node.sandbox.gaia(&["restart"]).ok();
    let after = node.status();
    assert_eq!(after["url"], before["url"]);
    assert_ne!(after["pid"], before["pid"]);
}

#[test]
fn a_model_of_the_wrong_kind_is_refused_when_it_is_set() {
    let node = Node::new("SERVE");
    let path = |name: &str| node.sandbox.path(name).to_str().unwrap().to_owned();
    let set = |key: &str, value: &str| node.sandbox.gaia(&["config", "set", key, value]);
    let value = |key: &str| node.sandbox.gaia(&["config", "get", key]).ok();
    let before = value("chat_model");
    let run = set("chat_model", &path("embedding.gguf"));
    assert_eq!(run.code, 2);
    assert!(
        run.err.contains("which is a model for embedding"),
        "{}",
        run.err
    );
    assert!(
        run.err.contains("to mend: `gaia config set chat_model"),
        "{}",
        run.err
    );
    assert_eq!(value("chat_model"), before, "nothing half done");
    let run = set("draft_model", "all-minilm-l6-v2");
    assert_eq!(run.code, 2, "{}", run.err);
    // What may come to fit is taken, with a word about it.
    let run = set("draft_model", &path("other.gguf"));
    assert!(run.err.contains("has 600 tokens"), "{}", run.err);
    assert!(
        run.err.contains("the next start will refuse"),
        "{}",
        run.err
    );
    run.ok();
    let run = set("draft_model", &path("chat.gguf"));
    assert_eq!(run.err, "");
    run.ok();
}
