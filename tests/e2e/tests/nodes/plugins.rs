//! Plugins: programs that the model may call, in a sandbox that holds.

use std::fs;
use std::path::Path;

use e2e::node::Node;
use serde_json::{Value, json};

/// What every program here imports: it writes its answer, and opens files.
const WASI: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;

/// A plugin folder `name` in `folder`, its program `body` in text form.
fn plugin(folder: &Path, name: &str, limits: &str, body: &str) -> String {
    let source = folder.join(name);
    fs::create_dir_all(&source).unwrap();
    let manifest = format!("name = '{name}'\n{limits}\n[parameters]\ntype = 'object'\n");
    fs::write(source.join("plugin.toml"), manifest).unwrap();
    let text = format!("(module {WASI} {body})");
    fs::write(source.join("plugin.wasm"), wat::parse_str(text).unwrap()).unwrap();
    source.to_str().unwrap().to_owned()
}

/// What `gaia` says to its error output when it fails.
fn refused(node: &Node, arguments: &[&str]) -> String {
    let output = node.gaia(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn add(node: &Node, folder: &str) {
    node.gaia_ok(&["tools", "add", "plugin", folder]);
}

#[test]
fn a_plugin_ends_where_its_limits_are() {
    let node = Node::new();
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, limits: &str, body: &str, expected: &str| {
        add(&node, &plugin(folder.path(), name, limits, body));
        let said = refused(&node, &["tools", "test", name]);
        assert!(said.contains(expected), "{name}: {said}");
    };
    let forever = r#"(memory (export "memory") 1) (func (export "_start") (loop $on (br $on)))"#;
    check(
        "computes",
        "instructions = 1000000",
        forever,
        "after 1000000 instructions",
    );
    check("takes_long", "time_ms = 200", forever, "after 200 ms");
    let grows = r#"(memory (export "memory") 1)
        (func (export "_start")
            (loop $on (br_if $on (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
            unreachable)"#;
    check("grows", "memory_mib = 4", grows, "more than its 4 MiB");
    // Descriptor 3 is /scratch; the file grows by a MiB with each of a hundred writes.
    let writes = r#"(memory (export "memory") 32) (data (i32.const 0) "big")
        (func (export "_start") (local $left i32)
            (i32.store (i32.const 16) (i32.const 1024)) (i32.store (i32.const 20) (i32.const 1048576))
            (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 3) (i32.const 1)
                (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 8)))
            (local.set $left (i32.const 100))
            (loop $on
                (drop (call $write (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 24)))
                (br_if $on (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))"#;
    check("writes", "scratch_mib = 2", writes, "more than 2 MiB");
}

#[test]
fn a_plugin_sees_nothing_of_the_machine() {
    let node = Node::new();
    let folder = tempfile::tempdir().unwrap();
    // Opens a name below the one folder that it has; its status is what WASI said.
    let opens = |name: &str| {
        let len = name.len();
        format!(
            r#"(memory (export "memory") 1) (data (i32.const 64) "{name}")
            (func (export "_start") (call $exit (call $open (i32.const 3) (i32.const 1) (i32.const 64)
                (i32.const {len}) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 8))))"#
        )
    };
    for (number, name) in ["../../../../../etc/passwd", "/etc/passwd", ".."]
        .iter()
        .enumerate()
    {
        let tool = format!("reads{number}");
        add(&node, &plugin(folder.path(), &tool, "", &opens(name)));
        let said = refused(&node, &["tools", "test", &tool]);
        assert!(said.contains("it failed"), "{name}: {said}");
    }
    let socket = r#"(import "wasi_snapshot_preview1" "sock_open" (func (param i32 i32 i32) (result i32)))
        (func (export "_start"))"#;
    let source = plugin(folder.path(), "connects", "", socket);
    let said = refused(&node, &["tools", "add", "plugin", &source]);
    assert!(
        said.contains("sock_open") && said.contains("no network"),
        "{said}"
    );
    let listed = node.gaia_ok(&["--json", "tools", "list"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["plugins"].as_array().unwrap().len(), 3, "{listed}");
}

#[test]
fn plugins_that_come_with_gaia_answer() {
    let node = Node::new();
    let test = |name: &str, arguments: Value| {
        let arguments = arguments.to_string();
        node.gaia_ok(&["tools", "test", name, "--args", &arguments])
    };
    add(&node, "unit-converter");
    let answer = test(
        "convert_units",
        json!({"value": 212, "from": "F", "to": "C"}),
    );
    assert_eq!(answer.trim(), r#"{"value":100.0,"unit":"C"}"#);
    let wrong = json!({"value": 1, "from": "km", "to": "kg"}).to_string();
    let said = refused(&node, &["tools", "test", "convert_units", "--args", &wrong]);
    assert!(said.contains("km is a length, kg is a weight"), "{said}");

    add(&node, "run-python");
    let python = |code: &str| test("run_python", json!({"code": code}));
    assert_eq!(
        python("print('a', 1)\nsum(i * i for i in range(10))").trim(),
        "a 1\n285"
    );
    let fails = |code: &str| {
        let arguments = json!({"code": code}).to_string();
        refused(
            &node,
            &["tools", "test", "run_python", "--args", &arguments],
        )
    };
    let said = fails("print('so far')\n1 / 0");
    assert!(
        said.contains("so far") && said.contains("ZeroDivisionError"),
        "{said}"
    );
    assert!(fails("open('/etc/passwd').read()").contains("it failed"));
    assert!(fails("import socket").contains("ModuleNotFoundError"));
    // Of its instructions and its time, on a busy machine the time may be over first.
    assert!(fails("while True: pass").contains("it was ended after"));

    node.gaia_ok(&["tools", "remove", "run_python"]);
    let said = refused(&node, &["tools", "test", "run_python"]);
    assert!(said.contains("there is no tool `run_python`"), "{said}");
}

/// The model writes code, it runs in a sandbox, and the result goes back.
#[test]
fn the_model_writes_code_and_it_runs() {
    let node = Node::new();
    let folder = tempfile::tempdir().unwrap();
    add(&node, "run-python");
    // So that a model of 135 million parameters writes a program that means something.
    let manifest = node.home().join("plugins/run_python/plugin.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{text}enum = ['print(6 * 7)']\n")).unwrap();
    drop(folder);
    node.start();
    let answer = node.post(
        "/v1/chat/completions",
        &json!({
            "messages": [{"role": "user", "content": "What is six times seven?"}],
            "tool_choice": {"type": "function", "function": {"name": "run_python"}},
            "max_tokens": 64, "temperature": 0,
        }),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let calls = answer["gaia_tools"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(calls[0]["name"], "run_python", "{answer}");
    assert_eq!(calls[0]["status"], "completed", "{answer}");
    assert_eq!(calls[0]["bytes"], "42".len(), "{answer}");
}
