//! The ingress in front of the worker. The one place that knows its interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gaia_ingress::keys::Keys;
use gaia_ingress::{ApiKey, Ingress, Limits, Processes, StartError, TlsFiles, Traces, Worker};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::membership::Membership;
use super::port_owner;
use super::state::Service;
use crate::config::Config;
use crate::home::{Home, write_private};

/// Why the node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "port {port} is taken{}; stop that, or `gaia config set {key} {}",
        owner_hint(owner),
        match *key {
            "worker_url" => "URL`: it and the three ports behind it",
            _ => "PORT`",
        }
    )]
    Taken {
        /// The configuration key that names it.
        key: &'static str,
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
    admin_url: String,
    worker: watch::Sender<Option<Worker>>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    /// The operator's port, and the counts of the keys that are kept.
    beside: [JoinHandle<()>; 2],
    usage: Usage,
    processes: Arc<Processes>,
    membership: Option<Membership>,
}

/// Fails if an address of `config` cannot be had; cheap, and so done before anything slow. `own`: ports
/// that this home's running node has, and gives back before the next one listens.
pub fn check_free(config: &Config, own: &[u16]) -> Result<(), ListenError> {
    let operators = SocketAddr::from((Ipv4Addr::LOCALHOST, config.admin_port));
    let addresses = [
        ("port", SocketAddr::new(config.host, config.port)),
        ("admin_port", operators),
    ];
    let behind = config
        .outside_ports()
        .map(|ports| [ports.back(), ports.store()]);
    let behind = behind.into_iter().flatten();
    let behind = behind.map(|port| ("worker_url", (Ipv4Addr::LOCALHOST, port).into()));
    addresses
        .into_iter()
        .chain(behind)
        .filter(|(_, address)| !own.contains(&address.port()))
        .try_for_each(|(key, address)| check_one(key, address))
}

fn check_one(key: &'static str, address: SocketAddr) -> Result<(), ListenError> {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(source) => {
            let error = StartError::Bind { address, source };
            Err(not_bound(error, key, address.port()))
        }
    }
}

/// Fails if the ingress will refuse `config` or the files it names. Binds nothing.
pub fn check(config: &Config, home: &Home) -> Result<(), ListenError> {
    Ingress::check(&settings(config, home)).map_err(ListenError::Refused)
}

fn taken(key: &'static str, port: u16) -> ListenError {
    ListenError::Taken {
        key,
        port,
        owner: port_owner::find(port),
    }
}

fn not_bound(error: StartError, key: &'static str, port: u16) -> ListenError {
    match error {
        StartError::Bind { ref source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            taken(key, port)
        }
        other => ListenError::Refused(other),
    }
}

impl Front {
    /// Binds the addresses that `config` names and starts to answer: with 503 until there is a
    /// worker to forward to. Spans of requests go to `traces`.
    pub async fn open(
        config: &Config,
        home: &Home,
        traces: Option<Traces>,
    ) -> Result<Self, ListenError> {
        let (worker, watched) = watch::channel(None);
        let settings = gaia_ingress::Config {
            traces,
            ..settings(config, home)
        };
        let is_tls = settings.tls.is_some();
        let ingress = Ingress::bind(settings, watched)
            .await
            .map_err(|error| not_bound(error, "port", config.port))?;
        let url = local_url(ingress.local_addr(), is_tls);
        let admin = ingress.admin(config.admin_port).await;
        let admin = admin.map_err(|error| not_bound(error, "admin_port", config.admin_port))?;
        let admin_url = local_url(admin.local_addr(), false);
        let usage = Usage::restored(ingress.keys(), home);
        let processes = ingress.processes();
        let beside = [
            tokio::spawn(admin.serve()),
            tokio::spawn(usage.clone().keep()),
        ];
        let (shutdown, stop) = oneshot::channel::<()>();
        let serving = tokio::spawn(ingress.serve(async {
            // A dropped sender means the same as a message.
            let _either_way = stop.await;
        }));
        Ok(Self {
            url,
            admin_url,
            beside,
            usage,
            processes,
            membership: None,
            worker,
            shutdown: Some(shutdown),
            serving,
        })
    }

    /// Where clients on this machine reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the operator reads metrics.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Sends requests to `worker` from now on; none: they wait a while for one.
    pub fn forward_to(&self, worker: Option<&Service>) {
        self.worker.send_replace(worker.and_then(upstream));
    }

    /// The processes whose memory the operator sees.
    pub fn processes(&self) -> Arc<Processes> {
        Arc::clone(&self.processes)
    }

