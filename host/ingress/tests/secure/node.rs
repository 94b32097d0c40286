//! A node with a certificate, and handshakes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gaia_ingress::{ApiKey, Config, Ingress, Limits, TlsFiles, Worker};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::Upstream;

pub const KEY: &str = "the caller's key";
pub const WORKER_KEY: &str = "the worker's key";

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An ingress, its worker, and the hand on its switch.
pub struct Node {
    pub address: SocketAddr,
    pub upstream: Upstream,
    /// The worker is announced as long as this is here.
    _worker: watch::Sender<Option<Worker>>,
    pub shutdown: Option<oneshot::Sender<()>>,
    pub served: JoinHandle<()>,
}

pub fn pem(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    folder.join(name)
}

/// No time in it runs out by itself.
pub fn config() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: Some(TlsFiles {
            certificate: pem("certificate.pem"),
            key: pem("key.pem"),
        }),
        api_keys: vec![ApiKey::new(KEY)],
        limits: Limits {
            body_bytes_max: 1000,
            requests_running_max: 2,
            header_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            ping_interval: PATIENCE,
            drain_timeout: PATIENCE,
            ..Limits::default()
        },
        ..Config::default()
    }
}

impl Node {
    pub async fn start(config: Config) -> Self {
        let upstream = Upstream::start().await;
        let (worker, watched) = watch::channel(Some(Worker {
            address: upstream.address,
            key: ApiKey::new(WORKER_KEY),
        }));
        let ingress = Ingress::bind(config, watched).await.unwrap();
        let address = ingress.local_addr();
        let (shutdown, told) = oneshot::channel::<()>();
        let served = tokio::spawn(ingress.serve(async {
            let _ = told.await;
        }));
        Self {
            address,
            upstream,
            _worker: worker,
            shutdown: Some(shutdown),
            served,
        }
    }

    /// A handshake by which the client offers `protocols`.
    pub async fn shake(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for name in ["certificate.pem", "other-certificate.pem"] {
            let certificate = CertificateDer::from_pem_file(pem(name)).unwrap();
            roots.add(certificate).unwrap();
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let names = protocols.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = names.collect();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }
}

/// What comes within [`PATIENCE`].
#[track_caller]
pub fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let outcome = tokio::time::timeout(PATIENCE, future).await;
        outcome.unwrap_or_else(|_| panic!("nothing came at {place}"))
    }
}
