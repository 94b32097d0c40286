//! Knowledge from elsewhere: a snapshot in GaiaNet's format, fetched, restored, found, answered from.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::node::Node;
use e2e::process::{is_alive, naming, signal, wait_for};
use e2e::program;
use serde_json::{Value, json};
use tempfile::TempDir;

const FACTS: &[&str] = &[
    "The lighthouse of Brellin was built in 1874 by Ansa Torvik and is 31 metres high.",
    "In Brellin the ferry to the island of Mokk leaves every morning at twenty past seven.",
    "The bakery of Brellin closes on Tuesdays, because its oven is cleaned then.",
    "Brellin's library lends out boats as well as books; a boat may be kept for nine days.",
];

/// Another machine's store, where the snapshots are made.
struct Elsewhere {
    process: Child,
    url: String,
    folder: TempDir,
}

impl Elsewhere {
    fn started() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(program("gaia-vector-store"))
            .arg(folder.path().join("store"))
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line.trim().split(' ').next_back().unwrap().to_owned();
        Self {
            process,
            url,
            folder,
        }
    }

    fn put(&self, path: &str, body: &Value) {
        let url = format!("{}/collections/{path}", self.url);
        ureq::put(&url).send_json(body).unwrap();
    }

    /// A collection `name` of these texts and vectors, with payloads as GaiaNet writes them;
    /// its snapshot's file.
    fn snapshot(&self, name: &str, points: &[(&str, Vec<f64>)]) -> std::path::PathBuf {
        let size = points[0].1.len();
        self.put(
            name,
            &json!({"vectors": {"size": size, "distance": "Cosine"}}),
        );
        let points: Vec<Value> = points
            .iter()
            .zip(1..)
            .map(|((text, vector), id)| json!({"id": id, "vector": vector, "payload": {"source": text}}))
            .collect();
        self.put(
            &format!("{name}/points?wait=true"),
            &json!({"points": points}),
        );
        let snapshots = format!("{}/collections/{name}/snapshots", self.url);
        let made: Value = ureq::post(&snapshots)
            .send_empty()
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        let url = format!("{snapshots}/{}", made["result"]["name"].as_str().unwrap());
        let mut reply = ureq::get(&url).call().unwrap();
        let bytes = reply
            .body_mut()
            .with_config()
            .limit(1 << 30)
            .read_to_vec()
            .unwrap();
        let file = self.folder.path().join(format!("{name}.snapshot"));
        fs::write(&file, bytes).unwrap();
        file
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// As people pack: `tar czf`. Gives the archive.
fn packed(file: &Path) -> std::path::PathBuf {
    let archive = file.with_extension("snapshot.tar.gz");
    let status = Command::new("tar")
        .arg("czf")
        .arg(&archive)
        .arg("-C")
        .arg(file.parent().unwrap())
        .arg(file.file_name().unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    archive
}

/// Serves one file, whatever is asked for. Gives the address.
fn served(file: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bytes = fs::read(file).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = serve(stream, &bytes);
        }
    });
    url
}

fn serve(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        bytes.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(bytes)
}

/// The vectors of `texts` by the node's own embedding model.
fn embedded<'a>(node: &Node, texts: &[&'a str]) -> Vec<(&'a str, Vec<f64>)> {
    let reply = node.post("/v1/embeddings", &json!({"input": texts})).json();
    let vector = |index: usize| {
        let numbers = reply["data"][index]["embedding"].as_array();
        let numbers = numbers.unwrap_or_else(|| panic!("{reply}"));
        numbers.iter().map(|n| n.as_f64().unwrap()).collect()
    };
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| (*text, vector(index)))
        .collect()
}

fn json_of(node: &Node, arguments: &[&str]) -> Value {
    serde_json::from_str(&node.gaia_ok(&[&["--json"], arguments].concat())).unwrap()
}

fn passages(node: &Node) -> u64 {
    json_of(node, &["knowledge", "list"])["passages_without_document"]
        .as_u64()
        .unwrap()
}