    /// Tells of the worker that requests go to.
    pub fn watch_worker(&self) -> watch::Receiver<Option<Worker>> {
        self.worker.subscribe()
    }

    /// The node's part in its domains, which ends when this takes no new requests.
    pub fn keep_membership(&mut self, membership: Membership) {
        self.membership = Some(membership);
    }

    /// Takes no new requests and waits until the running ones have finished, as long as
    /// `drain_timeout_seconds` allows.
    pub async fn drain(&mut self) {
        self.shutdown.take();
        let membership = self.membership.take();
        let leaving = async {
            if let Some(membership) = membership {
                membership.close().await;
            }
        };
        let (served, ()) = tokio::join!(&mut self.serving, leaving);
        if let Err(error) = served {
            warn!("the ingress ended badly: {error}");
        }
        for task in &self.beside {
            task.abort();
        }
        self.usage.write();
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        for task in &self.beside {
            task.abort();
        }
    }
}

/// How often the counts of the keys are kept: so much of them a crash may lose.
pub const USAGE_KEPT_EVERY: Duration = Duration::from_secs(5);

/// What the keys of the API took, kept over restarts.
#[derive(Debug, Clone)]
struct Usage {
    keys: Arc<Keys>,
    file: PathBuf,
}

impl Usage {
    /// Goes on from what was kept; a file that cannot be read counts as none.
    fn restored(keys: Arc<Keys>, home: &Home) -> Self {
        let file = home.api_usage();
        if let Ok(text) = std::fs::read_to_string(&file) {
            keys.restore_usage(&text);
        }
        Self { keys, file }
    }

    async fn keep(self) {
        loop {
            tokio::time::sleep(USAGE_KEPT_EVERY).await;
            self.write();
        }
    }

    fn write(&self) {
        let Some(text) = self.keys.unkept_usage() else {
            return;
        };
        if let Err(error) = write_private(&self.file, text.as_bytes()) {
            warn!(%error, "what the keys of the API took is not kept");
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

/// Where the node's certificate lies, if it has one.
pub fn tls_files(config: &Config) -> Option<TlsFiles> {
    (!config.tls_cert.is_empty()).then(|| TlsFiles {
        certificate: PathBuf::from(&config.tls_cert),
        key: PathBuf::from(&config.tls_key),
    })
}

fn settings(config: &Config, home: &Home) -> gaia_ingress::Config {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    // What waits for a turn waits in the worker, which knows the engine's state.
    let requests_running_max = config
        .requests_running_max
        .saturating_add(config.queue_len_max)
        .saturating_add(if config.priority_allowed(home.api_keys().exists()) {
            PLACES_SPARE
        } else {
            0
        });
    gaia_ingress::Config {
        listen: SocketAddr::new(config.host, config.port),
        tls: tls_files(config),
        api_keys: config
            .api_keys
            .iter()
            .map(|key| ApiKey::new(key.reveal()))
            .collect(),
        key_file: Some(home.api_keys()),
        hosts: config.hosts_allowed.clone(),
        origins: config.cors_origins.clone(),
        traces: None,
        limits: Limits {
            body_bytes_max: usize::try_from(config.body_bytes_max).unwrap_or(usize::MAX),
            requests_running_max: usize::try_from(requests_running_max).unwrap_or(usize::MAX),
            answer_tokens_max: answer_tokens_max(config),
            header_timeout: seconds(config.header_timeout_seconds),
            idle_timeout: seconds(config.idle_timeout_seconds),
            drain_timeout: seconds(config.drain_timeout_seconds),
            ..Limits::default()
        },
    }
}

/// The most tokens that an answer can have, as far as the configuration says.
fn answer_tokens_max(config: &Config) -> u64 {
    let configured = [config.n_predict_max, config.ctx_size];
    let least = configured.into_iter().filter(|tokens| *tokens > 0).min();
    least.map_or(Limits::default().answer_tokens_max, u64::from)
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
        let home = Home::new("/nowhere".as_ref()).unwrap();
        assert_eq!(settings(&config, &home).limits.requests_running_max, 5);
        config.api_keys = Secret::from_text("0123456789abcdef").into_iter().collect();
        assert_eq!(settings(&config, &home).limits.requests_running_max, 13);
    }

    #[tokio::test]
    async fn a_taken_port_names_its_owner() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        let config = Config {
            port,
            ..Config::default()
        };
        let home = Home::new("/nowhere".as_ref()).unwrap();
        let error = Front::open(&config, &home, None)
            .await
            .unwrap_err()
            .to_string();
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
        let home = Home::new("/nowhere".as_ref()).unwrap();
        let mut front = Front::open(&config, &home, None).await.unwrap();
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
