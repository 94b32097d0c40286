//! Stands in for the worker: a token is a word, a vector the words' hashes. The store beside it is the real one.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gaia_ingest::Endpoint;
use serde_json::{Value, json};

pub const KEY: &str = "worker-key";

/// How the stand-in behaves.
#[derive(Clone, Copy)]
pub struct Behaviour {
    pub dimensions: usize,
    pub embedding_millis: u64,
    pub has_model: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            dimensions: 64,
            embedding_millis: 0,
            has_model: true,
        }
    }
}

/// A running stand-in. Its thread ends with the test's process.
pub struct StandIn {
    pub endpoint: Endpoint,
    embedded: Arc<AtomicUsize>,
}

impl StandIn {
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let embedded = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&embedded);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(&stream, behaviour, &counter));
            }
        });
        let key = Some(KEY.to_owned());
        Self {
            endpoint: Endpoint {
                name: "worker",
                url,
                key,
            },
            embedded,
        }
    }

    /// Texts embedded so far.
    pub fn embedded(&self) -> usize {
        self.embedded.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, behaviour: Behaviour, embedded: &AtomicUsize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let mut body = vec![
            0;
            header("content-length")
                .and_then(|n| n.parse().ok())
                .unwrap_or(0)
        ];
        reader.read_exact(&mut body).ok()?;
        let allowed = header("authorization") == Some(format!("Bearer {KEY}"));
        let path = head.split(' ').nth(1)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, reply) = match (allowed, path) {
            (false, _) => (
                "401 Unauthorized",
                json!({"error": {"message": "wrong key"}}),
            ),
            (true, "/v1/info") => ("200 OK", info(behaviour)),
            (true, "/tokenize") => ("200 OK", tokenize(&body)),
            (true, "/v1/embeddings") => ("200 OK", embed(&body, behaviour, embedded)),
            _ => (
                "404 Not Found",
                json!({"error": {"message": "no such route"}}),
            ),
        };
        let text = reply.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        (&mut &*stream).write_all((head + &text).as_bytes()).ok()?;
    }
}

fn info(behaviour: Behaviour) -> Value {
    let model = json!({"id": "stand-in", "context": 48});
    json!({"models": {"embedding": if behaviour.has_model { model } else { Value::Null }}})
}

fn words(text: &Value) -> Vec<u64> {
    let hash = |word: &str| {
        let mut hasher = DefaultHasher::new();
        word.to_lowercase().hash(&mut hasher);
        hasher.finish() % 10_000
    };
    let text = text.as_str().unwrap_or_default();
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(hash)
        .collect()
}

fn tokenize(body: &Value) -> Value {
    let texts = body["content"].as_array().unwrap();
    json!({"tokens": texts.iter().map(words).collect::<Vec<_>>()})
}

fn embed(body: &Value, behaviour: Behaviour, embedded: &AtomicUsize) -> Value {
    let texts = body["input"].as_array().unwrap();
    thread::sleep(Duration::from_millis(behaviour.embedding_millis));
    embedded.fetch_add(texts.len(), Ordering::SeqCst);
    let vector = |text: &Value| {
        let mut vector = vec![0.01_f32; behaviour.dimensions];
        for word in words(text) {
            vector[word as usize % behaviour.dimensions] += 1.0;
        }
        let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
        STANDARD.encode(bytes)
    };
    let item = |(index, text)| json!({"index": index, "embedding": vector(text)});
    // In another order than asked for: the index says which is which.
    json!({"data": texts.iter().enumerate().rev().map(item).collect::<Vec<_>>()})
}
