//! An ingress with named keys, a fake worker behind it, and the operator's port.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gaia_ingress::keys::{
    Instant, Keys, MintedKey, NamedKey, RANDOM_BYTES, Scope, keys_to_text, parse_usage,
};
use gaia_ingress::{ApiKey, Config, Ingress, Limits, Worker};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::support::{Reply, Upstream, rest};

/// An ingress with a file of keys.
pub struct Node {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub upstream: Upstream,
    pub keys: Arc<Keys>,
    pub folder: TempDir,
    pub worker: watch::Sender<Option<Worker>>,
}

pub fn minted(number: u8) -> MintedKey {
    MintedKey::new(&[number; RANDOM_BYTES], None)
}

pub fn text(number: u8) -> String {
    minted(number).key.reveal().to_owned()
}

pub fn named(number: u8) -> NamedKey {
    let MintedKey { id, hash, .. } = minted(number);
    NamedKey {
        id,
        name: format!("key-{number}"),
        hash,
        scopes: vec![Scope::Inference],
        rate_per_minute: None,
        tokens_per_day: None,
        created: Instant::from_unix_seconds(0),
        expires: None,
    }
}

pub fn seconds_from_now(seconds: i64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Instant::from_unix_seconds(now.as_secs().saturating_add_signed(seconds))
}

impl Node {
    pub async fn start(keys: &[NamedKey]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("api-keys.toml");
        std::fs::write(&file, keys_to_text(keys)).unwrap();
        let upstream = Upstream::start().await;
        let (worker, watched) = watch::channel(Some(Worker {
            address: upstream.address,
            key: ApiKey::new("the worker's key"),
        }));
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            api_keys: vec![ApiKey::new("a key of the configuration")],
            key_file: Some(file),
            limits: Limits {
                worker_wait_max: Duration::from_millis(100),
                ..Limits::default()
            },
            ..Config::default()
        };
        let ingress = Ingress::bind(config, watched).await.unwrap();
        let admin = ingress.admin(0).await.unwrap();
        let node = Self {
            address: ingress.local_addr(),
            admin: admin.local_addr(),
            upstream,
            keys: ingress.keys(),
            folder,
            worker,
        };
        tokio::spawn(admin.serve());
        tokio::spawn(ingress.serve(std::future::pending()));
        node
    }

    /// As `gaia key api` does it.
    pub fn replace_keys(&self, keys: &[NamedKey]) {
        let file: PathBuf = self.folder.path().join("api-keys.toml");
        let new = file.with_extension("new");
        std::fs::write(&new, keys_to_text(keys)).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    pub async fn send(&self, line: &str, key: &str, body: &str) -> TcpStream {
        let headers = format!("authorization: Bearer {key}");
        send_to(self.address, line, &headers, body).await
    }

    pub async fn ask(&self, line: &str, key: &str, body: &str) -> Reply {
        rest(self.send(line, key, body).await).await
    }

    pub async fn chat(&self, key: &str, max_tokens: u64) -> Reply {
        let body = format!("{{\"max_tokens\":{max_tokens}}}");
        self.ask("POST /v1/chat/completions", key, &body).await
    }

    /// Waits until the tokens of the key are as many.
    pub async fn until_used(&self, number: u8, tokens: u64) {
        let id = minted(number).id;
        let used = || {
            let usage = self.keys.unkept_usage()?;
            parse_usage(&usage).get(&id).map(|used| used.tokens)
        };
        let mut last = None;
        for _ in 0..1000 {
            last = used().or(last);
            if last == Some(tokens) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{last:?} instead of {tokens} tokens");
    }
}

pub async fn send_to(address: SocketAddr, line: &str, headers: &str, body: &str) -> TcpStream {
    let request = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[track_caller]
pub fn check(reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    let code = format!("\"code\":\"{code}\"");
    assert!(reply.body.contains(&code), "{}", reply.body);
    assert!(reply.body.contains("\"param\":null"), "{}", reply.body);
}
