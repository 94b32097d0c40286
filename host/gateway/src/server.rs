//! Binding, accepting, draining.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gaia_ingress::{Certificate, TlsError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::access::{Accesses, LOOKUPS_MAX};
use crate::config::{Config, ConfigError};
use crate::connection;
use crate::credit::Credit;
use crate::endpoint::Endpoint;
use crate::money;
use crate::nodes::Nodes;
use crate::receipts::{self, Receipts, Waiting};
use crate::shared::{self, Shared};
use crate::status::Counts;

/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often new files of the certificate are looked for.
const TLS_LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration must not be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
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

/// A bound gateway.
pub struct Gateway {
    listener: TcpListener,
    local: SocketAddr,
    tls: Option<(TlsAcceptor, Certificate)>,
    shared: Shared,
    waiting: Waiting,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("local_addr", &self.local)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Checks the configuration and binds the address. Nothing is served before [`Gateway::serve`].
    ///
    /// # Errors
    /// When the configuration is refused, a file for TLS cannot be used, or the address cannot be bound.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        config.check()?;
        let tls = match &config.tls {
            None => None,
            Some(files) => {
                let certificate = Certificate::read(files)?;
                Some((certificate.acceptor()?, certificate))
            }
        };
        let random = || shared::random::<8>().map_err(|_| StartError::Random);
        let (seed, dice) = (u64::from_le_bytes(random()?), u64::from_le_bytes(random()?));
        let address = config.listen;
        let failed = |source| StartError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let (receipts, waiting) = Receipts::new();
        let shared = Shared {
            nodes: Nodes::new(config.balancer.clone(), Arc::clone(&config.prober), dice),
            accesses: Accesses::new(config.ledger.clone(), config.limits.clone()),
            credit: Credit::default(),
            places: Arc::new(Semaphore::new(
                config
                    .limits
                    .requests_running_max
                    .min(Semaphore::MAX_PERMITS),
            )),
            strangers: Semaphore::new(LOOKUPS_MAX),
            receipts,
            counts: Counts::new(),
            endpoints: Vec::new(),
            seed,
            config,
        };
        Ok(Self {
            listener,
            local,
            tls,
            shared,
            waiting,
        })
    }

    /// The address it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The nodes that requests are sent to: to be told of by who knows them.
    #[must_use]
    pub fn nodes(&self) -> Nodes {
        self.shared.nodes.clone()
    }

    /// Lets `endpoint` answer the path `below`, and everything below it. The first that was mounted goes first.
    pub fn mount(&mut self, below: impl Into<String>, endpoint: Arc<dyn Endpoint>) {
        self.shared.endpoints.push((below.into(), endpoint));
    }

    /// Serves until `shutdown` is ready, then lets running requests finish for a while.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let shared = Arc::new(self.shared);
        let limits = shared.config.limits.clone();
        let mut tasks = JoinSet::new();
        let nodes = shared.nodes.clone();
        tasks.spawn(async move {
            nodes.keep().await;
        });
        let books = Arc::clone(&shared);
        tasks.spawn(async move {
            money::expire(&books).await;
        });
        let Waiting { wanted, signed } = self.waiting;
        tasks.spawn(receipts::keep(Arc::clone(&shared), wanted));
        tasks.spawn(receipts::write(Arc::clone(&shared), signed));
        let looked = Arc::clone(&shared);
        tasks.spawn(async move {
            receipts::look(&looked).await;
        });
        let (tls, certificate) = self.tls.unzip();
        if let Some(certificate) = certificate {
            tasks.spawn(async move {
                certificate.keep(TLS_LOOK_INTERVAL).await;
            });
        }
        let (drain, draining) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let has_place = connections.len() < limits.connections_max;
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                stream = accept(&self.listener), if has_place => {
                    let shared = Arc::clone(&shared);
                    connections.spawn(connection::serve(shared, stream, tls.clone(), draining.clone()));
                }
            }
        }
        drop(self.listener);
        drain.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(limits.drain_time_max, all)
            .await
            .is_err()
        {
            tracing::warn!(connections = connections.len(), "cutting off connections");
        }
        // Requests outlive their connections until they are captured or released.
        let all = u32::try_from(limits.requests_running_max).unwrap_or(u32::MAX);
        let over = shared.places.acquire_many(all);
        if tokio::time::timeout(limits.drain_time_max, over)
            .await
            .is_err()
        {
            tracing::warn!("requests are still running; what is reserved for them will expire");
        }
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
