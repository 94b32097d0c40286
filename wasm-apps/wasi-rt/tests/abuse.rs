//! The runtime under clients that behave badly, in a real WasmEdge.
//!
//! The program under test is `examples/abuse_server.rs`, built for `wasm32-wasip1` by the test itself. WasmEdge is
//! looked for in `GAIA_WASMEDGE`, `PATH` and Gaia's cache; where there is none the tests say so and pass.

#![cfg(not(target_os = "wasi"))]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Only what hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// A server's time limit in milliseconds that no test lives to see.
const NEVER: &str = "3600000";

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Server {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        self.say(&format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        ))
    }

    fn say(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Fails when it is deaf: reading gives up after [`PATIENCE`].
    #[track_caller]
    fn answers(&self) {
        let answer = self.get("/");
        assert!(answer.ends_with("{\"ok\":true}"), "{answer:?}");
    }

    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
        fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap()
    }
}

fn wasmedge() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("GAIA_WASMEDGE") {
        return Some(path.into());
    }
    let cached = |base: PathBuf| {
        ["0.17.1", "0.14.1"].map(|version| base.join("wasmedge").join(version).join("bin/wasmedge"))
    };
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let cache = std::env::var_os("GAIA_CACHE").map_or(home.join(".cache/gaia"), PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("wasmedge"))
        .chain(cached(cache))
        .find(|candidate| candidate.is_file())
}

fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // Where the test itself was built: what it needs is compiled there already.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let built = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--release", "--target", "wasm32-wasip1"])
            .args(["--example", "abuse_server", "--target-dir"])
            .arg(target)
            .status();
        assert!(built.expect("cargo runs").success());
        target.join("wasm32-wasip1/release/examples/abuse_server.wasm")
    })
}

fn start(args: &[&str]) -> Option<Server> {
    let Some(wasmedge) = wasmedge() else {
        eprintln!("skipped: no WasmEdge found");
        return None;
    };
    let mut child = Command::new(wasmedge)
        .arg(program())
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("wasmedge starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://");
    let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
    Some(Server { child, address })
}

// Closing with unread data, and no linger, makes the kernel send a reset.
fn reset(stream: TcpStream) {
    drop(stream);
}

#[test]
fn two_hundred_resets_do_not_make_it_deaf() {
    let Some(server) = start(&[]) else { return };
    for _ in 0..200 {
        let mut stream = server.connect();
        stream
            .write_all(b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        let mut one = [0];
        stream.read_exact(&mut one).unwrap();
        reset(stream);
    }
    server.answers();
}

fn half_heads(server: &Server) -> Vec<TcpStream> {
    let mut streams: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(b"GET / HTTP/1.1\r\nhos").unwrap();
    }
    streams
}

#[test]
fn half_sent_heads_hold_up_nobody() {
    let Some(server) = start(&[NEVER]) else {
        return;
    };
    let held = half_heads(&server);
    server.answers();
    drop(held);
}

#[test]
fn half_sent_heads_get_408_and_leave() {
    let Some(server) = start(&["700"]) else {
        return;
    };
    let streams = half_heads(&server);
    for mut stream in streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer:?}");
        assert!(answer.contains("\"type\":\"invalid_request_error\""));
    }
}

#[test]
fn clients_that_do_not_read_stop_nobody_and_are_dropped() {
    let Some(server) = start(&["2000", "1500", "101"]) else {
        return;
    };
    let mut hogs: Vec<_> = (0..101).map(|_| server.connect()).collect();
    for hog in &mut hogs[..100] {
        hog.write_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
    }
    let mut polite = hogs.pop().unwrap();
    polite
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    polite.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("{\"ok\":true}"), "{answer:?}");
    // All places are taken but one; two at once show that a place came free, so a hog was dropped.
    let started = Instant::now();
    loop {
        let held = server.connect();
        std::thread::sleep(Duration::from_millis(200));
        if server.get("/").starts_with("HTTP/1.1 200 ") {
            break;
        }
        drop(held);
        assert!(started.elapsed() < PATIENCE, "nobody was dropped");
    }
}

#[test]
fn a_thousand_idle_connections_cost_nothing() {
    let Some(server) = start(&[]) else { return };
    let streams: Vec<_> = (0..1_000).map(|_| server.connect()).collect();
    server.answers();
    let before = server.cpu_ticks();
    std::thread::sleep(Duration::from_secs(2));
    let used = server.cpu_ticks() - before;
    assert!(used <= 2, "{used} ticks in two idle seconds");
    server.answers();
    drop(streams);
}

/// None of these streams says a word before all have begun.
#[test]
fn two_hundred_event_streams_run_side_by_side() {
    let Some(server) = start(&[]) else { return };
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                let answer = server.get("/meeting/200");
                assert_eq!(answer.matches("data: event").count(), 50);
            });
        }
    });
}

#[test]
fn idle_connections_end_by_the_idle_time() {
    let Some(server) = start(&["500", "600"]) else {
        return;
    };
    let mut silent = server.connect();
    let mut kept = server.connect();
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let mut answers = String::new();
    kept.read_to_string(&mut answers).unwrap();
    assert!(answers.ends_with("{\"ok\":true}"), "{answers:?}");
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}

#[test]
fn connections_over_the_limit_are_told_so() {
    let Some(server) = start(&["2000", "60000", "3"]) else {
        return;
    };
    // They are accepted in the order in which they came.
    let held: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let answer = server.get("/");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer:?}");
    assert!(answer.contains("retry-after: 1"));
    drop(held);
    let started = Instant::now();
    while !server.get("/").starts_with("HTTP/1.1 200 ") {
        assert!(started.elapsed() < PATIENCE, "no place came free");
    }
}

#[test]
fn nonsense_is_refused_and_harms_nobody() {
    let Some(server) = start(&[]) else { return };
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    let cases = [
        "\r\n\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\u{1}\u{2}\u{3}\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &long,
    ];
    for case in cases {
        let mut stream = server.connect();
        let _refused = stream.write_all(case.as_bytes());
        let _ended = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{case:?}");
    }
    server.answers();
}

#[test]
fn a_request_to_another_port_goes_out_and_comes_back() {
    let Some(server) = start(&[]) else { return };
    let port = server.address.rsplit(':').next().unwrap();
    assert!(
        server
            .get(&format!("/relay/{port}"))
            .ends_with("{\"ok\":true}")
    );
    assert!(server.get("/relay/1").ends_with("could not connect"));
}
