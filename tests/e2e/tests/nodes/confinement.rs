//! What whoever takes over the worker could do: a shell goes through the same door as the worker, with the plan
//! that the node wrote for it. The same for the runtime of a plugin.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use e2e::node::Node;
use e2e::process::wait_for;
use e2e::program;
use e2e::random_model::{self, TINY};
use serde_json::Value;

/// What a shell can be made to do without starting anything.
const SHELL: &str = "/bin/bash";

struct Locked {
    node: Node,
    /// What is kept.
    plan: PathBuf,
    /// Where the shell is, and where it runs.
    folder: PathBuf,
    loader: PathBuf,
}

impl Locked {
    /// A running node whose worker is confined; none where that cannot be tried, which is said.
    fn new(needed: &str) -> Option<Self> {
        let node = new_node(needed)?;
        node.start();
        let plan = node.home().join("run/confine.json");
        // Where the worker may read, and so a program that came with a request would be.
        let folder = node.home().join("run/worker");
        Some(Self::with(node, plan, folder))
    }

    /// The same for the runtime of a plugin, which is not to run any more.
    fn of_plugin(needed: &str) -> Option<Self> {
        let node = new_node(needed)?;
        let plan = plan_of_plugin(&node);
        let folder = node.home().join("scratch");
        fs::create_dir(&folder).unwrap();
        let mut plan: Value = serde_json::from_str(&plan).unwrap();
        plan["files"]["own"] = serde_json::json!([folder]);
        let file = node.home().join("confine.json");
        fs::write(&file, plan.to_string()).unwrap();
        Some(Self::with(node, file, folder))
    }

    fn with(node: Node, plan: PathBuf, folder: PathBuf) -> Self {
        let kept: Value = serde_json::from_slice(&fs::read(&plan).unwrap()).unwrap();
        let run = kept["files"]["run"].as_array().unwrap();
        let loader = run.last().unwrap().as_str().unwrap().into();
        fs::copy(SHELL, folder.join("shell")).unwrap();
        Self {
            node,
            plan,
            folder,
            loader,
        }
    }

    /// Runs a line of shell as the worker is run: by a loader that it may start, since it may not start the shell.
    fn run(&self, line: &str) -> Output {
        let own = self.loader.ancestors().nth(2).unwrap();
        let libraries = format!(
            "{}:/lib/x86_64-linux-gnu:/usr/lib64:/usr/lib",
            own.join("lib/x86_64-linux-gnu").display()
        );
        Command::new(program("gaia"))
            .arg("--home")
            .arg(self.node.home())
            .args(["confine", "--plan"])
            .arg(&self.plan)
            .arg("--")
            .arg(&self.loader)
            .args(["--library-path", &libraries])
            .arg(self.folder.join("shell"))
            .args(["--norc", "-c", line])
            .current_dir(&self.folder)
            .env_clear()
            .output()
            .unwrap()
    }

    #[track_caller]
    fn can(&self, line: &str) {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
    }

    #[track_caller]
    fn cannot(&self, line: &str) {
        let output = self.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{line}: it can");
        let refused = ["Permission denied", "Operation not permitted"];
        assert!(
            refused.iter().any(|words| said.contains(words)),
            "{line}: {said}"
        );
    }
}

/// A node that is not started; none where confinement cannot be tried, which is said.
fn new_node(needed: &str) -> Option<Node> {
    let node = Node::new();
    node.set("chat_model", &random_model::path(TINY).to_string_lossy());
    let doctor: Value = serde_json::from_slice(&node.gaia(&["--json", "doctor"]).stdout).unwrap();
    let findings = doctor["findings"].as_array().unwrap();
    let mut findings = findings.iter();
    let finding = findings.find(|finding| finding["check"] == "confinement");
    let found = finding.unwrap()["found"].as_str().unwrap();
    let cannot = found.split("; it may").next().unwrap();
    if !cannot.contains(needed) || !Path::new(SHELL).exists() {
        println!("skipped: here {found}");
        return None;
    }
    Some(node)
}

/// What the node keeps for the call of a plugin, taken while it runs.
fn plan_of_plugin(node: &Node) -> String {
    let source = tempfile::tempdir().unwrap();
    let manifest = "name = 'stays'\ntime_ms = 5000\n[parameters]\ntype = 'object'\n";
    fs::write(source.path().join("plugin.toml"), manifest).unwrap();
    let forever =
        "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop $on (br $on))))";
    fs::write(
        source.path().join("plugin.wasm"),
        wat::parse_str(forever).unwrap(),
    )
    .unwrap();
    node.gaia_ok(&["tools", "add", "plugin", source.path().to_str().unwrap()]);
    let mut running = node.command(&["tools", "test", "stays"]).spawn().unwrap();
    let (plan, status) = wait_for("the plugin to run", Duration::from_secs(60), || {
        running_plugin(&node.home().join("plugins/stays/plugin.wasm"))
    });
    assert!(!running.wait().unwrap().success(), "its time is over");
    let without_new_rights = |line: &str| line.starts_with("NoNewPrivs:") && line.ends_with('1');
    assert!(status.lines().any(without_new_rights), "{status}");
    plan
}

