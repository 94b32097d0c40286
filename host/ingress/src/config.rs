//! What the ingress is told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::tls::{Certificate, TlsError};
use crate::{ApiKey, Traces};

/// Shortest key that is worth its name, in bytes.
pub const KEY_BYTES_MIN: usize = 8;

/// How to listen and whom to let in.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Certificate and key for TLS; `None` = plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Keys that open the whole API. With none, and no `key_file`, no key is needed, which is allowed on loopback
    /// only.
    pub api_keys: Vec<ApiKey>,
    /// Keys with names, scopes and limits: a file that is read again when it changes. As soon as it is there,
    /// everybody needs a key.
    pub key_file: Option<PathBuf>,
    /// Host names this node answers to, besides `localhost`, loopback addresses and the address it
    /// listens on. With keys configured and this empty, any host passes.
    pub hosts: Vec<String>,
    /// Origins, such as `https://example.com`, whose pages may call the API.
    pub origins: Vec<String>,
    /// Where the spans of requests go; `None`: nothing is traced.
    pub traces: Option<Traces>,
    /// Maxima.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            api_keys: Vec::new(),
            key_file: None,
            hosts: Vec::new(),
            origins: Vec::new(),
            traces: None,
            limits: Limits::default(),
        }
    }
}

/// Files for TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Whether a node can show this certificate.
    ///
    /// # Errors
    /// Why not, and which file is to blame.
    pub fn check(&self) -> Result<(), TlsError> {
        Certificate::read(self).map(|_| ())
    }
}

/// Maxima of size, number and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body; past it 413.
    pub body_bytes_max: usize,
    /// Bytes of a request's path and headers; past it 431.
    pub head_bytes_max: usize,
    /// Connections at a time; more wait to be accepted.
    pub connections_max: usize,
    /// Requests at a time; past it 429.
    pub requests_running_max: usize,
    /// Tokens of one answer at most: what is set aside of a key's day for a request that names no maximum.
    pub answer_tokens_max: u64,
    /// How long a request's head, or a TLS handshake, may take, and how long a connection may stay
    /// open between requests (of HTTP/2: without any).
    pub header_timeout: Duration,
    /// How often a client that speaks HTTP/2 is asked whether it is still there, and how long it may take to
    /// answer; past it the connection ends with all that runs on it.
    pub ping_interval: Duration,
    /// How often the files of the certificate are looked at for new ones.
    pub tls_look_interval: Duration,
    /// How long a client may stop in the middle of a body; past it 408.
    pub idle_timeout: Duration,
    /// How long the worker may say nothing while it works on a request.
    pub worker_idle_timeout: Duration,
    /// How long a request waits for a worker that is being restarted; past it 503.
    pub worker_wait_max: Duration,
    /// How long running requests may go on after the shutdown signal.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 8 << 20,
            head_bytes_max: gaia_openai::HEAD_BYTES_MAX,
            connections_max: 1024,
            requests_running_max: 64,
            answer_tokens_max: 4096,
            header_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(20),
            tls_look_interval: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            worker_idle_timeout: Duration::from_secs(600),
            worker_wait_max: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// The worker to forward to, as the supervisor announces it. It changes with every restart.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its address on loopback.
    pub address: SocketAddr,
    /// The key it demands.
    pub key: ApiKey,
}

/// Why this configuration must not be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Others could reach the node and would need no key.
    #[error(
        "refusing to listen on {0} without an API key: everybody who reaches that address could use the node"
    )]
    NoKey(SocketAddr),
    /// A key that could be guessed.
    #[error("an API key must have at least {KEY_BYTES_MIN} bytes")]
    ShortKey,
}

impl Config {
    /// Checks what must hold before anything is bound.
    ///
    /// # Errors
    /// The address needs a key and there is none, or a key is too short.
    pub fn check(&self) -> Result<(), ConfigError> {
        let short = |key: &ApiKey| key.reveal().len() < KEY_BYTES_MIN;
        if self.api_keys.iter().any(short) {
            return Err(ConfigError::ShortKey);
        }
        let has_file = self.key_file.as_deref().is_some_and(Path::exists);
        let open = self.api_keys.is_empty() && !has_file;
        match open && !self.listen.ip().is_loopback() {
            true => Err(ConfigError::NoKey(self.listen)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, keys: &[&str], expected: Result<(), ConfigError>) {
        let config = Config {
            listen: listen.parse().unwrap(),
            api_keys: keys.iter().map(|key| ApiKey::new(*key)).collect(),
            ..Config::default()
        };
        assert_eq!(config.check(), expected);
    }

    #[test]
    fn other_addresses_need_a_key() {
        let everywhere: SocketAddr = "0.0.0.0:80".parse().unwrap();
        check("127.0.0.1:80", &[], Ok(()));
        check("[::1]:80", &[], Ok(()));
        check("0.0.0.0:80", &[], Err(ConfigError::NoKey(everywhere)));
        check("0.0.0.0:80", &["long enough"], Ok(()));
        check("0.0.0.0:80", &["short"], Err(ConfigError::ShortKey));
        check("127.0.0.1:80", &[""], Err(ConfigError::ShortKey));
    }
}
