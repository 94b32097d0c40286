//! Programs of others that stand between users and nodes, each before the same node.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use gaia_bench::child::Held;
use tempfile::TempDir;

use crate::http::{Connection, Question};
use crate::node::MODEL;

/// How long one may take to start.
const READY_TIME_MAX: Duration = Duration::from_secs(120);

/// The one key of LiteLLM's proxy, which does not start without.
const LITELLM_KEY: &str = "sk-of-this-measurement-alone";

/// One of them, running.
pub struct Peer {
    /// The process.
    pub held: Held,
    /// Where it listens.
    pub at: SocketAddr,
    /// What stands behind `Authorization:`.
    pub token: String,
    _folder: TempDir,
}

/// HAProxy before these nodes, which it picks by `balance`.
///
/// # Errors
/// It does not start.
pub async fn haproxy(program: &Path, nodes: &[SocketAddr], balance: &str) -> anyhow::Result<Peer> {
    let servers: String = nodes
        .iter()
        .enumerate()
        .map(|(number, node)| format!("  server node{number} {node}\n"))
        .collect();
    let config = |at: SocketAddr| {
        format!(
            "global\n  maxconn 8192\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 120s\n  timeout server 120s\n  http-reuse always\nfrontend all\n  bind {at}\n  default_backend nodes\nbackend nodes\n  balance {balance}\n{servers}"
        )
    };
    start("haproxy.cfg", "", config, |file, _| {
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(file);
        command
    })
    .await
}

/// LiteLLM's proxy before a node: one worker, no database, no log of requests.
///
/// # Errors
/// It does not start.
pub async fn litellm(program: &Path, node: SocketAddr) -> anyhow::Result<Peer> {
    let config = |_| {
        format!(
            "model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n      api_base: http://{node}/v1\n      api_key: none\nlitellm_settings:\n  telemetry: false\n"
        )
    };
    start(
        "litellm.yaml",
        &format!("Bearer {LITELLM_KEY}"),
        config,
        |file, at| {
            let mut command = Command::new(program);
            command.arg("--config").arg(file);
            command.args(["--host", "127.0.0.1", "--port", &at.port().to_string()]);
            command.args(["--num_workers", "1", "--telemetry", "False"]);
            command
                .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
                .env("LITELLM_LOG", "ERROR")
                .env("LITELLM_MASTER_KEY", LITELLM_KEY);
            command
        },
    )
    .await
}

async fn start(
    name: &str,
    token: &str,
    config: impl FnOnce(SocketAddr) -> String,
    command: impl FnOnce(&Path, SocketAddr) -> Command,
) -> anyhow::Result<Peer> {
    let at = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join(name);
    fs::write(&file, config(at))?;
    let log = folder.path().join("log");
    let out = fs::File::create(&log)?;
    let mut command = command(&file, at);
    command.stdout(Stdio::null()).stderr(out);
    let held = Held::start(&mut command).with_context(|| format!("starting {command:?}"))?;
    let begun = Instant::now();
    let question = chat(token, 4, None);
    loop {
        if let Ok(mut connection) = Connection::open(at).await
            && connection
                .ask(&question)
                .await
                .is_ok_and(|answer| answer.is_served())
        {
            return Ok(Peer {
                held,
                at,
                token: token.to_owned(),
                _folder: folder,
            });
        }
        if begun.elapsed() > READY_TIME_MAX {
            bail!(
                "{name}: not ready in time: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The request that all contenders are asked: so many pieces, so many milliseconds apart in a stream.
pub fn chat(token: &str, pieces: u64, pace_ms: Option<u64>) -> Question {
    chat_with(token, "You answer in one short paragraph.", pieces, pace_ms)
}

/// A request with these instructions.
pub fn chat_with(token: &str, system: &str, pieces: u64, pace_ms: Option<u64>) -> Question {
    let body = serde_json::json!({
        "model": MODEL,
        "stream": pace_ms.is_some(),
        "seed": pace_ms.unwrap_or(0),
        "max_tokens": pieces,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": "Tell me which of the numbers that you know come first, one after the other, and leave none of them out."},
        ],
    });
    Question::new("POST", "/v1/chat/completions", token, body.to_string())
}
