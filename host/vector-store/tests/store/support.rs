//! A store to ask, in this process or as a process of its own that can be killed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use gaia_vector_store::{Limits, Options, Upkeep, VectorStore};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub const KEY: &str = "test-key";

/// A store in this process, asked without a socket.
pub struct Local {
    pub dir: TempDir,
    router: Router,
}

impl Local {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn at(dir: TempDir) -> Self {
        let router = open(dir.path(), Limits::default());
        Self { dir, router }
    }

    pub fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let router = open(dir.path(), limits);
        Self { dir, router }
    }

    /// Closes the store and opens it again.
    pub fn reopen(self) -> Self {
        let Self { dir, router } = self;
        drop(router);
        let router = open(dir.path(), Limits::default());
        Self { dir, router }
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (StatusCode, Vec<u8>) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body)).unwrap())
            .await
            .unwrap();
        let status = response.status();
        (
            status,
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
        )
    }

    /// Status and whole reply.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let (status, reply) = self.send(method, path, &[], body).await;
        (
            status.as_u16(),
            serde_json::from_slice(&reply).unwrap_or_default(),
        )
    }

    /// The result of a request that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, reply) = self.call(method, path, body).await;
        assert_eq!(status, 200, "{method} {path}: {reply}");
        reply["result"].clone()
    }

    /// The message of a request that must fail with `status`.
    pub async fn refused(&self, method: &str, path: &str, body: Value, status: u16) -> String {
        let (actual, reply) = self.call(method, path, body).await;
        assert_eq!(actual, status, "{method} {path}: {reply}");
        reply["status"]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// A collection of `size` dimensions with points 1 to `count`; point n has the payload
    /// `{"n": n, "even": …, "word": …}`.
    pub async fn filled(&self, name: &str, count: u64) {
        self.ok(
            "PUT",
            &format!("/collections/{name}"),
            json!({"vectors": {"size": 4, "distance": "Cosine"}}),
        )
        .await;
        let points: Vec<Value> = (1..=count).map(point).collect();
        self.ok(
            "PUT",
            &format!("/collections/{name}/points?wait=true"),
            json!({ "points": points }),
        )
        .await;
    }
}

pub fn point(n: u64) -> Value {
    let word = ["red", "green", "blue"][n as usize % 3];
    json!({"id": n, "vector": vector(n), "payload": {"n": n, "even": n.is_multiple_of(2), "word": word}})
}

pub fn vector(n: u64) -> Vec<f32> {
    (0..4)
        .map(|axis| ((n * 7 + axis * 13) % 29) as f32 + 1.0)
        .collect()
}

fn open(dir: &Path, limits: Limits) -> Router {
    let upkeep = Upkeep {
        flush_interval: Duration::from_millis(200),
        optimize_interval: None,
    };
    VectorStore::open(dir, Options { limits, upkeep })
        .unwrap()
        .router(None)
}

/// A store in a process of its own.
pub struct Process {
    child: Child,
    address: String,
}

impl Process {
    pub fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gaia-vector-store"))
            .arg(dir)
            .arg("127.0.0.1:0")
            .env("GAIA_STORE_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().rsplit('/').next().unwrap().to_owned();
        assert!(address.contains(':'), "it did not start: `{line}`");
        Self { child, address }
    }

    pub fn client(&self) -> Client {
        Client {
            address: self.address.clone(),
            stream: None,
        }
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn wait(mut self) -> bool {
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Just enough HTTP over one kept connection. `None` when the server is gone.
pub struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub fn call(&mut self, method: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address).ok()?;
            stream.set_nodelay(true).ok()?;
            self.stream = Some(BufReader::new(stream));
        }
        let stream = self.stream.as_mut()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\napi-key: {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.get_mut().write_all(request.as_bytes()).ok()?;
        let mut status = None;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = line.split(' ').nth(1)?.parse().ok();
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut reply = vec![0; length];
        stream.read_exact(&mut reply).ok()?;
        Some((status?, serde_json::from_slice(&reply).ok()?))
    }

    pub fn ok(&mut self, method: &str, path: &str, body: Value) -> Value {
        let (status, reply) = self.call(method, path, &body).expect("the server answers");
        assert_eq!(status, 200, "{method} {path}: {reply}");
        reply["result"].clone()
    }
}
