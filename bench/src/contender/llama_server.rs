//! llama.cpp's own server, as its users start it, with its prompt cache and everything else at its defaults.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Setting;
use super::serving::{Service, Serving};
use crate::chat::Served;

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

impl Cache {
    /// The name in tables of a server that divides its room so.
    pub fn server_name(self) -> &'static str {
        match self {
            Self::Unified => "llama-server",
            Self::Split => "llama-server, split cache",
        }
    }

    /// What tells it from the other where both are compared with ours.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unified => "one cache for all",
            Self::Split => "a cache for each",
        }
    }
}

/// A running server; ended when dropped.
pub struct LlamaServer(Serving);

impl LlamaServer {
    /// Starts it and waits until it is ready. `bin` is the folder of llama.cpp's programs.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub fn start(bin: &Path, setting: &Setting, cache: Cache) -> anyhow::Result<Self> {
        let service = Service {
            name: cache.server_name(),
            ready: "/health",
        };
        Serving::start(service, |address| command(bin, setting, cache, address)).map(Self)
    }

    /// A client of it.
    pub fn chat(&self) -> Served {
        Served::new(self.0.name(), self.0.client())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.pid()
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