/// The plan of the process that runs `module`, and its status.
fn running_plugin(module: &Path) -> Option<(String, String)> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        // Before it becomes the runtime, it is `gaia confine`.
        if !words.contains(&module.as_os_str().as_encoded_bytes())
            || words.contains(&&b"confine"[..])
        {
            return None;
        }
        let mut views = words
            .iter()
            .filter_map(|word| word.strip_prefix(b"/scratch:"));
        let scratch = Path::new(str::from_utf8(views.next()?).ok()?);
        let plan = fs::read_to_string(scratch.parent()?.join("confine.json")).ok()?;
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        Some((plan, status))
    })
}

#[test]
fn the_runtime_of_a_plugin_keeps_its_folder_and_nothing_of_the_node() {
    let Some(locked) = Locked::of_plugin("read other files") else {
        return;
    };
    let home = locked.node.home().display().to_string();
    locked.can(&format!("exec 3< {home}/plugins/stays/plugin.wasm"));
    locked.can("echo > new && read line < new");
    for secret in ["config.toml", "plugins/stays/plugin.toml", "confine.json"] {
        locked.cannot(&format!("read line < {home}/{secret}"));
    }
    locked.cannot("read line < /etc/passwd");
    locked.cannot(&format!("echo > {home}/new"));
    locked.cannot(&format!("echo > {home}/plugins/stays/plugin.wasm"));
    locked.cannot("./shell -c :");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    if new_node("connect to other ports").is_some() {
        locked.cannot(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}"));
    }
}

#[test]
fn the_worker_cannot_read_the_keystore() {
    let Some(locked) = Locked::new("read other files") else {
        return;
    };
    let home = locked.node.home().display().to_string();
    locked.can("read line < worker.toml");
    assert!(locked.node.home().join("keystore.json").exists());
    for secret in [
        "keystore.json",
        "config.toml",
        "run/state.json",
        "log/gaia.log",
    ] {
        locked.cannot(&format!("read line < {home}/{secret}"));
    }
    locked.cannot("read line < /etc/passwd");
    locked.cannot(&format!(
        "read -d '' line < /proc/{}/environ",
        locked.node.pid()
    ));
    locked.cannot("echo > worker.toml");
    locked.cannot("echo > new");
    locked.cannot(&format!("echo > {home}/new"));
}

#[test]
fn the_worker_cannot_connect_out() {
    let Some(locked) = Locked::new("connect to other ports") else {
        return;
    };
    let connect = |port: &str| format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let state = locked.node.state();
    let store = state["store"]["url"].as_str().unwrap();
    locked.can(&connect(store.rsplit(':').next().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    locked.cannot(&connect(&port.to_string()));
    // Not even the node itself.
    locked.cannot(&connect(locked.node.url().rsplit(':').next().unwrap()));
    locked.cannot("exec 3<>/dev/udp/127.0.0.1/53");
}

#[test]
fn the_worker_cannot_run_programs() {
    let Some(locked) = Locked::new("start programs") else {
        return;
    };
    locked.cannot("/bin/true");
    locked.cannot("./shell -c :");
    locked.cannot(&format!("{} confine", program("gaia").display()));
    locked.can("(exit 0)");
}

#[test]
fn the_worker_cannot_end_the_node() {
    let Some(locked) = Locked::new("end other processes") else {
        return;
    };
    locked.cannot(&format!("kill -0 {}", locked.node.pid()));
    locked.can("kill -0 $$");
}

#[test]
fn the_running_worker_is_confined_unless_its_owner_says_otherwise() {
    let Some(locked) = Locked::new("use other system calls") else {
        return;
    };
    let status = |process: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let of_worker = |node: &Node, name: &str| status(&node.worker_pid().to_string(), name);
    let node = &locked.node;
    assert_eq!(of_worker(node, "NoNewPrivs:"), "1");
    assert_eq!(of_worker(node, "Seccomp:"), "2");
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.worker_pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let mut core = core.unwrap().split_whitespace().skip(4);
    assert_eq!((core.next(), core.next()), (Some("0"), Some("0")));
    let log = fs::read_to_string(node.home().join("log/gaia.log")).unwrap();
    assert!(log.contains("the worker cannot read other files"), "{log}");

    node.gaia_ok(&["stop"]);
    node.set("confine", "off");
    node.start();
    let untouched = status("self", "Seccomp:");
    assert_eq!(of_worker(node, "Seccomp:"), untouched);
}
