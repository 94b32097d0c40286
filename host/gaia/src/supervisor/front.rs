//! The ingress in front of the worker. The one place that knows its interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gaia_ingress::{ApiKey, Ingress, Limits, StartError, TlsFiles, Worker};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::port_owner;
use super::state::Service;
use crate::config::Config;

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
    /// The ingress refuses, and says why.
    #[error(transparent)]
    Refused(StartError),
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
    worker: watch::Sender<Option<Worker>>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// Fails if the address of `config` cannot be had; cheap, and so done before anything slow.
pub fn check_free(config: &Config) -> Result<(), ListenError> {
    match std::net::TcpListener::bind((config.host, config.port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(taken(config.port)),
        Err(source) => {
            let address = SocketAddr::new(config.host, config.port);
            Err(ListenError::Refused(StartError::Bind { address, source }))
        }
    }
}

/// Fails if the ingress will refuse `config` or the files it names. Binds nothing.
pub fn check(config: &Config) -> Result<(), ListenError> {
    Ingress::check(&settings(config)).map_err(ListenError::Refused)
}

fn taken(port: u16) -> ListenError {
    ListenError::Taken {
        port,
        owner: port_owner::find(port),
    }
}

impl Front {
    /// Binds the address that `config` names and starts to answer: with 503 until there is a
    /// worker to forward to.
    pub async fn open(config: &Config) -> Result<Self, ListenError> {
        let (worker, watched) = watch::channel(None);
        let settings = settings(config);
        let is_tls = settings.tls.is_some();
        let ingress = Ingress::bind(settings, watched)
            .await
            .map_err(|error| match error {
                StartError::Bind { ref source, .. }
                    if source.kind() == io::ErrorKind::AddrInUse =>
                {
                    taken(config.port)
                }
                other => ListenError::Refused(other),
            })?;
        let url = local_url(ingress.local_addr(), is_tls);
        let (shutdown, stop) = oneshot::channel::<()>();
        let serving = tokio::spawn(ingress.serve(async {
            // A dropped sender means the same as a message.
            let _either_way = stop.await;
        }));
        Ok(Self {
            url,
            worker,
            shutdown: Some(shutdown),
            serving,
        })
    }

    /// Where clients on this machine reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends requests to `worker` from now on; none: they wait a while for one.
    pub fn forward_to(&self, worker: Option<&Service>) {
        self.worker.send_replace(worker.and_then(upstream));
    }

    /// Takes no new requests and waits until the running ones have finished, as long as
    /// `drain_timeout_seconds` allows.
    pub async fn drain(&mut self) {
        self.shutdown.take();
        if let Err(error) = (&mut self.serving).await {
            warn!("the ingress ended badly: {error}");
        }
    }
}

fn upstream(worker: &Service) -> Option<Worker> {
    let address = worker.url.strip_prefix("http://")?.parse().ok()?;
    Some(Worker {
        address,
        key: ApiKey::new(worker.key.as_str()),
    })
}

/// The URL for clients on this machine, whatever address it listens on.
fn local_url(address: SocketAddr, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// Places of the ingress beyond those of the worker, where keys say who asks: a request that is more urgent than one
/// that waits must reach the worker's full queue to take its place. Any other is refused there instead of here.
const PLACES_SPARE: u32 = 8;

fn settings(config: &Config) -> gaia_ingress::Config {
    let tls = (!config.tls_cert.is_empty()).then(|| TlsFiles {
        certificate: PathBuf::from(&config.tls_cert),
        key: PathBuf::from(&config.tls_key),
    });
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    // What waits for a turn waits in the worker, which knows the engine's state.
    let requests_running_max = config
        .requests_running_max
        .saturating_add(config.queue_len_max)
        .saturating_add(if config.priority_allowed() {
            PLACES_SPARE
        } else {
            0
        });
    gaia_ingress::Config {
        listen: SocketAddr::new(config.host, config.port),
        tls,
        api_keys: config
            .api_keys
            .iter()
            .map(|key| ApiKey::new(key.reveal()))
            .collect(),
        hosts: config.hosts_allowed.clone(),
        origins: config.cors_origins.clone(),
        limits: Limits {
            body_bytes_max: usize::try_from(config.body_bytes_max).unwrap_or(usize::MAX),
            requests_running_max: usize::try_from(requests_running_max).unwrap_or(usize::MAX),
            header_timeout: seconds(config.header_timeout_seconds),
            idle_timeout: seconds(config.idle_timeout_seconds),
            drain_timeout: seconds(config.drain_timeout_seconds),
            ..Limits::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Value};

    #[test]
    fn urls_for_this_machine() {
        let check = |address: &str, is_tls, expected: &str| {
            assert_eq!(local_url(address.parse().unwrap(), is_tls), expected);
        };
        check("0.0.0.0:80", false, "http://127.0.0.1:80");
        check("[::]:80", true, "https://127.0.0.1:80");
        check("[::1]:80", false, "http://[::1]:80");
        check("10.1.2.3:80", false, "http://10.1.2.3:80");
    }

    #[test]
    fn the_urgent_reach_a_full_queue_where_keys_say_who_asks() {
        let mut config = Config {
            requests_running_max: 2,
            queue_len_max: 3,
            ..Config::default()
        };
        assert_eq!(settings(&config).limits.requests_running_max, 5);
        config.api_keys = Secret::from_text("0123456789abcdef").into_iter().collect();
        assert_eq!(settings(&config).limits.requests_running_max, 13);
    }

    #[tokio::test]
    async fn a_taken_port_names_its_owner() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let config = Config {
            port,
            ..Config::default()
        };
        let error = Front::open(&config).await.unwrap_err().to_string();
        let own = format!("(process {})", std::process::id());
        assert!(
            error.contains(&format!("port {port} is taken by")),
            "{error}"
        );
        assert!(error.contains(&own), "{error}");
    }

    #[tokio::test]
    async fn a_free_port_is_told_and_given_back() {
        let config = Config {
            port: 0,
            ..Config::default()
        };
        let mut front = Front::open(&config).await.unwrap();
        let address: SocketAddr = front
            .url()
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        assert_ne!(address.port(), 0);
        front.drain().await;
        std::net::TcpListener::bind(address).unwrap();
    }
}