/// The command fails with one line that has all of `expected` in it.
#[track_caller]
fn refused(node: &Node, arguments: &[&str], expected: &[&str]) {
    let output = node.gaia(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for part in expected {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_gaianet_snapshot_is_fetched_restored_and_answered_from() {
    let node = Node::new();
    node.set("retrieval_threshold", "0.3");
    node.start();
    let elsewhere = Elsewhere::started();
    let plain = elsewhere.snapshot("brellin", &embedded(&node, FACTS));
    let url = format!("{}/brellin.snapshot.tar.gz", served(&packed(&plain)));

    let restored = json_of(&node, &["knowledge", "restore", &url]);
    assert_eq!(restored["passages"], FACTS.len(), "{restored}");
    assert_eq!(restored["same_embedding_model"], true, "{restored}");
    assert_eq!(restored["remarks"], json!([]), "{restored}");
    assert_eq!(
        fs::read_dir(node.home().join("restore")).unwrap().count(),
        1
    );

    let listed = node.gaia_ok(&["knowledge", "list"]);
    assert!(
        listed.contains("4  (passages without a document's name"),
        "{listed}"
    );
    assert!(
        listed.contains("0 documents, 4 passages in `default`"),
        "{listed}"
    );
    let question = "How high is the lighthouse of Brellin?";
    let hits = json_of(&node, &["knowledge", "search", question]);
    assert_eq!(hits["hits"][0]["text"], FACTS[0], "{hits}");
    let shown = node.gaia_ok(&["knowledge", "search", question]);
    assert!(shown.contains("(no document's name)"), "{shown}");
    let body = json!({"messages": [{"role": "user", "content": question}], "max_tokens": 40});
    let answer = node.post("/v1/chat/completions", &body).json();
    let cited = &answer["choices"][0]["message"]["citations"][0]["text"];
    assert_eq!(cited, FACTS[0], "{answer}");

    refusals(&node, &elsewhere, &plain);
    documents_beside_it(&node);
}

/// What cannot be restored says why, and changes nothing.
fn refusals(node: &Node, elsewhere: &Elsewhere, plain: &Path) {
    let small = elsewhere.snapshot("small", &[("x", vec![0.5; 8])]);
    let (plain, small) = (plain.to_str().unwrap(), small.to_str().unwrap());
    let restore = |from, more, expected: &[&str]| {
        refused(node, &["knowledge", "restore", from, more], expected);
        assert_eq!(passages(node), FACTS.len() as u64);
    };
    let target = "--collection=default";
    restore(plain, target, &["holds 4 passages already", "--replace"]);
    restore(small, "--replace", &["have 8 numbers", "have 384"]);
    let nowhere = "http://127.0.0.1:1/x.snapshot";
    restore(nowhere, "--replace", &["the connection failed"]);
    restore(
        "/no/such",
        "--replace",
        &["`/no/such` is not restored", "No such file"],
    );
    let page = elsewhere.folder.path().join("page.html");
    fs::write(&page, "<html>not found</html>").unwrap();
    let missing = format!("{}/k.tar.gz", served(&page));
    restore(&missing, "--replace", &["is no Qdrant snapshot"]);
    let old = rocksdb(elsewhere.folder.path());
    restore(&old, "--replace", &["RocksDB", "store_url"]);
    restore(plain, "--collection=../x", &["--collection"]);
}

/// A snapshot as old servers write them: the payload in RocksDB.
fn rocksdb(folder: &Path) -> String {
    let root = folder.join("old");
    let segment = root.join("0/segments/1");
    fs::create_dir_all(segment.join("db_backup")).unwrap();
    fs::create_dir_all(root.join("0/wal")).unwrap();
    fs::write(segment.join("db_backup/1"), "x").unwrap();
    let config = json!({
        "params": {"vectors": {"size": 384, "distance": "Cosine"}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000},
    });
    fs::write(root.join("config.json"), config.to_string()).unwrap();
    let archive = folder.join("old.snapshot");
    let status = Command::new("tar")
        .args([
            "cf",
            archive.to_str().unwrap(),
            "-C",
            root.to_str().unwrap(),
            ".",
        ])
        .status()
        .unwrap();
    assert!(status.success());
    archive.to_str().unwrap().to_owned()
}

/// One may add documents to restored knowledge, and remove them again.
fn documents_beside_it(node: &Node) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("note.md");
    fs::write(&file, "The town hall of Brellin is painted green.").unwrap();
    node.gaia_ok(&["knowledge", "add", file.to_str().unwrap()]);
    let listed = node.gaia_ok(&["knowledge", "list"]);
    assert!(listed.contains("1 documents, 5 passages"), "{listed}");
    node.gaia_ok(&["knowledge", "remove", "note.md"]);
    assert_eq!(passages(node), FACTS.len() as u64);
}

#[test]
fn a_replacement_killed_at_any_moment_leaves_the_old_or_the_new() {
    let node = Node::started();
    let elsewhere = Elsewhere::started();
    let points = embedded(&node, FACTS);
    let four = elsewhere.snapshot("four", &points);
    let two = elsewhere.snapshot("two", &points[..2]);
    let (four, two) = (four.to_str().unwrap(), two.to_str().unwrap());
    let started = Instant::now();
    node.gaia_ok(&["knowledge", "restore", four]);
    let whole = started.elapsed();
    let store = node.home().join("store");
    let mut seen = Vec::new();
    for (round, percent) in [15, 30, 45, 60, 75, 90, 105].into_iter().enumerate() {
        let from = if round % 2 == 0 { two } else { four };
        let mut child = node
            .command(&["knowledge", "restore", "--replace", from])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * percent / 100);
        if round % 3 == 0 {
            signal(child.id(), "KILL");
        }
        let killed = naming(store.to_str().unwrap());
        let killed: Vec<u32> = killed
            .into_iter()
            .filter(|pid| *pid != node.pid())
            .collect();
        for pid in &killed {
            signal(*pid, "KILL");
        }
        let _ = child.wait();
        wait_for("the store to end", Duration::from_secs(20), || {
            killed.iter().all(|pid| !is_alive(*pid)).then_some(())
        });
        let count = wait_for("the store to be back", Duration::from_secs(60), || {
            let output = node.gaia(&["--json", "knowledge", "list"]);
            let listed: Value = serde_json::from_slice(&output.stdout).ok()?;
            listed["passages_without_document"].as_u64()
        });
        assert!(
            count == 2 || count == 4,
            "{count} passages after {percent} %"
        );
        seen.push(count);
    }
    println!("passages after each kill: {seen:?}");
    // And what is left works.
    node.gaia_ok(&["knowledge", "restore", "--replace", two]);
    assert_eq!(passages(&node), 2, "after {seen:?}");
}
