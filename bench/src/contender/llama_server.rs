//! llama.cpp's own server, as its users start it, with its prompt cache and everything else at its defaults.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::Setting;
use super::child::Held;
use crate::chat::Served;
use crate::client::Client;

const READY_LIMIT: Duration = Duration::from_secs(120);

/// How the server divides its room. Which is faster depends on the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// One cache, in which each sequence may grow as long as ours: its own default when it chooses the number of
    /// sequences itself.
    Unified,
    /// The same room in equal parts: its own default when it is told the number of sequences.
    Split,
}

/// Both.
pub const BOTH: &[Cache] = &[Cache::Unified, Cache::Split];

/// A running server; ended when dropped.
pub struct LlamaServer {
    name: &'static str,
    child: Held,
    address: SocketAddr,
    // Its log is in here.
    _folder: TempDir,
}

impl LlamaServer {
    /// Starts it and waits until it is ready. `bin` is the folder of llama.cpp's programs.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub fn start(bin: &Path, setting: &Setting, cache: Cache) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let mut command = command(bin, setting, cache, address);
        let child = Held::start(command.stdout(Stdio::null()).stderr(log))
            .with_context(|| format!("starting llama-server of {}", bin.display()))?;
        let mut server = Self {
            name: match cache {
                Cache::Unified => "llama-server",
                Cache::Split => "llama-server, split cache",
            },
            child,
            address,
            _folder: folder,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let client = Client::new(self.address);
        while begun.elapsed() < READY_LIMIT {
            if client
                .send("GET", "/health", "")
                .is_ok_and(|response| response.status == 200)
            {
                return Ok(());
            }
            if let Some(status) = self.child.process().try_wait()? {
                bail!("llama-server ended with {status}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("llama-server was not ready in {} s", READY_LIMIT.as_secs())
    }

    /// A client of it.
    pub fn chat(&self) -> Served {
        Served::new(self.name, Client::new(self.address))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

fn command(bin: &Path, setting: &Setting, cache: Cache, address: SocketAddr) -> Command {
    let mut command = Command::new(bin.join("llama-server"));
    command.arg("--model").arg(&setting.model).args([
        "--host",
        "127.0.0.1",
        "--port",
        &address.port().to_string(),
    ]);
    command.args([
        "--threads",
        &setting.threads.to_string(),
        "--parallel",
        &setting.sequences.to_string(),
    ]);
    command.args([
        "--ctx-size",
        &setting.cells.to_string(),
        "--jinja",
        "--no-ui",
    ]);
    command.arg(match cache {
        Cache::Unified => "--kv-unified",
        Cache::Split => "--no-kv-unified",
    });
    command
}
