//! Binding, accepting, draining.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::charge::Accounts;
use crate::forward::Pool;
use crate::handler::Shared;
use crate::keys::{Keys, ReadKeysError, read_keys};
use crate::places::Places;
use crate::processes::Processes;
use crate::refused::Refused;
use crate::tls::Certificate;
use crate::{Config, ConfigError, Limits, TlsError, Worker, connection};

/// How long to wait when the system has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long connections may take to say that the node is going.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the ingress cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration must not be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The named keys cannot be had.
    #[error(transparent)]
    Keys(#[from] ReadKeysError),
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
pub struct Ingress {
    listener: TcpListener,
    tls: Option<(TlsAcceptor, Certificate)>,
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Ingress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingress")
            .field("local_addr", &self.shared.local)
            .finish_non_exhaustive()
    }
}

impl Ingress {
    /// Whether [`Ingress::bind`] would take `config`, but for the address. Binds nothing.
    ///
    /// # Errors
    /// As [`Ingress::bind`].
    pub fn check(config: &Config) -> Result<(), StartError> {
        config.check()?;
        tls(config).map(|_| ())?;
        config.key_file.as_deref().map(read_keys).transpose()?;
        Ok(())
    }

    /// Checks the configuration, reads the certificate and binds the address.
    ///
    /// `worker` says where to forward to; `None` while the worker is (re)starting.
    ///
    /// # Errors
    /// The configuration is refused, a file for TLS cannot be used, or the address cannot be bound.
    pub async fn bind(
        config: Config,
        worker: watch::Receiver<Option<Worker>>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let tls = tls(&config)?;
        let keys = Keys::open(config.api_keys.clone(), config.key_file.clone())?;
        let address = config.listen;
        let failed = |source| StartError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        let (closing, watched) = watch::channel(false);
        let places = Places::new(config.limits.requests_running_max);
        let pool = Arc::<Pool>::default();
        let accounts = Accounts::new(keys, Arc::clone(&pool), config.limits.answer_tokens_max);
        let connections = Semaphore::new(connections_max(&config.limits));
        let shared = Arc::new(Shared {
            config,
            local,
            worker,
            accounts: Arc::new(accounts),
            refused: Refused::default(),
            counts: Arc::default(),
            connections: Arc::new(connections),
            pool,
            places: Arc::new(places),
            processes: Arc::new(Processes::default()),
            closing: watched,
        });
        Ok(Self {
            listener,
            tls,
            shared,
            closing,
        })
    }

    /// The keys that it asks for.
    pub fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.shared.accounts.keys)
    }

    /// The processes whose memory `/metrics` tells.
    pub fn processes(&self) -> Arc<Processes> {
        Arc::clone(&self.shared.processes)
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Serves until `shutdown` is ready, then lets running requests finish for `drain_timeout`;
    /// streams that are still running then end with an error event.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let limits = self.shared.config.limits.clone();
        let places = Arc::clone(&self.shared.connections);
        let (drain, draining) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        let (tls, certificate) = self.tls.unzip();
        let kept = async {
            match certificate {
                Some(certificate) => certificate.keep(limits.tls_look_interval).await,
                None => std::future::pending().await,
            }
        };
        let mut kept = std::pin::pin!(kept);
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                never = &mut kept => match never {},
                (stream, peer, place) = accept(&self.listener, &places) => {
                    let shared = Arc::clone(&self.shared);
                    let serve = connection::serve(shared, stream, peer, tls.clone(), draining.clone());
                    connections.spawn(async move {
                        serve.await;
                        drop(place);
                    });
                }
            }
        }
        drop(self.listener);
        drain.send_replace(true);
        if !ended(&mut connections, limits.drain_timeout).await {
            self.closing.send_replace(true);
            cut_off(&mut connections).await;
        }
        self.shared.accounts.settled().await;
    }
}

/// How many connections there may be at a time.
pub(crate) fn connections_max(limits: &Limits) -> usize {
    limits.connections_max.min(Semaphore::MAX_PERMITS)
}

/// Ends what is still running.
async fn cut_off(connections: &mut JoinSet<()>) {
    if !ended(connections, CLOSE_TIMEOUT).await {
        tracing::warn!(connections = connections.len(), "cutting off connections");
    }
}

/// What handshakes need, and what keeps the certificate new; nothing without TLS.
fn tls(config: &Config) -> Result<Option<(TlsAcceptor, Certificate)>, TlsError> {
    let Some(files) = &config.tls else {
        return Ok(None);
    };
    let certificate = Certificate::read(files)?;
    Ok(Some((certificate.acceptor()?, certificate)))
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether all connections end within `patience`.
async fn ended(connections: &mut JoinSet<()>, patience: Duration) -> bool {
    let all = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(patience, all).await.is_ok()
}
