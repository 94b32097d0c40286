//! A server of somebody else's, as a process that ends with this one.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use crate::client::Client;
use gaia_bench::child::Held;

const READY_LIMIT: Duration = Duration::from_secs(120);

/// What is served and how one sees that it is ready.
pub struct Service {
    /// Its name in tables.
    pub name: &'static str,
    /// A path that answers 200 when the server is ready, and not before.
    pub ready: &'static str,
}

/// A running server; ended when dropped.
pub struct Serving {
    service: Service,
    child: Held,
    address: SocketAddr,
    folder: TempDir,
}

impl Serving {
    /// Starts what `command` makes of an address, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start, or is not ready in time.
    pub fn start(
        service: Service,
        command: impl FnOnce(SocketAddr) -> Command,
    ) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let child = Held::start(command(address).stdout(Stdio::null()).stderr(log))
            .with_context(|| format!("starting {}", service.name))?;
        let mut server = Self {
            service,
            child,
            address,
            folder,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let client = self.client();
        let name = self.service.name;
        while begun.elapsed() < READY_LIMIT {
            if client
                .send("GET", self.service.ready, "")
                .is_ok_and(|response| response.status == 200)
            {
                return Ok(());
            }
            if let Some(status) = self.child.process().try_wait()? {
                bail!("{name} ended with {status}: {}", self.last_words());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("{name} was not ready in {} s", READY_LIMIT.as_secs())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().last().unwrap_or_default().to_owned()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        self.service.name
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_once_is_quoted() {
        let service = Service {
            name: "nobody",
            ready: "/",
        };
        let command = |_| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo first >&2; echo no model >&2; exit 3"]);
            command
        };
        let error = Serving::start(service, command).err().unwrap().to_string();
        assert!(
            error.contains("nobody ended with") && error.ends_with("no model"),
            "{error}"
        );
    }
}
