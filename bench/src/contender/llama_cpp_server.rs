//! `llama_cpp.server`, the server of llama-cpp-python: one request at a time, the others wait. What users of stock
//! WASI-NN servers know; shown for orientation, nothing is held against it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Setting;
use super::serving::{Service, Serving};
use crate::chat::{Interface, Served};

/// Its name in tables.
pub const NAME: &str = "llama_cpp.server";

/// A running server; ended when dropped.
pub struct LlamaCppServer(Serving);

impl LlamaCppServer {
    /// Starts it and waits until it is ready. In `folder` is a program `llama-cpp-server`.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub fn start(folder: &Path, setting: &Setting) -> anyhow::Result<Self> {
        let service = Service {
            name: NAME,
            ready: "/v1/models",
        };
        Serving::start(service, |address| command(folder, setting, address)).map(Self)
    }

    /// A client of it.
    pub fn chat(&self) -> Served {
        Served::speaking(NAME, self.0.client(), Interface::WithoutUsage)
    }
}

/// Its defaults but for three. It would break off an answer when the next question comes, so that only one client is
/// ever answered; it would compute and keep what only log-probabilities need for each token of a prompt; and it has
/// no automatic flash attention, which all others here find out for themselves to be on.
fn command(folder: &Path, setting: &Setting, address: SocketAddr) -> Command {
    let mut command = Command::new(folder.join("llama-cpp-server"));
    command.arg("--model").arg(&setting.model);
    for (name, value) in [
        ("--host", "127.0.0.1".to_owned()),
        ("--port", address.port().to_string()),
        ("--n_ctx", setting.context.to_string()),
        ("--n_threads", setting.threads.to_string()),
        ("--n_threads_batch", setting.threads.to_string()),
        ("--interrupt_requests", "false".to_owned()),
        ("--logits_all", "false".to_owned()),
        ("--flash_attn", "true".to_owned()),
        ("--verbose", "false".to_owned()),
    ] {
        command.args([name, &value]);
    }
    command
}
