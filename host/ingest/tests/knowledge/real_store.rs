//! The real vector store as a process of its own, on a free port.
//!
//! `cargo build --release -p gaia-vector-store` makes it; `GAIA_VECTOR_STORE` names another one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use gaia_ingest::{Endpoint, Store};
use serde_json::{Value, json};

pub const KEY: &str = "store-key";

/// A running store in a folder of its own; ends with the value.
pub struct RealStore {
    pub endpoint: Endpoint,
    process: Child,
    _folder: tempfile::TempDir,
}

fn program() -> PathBuf {
    let built = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/release/gaia-vector-store"
    );
    std::env::var_os("GAIA_VECTOR_STORE").map_or_else(|| built.into(), PathBuf::from)
}

impl RealStore {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(program())
            .arg(folder.path())
            .arg("127.0.0.1:0")
            .env("GAIA_STORE_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the vector store is built: cargo build --release -p gaia-vector-store");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap()
            .to_owned();
        let endpoint = Endpoint {
            name: "store",
            url,
            key: Some(KEY.to_owned()),
        };
        Self {
            endpoint,
            process,
            _folder: folder,
        }
    }

    pub fn collection(&self) -> Store {
        Store::new(self.endpoint.clone(), "default")
    }

    /// Everything in it: payloads by id.
    pub fn points(&self) -> BTreeMap<String, Value> {
        let url = format!("{}/collections/default/points/scroll", self.endpoint.url);
        let body = json!({"limit": 10_000, "with_payload": true});
        let request = ureq::post(url)
            .header("api-key", KEY)
            .header("content-type", "application/json");
        let text = request
            .send(body.to_string())
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        let reply: Value = serde_json::from_str(&text).unwrap();
        let points = reply["result"]["points"].as_array().unwrap();
        points
            .iter()
            .map(|point| (point["id"].to_string(), point["payload"].clone()))
            .collect()
    }
}

impl Drop for RealStore {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
