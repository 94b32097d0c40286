//! From a TOML document to a [`Config`], or to the list of everything that is wrong with it.

use std::fmt;
use std::net::SocketAddrV4;

use gaia_outbound::Origin;
use toml_edit::DocumentMut;

use super::keys::{Config, KEYS};
use super::value::Secret;
use crate::supervisor::ports::OutsidePorts;
use crate::telemetry;

/// A shorter key could be guessed; the ingress refuses it too.
const KEY_BYTES_MIN: usize = 8;

/// The most a retrieval may ask for; above it a prompt would hold nothing else.
const RETRIEVAL_LIMIT_MAX: u32 = 100;
/// The most of a user's messages in one search query.
const CONTEXT_WINDOW_MAX: u32 = 100;
/// The largest request body that can be allowed: 1 GiB.
const BODY_BYTES_MAX_MAX: u64 = 1 << 30;
/// The longest timeout that can be set: one day.
const TIMEOUT_SECONDS_MAX: u32 = 86_400;
/// The most answers at a time that can be allowed: the engine's own maximum.
const REQUESTS_RUNNING_MAX_MAX: u32 = 64;
/// The most rounds of tool calls that can be allowed: the calls that a turn has at all.
const TOOL_ROUNDS_MAX: u32 = 16;
/// The longest embeddings that can be named: the API's own maximum.
const EMBEDDING_DIMENSIONS_MAX: u32 = 65_536;
/// The longest queue that can be allowed.
const QUEUE_LEN_MAX_MAX: u32 = 65_536;
/// The least similarity a name must have to be suggested (Jaro-Winkler).
const SUGGEST_SIMILARITY_MIN: f64 = 0.8;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", join(problems))]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

fn join(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// Reads `document`; keys that are not there keep their defaults. `has_named_keys`: callers need a key even if
/// `api_keys` is empty.
pub fn check_config(document: &DocumentMut, has_named_keys: bool) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut problems = Vec::new();
    for (name, item) in document.iter() {
        match KEYS.iter().find(|key| key.name == name) {
            None => problems.push(problem(name, unknown_key(name))),
            Some(key) if !(key.read)(&mut config, item) => {
                problems.push(problem(name, format!("must be {}", key.kind)));
            }
            Some(_) => {}
        }
    }
    check_address(&config, has_named_keys, &mut problems);
    check_knowledge(&config, &mut problems);
    check_worker(&config, &mut problems);
    check_egress(&config, &mut problems);
    check_watching(&config, &mut problems);
    check_limits(&config, &mut problems);
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError { problems })
    }
}

/// The message for a key nobody knows, with the nearest one that exists.
pub fn unknown_key(name: &str) -> String {
    let nearest = KEYS
        .iter()
        .map(|key| (strsim::jaro_winkler(name, key.name), key.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity >= SUGGEST_SIMILARITY_MIN);
    match nearest {
        Some((_, nearest)) => format!("no such key; did you mean `{nearest}`?"),
        None => "no such key; `gaia config list` shows them all".to_owned(),
    }
}

fn problem(key: &str, message: impl Into<String>) -> Problem {
    Problem {
        key: key.to_owned(),
        message: message.into(),
    }
}

fn check_address(config: &Config, has_named_keys: bool, problems: &mut Vec<Problem>) {
    if !config.host.is_loopback() && config.api_keys.is_empty() && !has_named_keys {
        let message = format!(
            "{} can be reached by others, so there must be a key first: gaia key api create NAME",
            config.host
        );
        problems.push(problem("host", message));
    }
    let is_weak = |key: &Secret| {
        key.reveal().len() < KEY_BYTES_MIN || key.reveal().contains(char::is_whitespace)
    };
    if config.api_keys.iter().any(is_weak) {
        let message = format!("a key must have at least {KEY_BYTES_MIN} characters and no spaces");
        problems.push(problem("api_keys", message));
    }
    if config.admin_port != 0 && config.admin_port == config.port {
        problems.push(problem("admin_port", "must be another than port"));
    }
    match (config.tls_cert.is_empty(), config.tls_key.is_empty()) {
        (false, true) => problems.push(problem("tls_key", "missing; tls_cert alone is not enough")),
        (true, false) => problems.push(problem("tls_cert", "missing; tls_key alone is not enough")),
        _ => {}
    }
    let is_host = |host: &&String| !host.is_empty() && !host.contains(['/', ' ', '@']);
    if let Some(host) = config.hosts_allowed.iter().find(|host| !is_host(host)) {
        let message = format!("`{host}` is not a host name such as gaia.example.org");
        problems.push(problem("hosts_allowed", message));
    }
    for origin in &config.cors_origins {
        let is_origin = origin == "*"
            || ["http://", "https://"].iter().any(|scheme| {
                origin
                    .strip_prefix(scheme)
                    .is_some_and(|rest| !rest.contains('/'))
            });
        if !is_origin {
            let message = format!("`{origin}` is not an origin such as https://chat.example.org");
            problems.push(problem("cors_origins", message));
        }
    }
}

fn check_knowledge(config: &Config, problems: &mut Vec<Problem>) {
    if config.chat_model.is_empty() {
        problems.push(problem("chat_model", "must name a model, or be \"auto\""));
    }
    if !config.store_url.is_empty() && !is_on_this_machine(&config.store_url) {
        let message = "must be on this machine, such as http://127.0.0.1:6333; \
                       reach one elsewhere through a tunnel (ssh -L)";
        problems.push(problem("store_url", message));
    }
    if config.store_required && config.embedding_model.is_empty() {
        let message =
            "nothing can be looked up without an embedding_model; name one, or set this to false";
        problems.push(problem("store_required", message));
    }
    if !(0.0..=1.0).contains(&config.retrieval_threshold) {
        problems.push(problem("retrieval_threshold", "must be between 0 and 1"));
    }
    if !(0.0..=2.0).contains(&config.temperature) {
        problems.push(problem("temperature", "must be between 0 and 2"));
    }
    let is_length = |length: &u32| (1..=EMBEDDING_DIMENSIONS_MAX).contains(length);
    if !config.embedding_dimensions.iter().all(is_length) {
        let message = format!("must be between 1 and {EMBEDDING_DIMENSIONS_MAX} each");
        problems.push(problem("embedding_dimensions", message));
    }
    if !is_collection_name(&config.collection) {
        problems.push(problem("collection", COLLECTION_NAME_RULE));
    }
}

/// What is wrong with an address that [`OutsidePorts`] does not take.
const WORKER_URL_RULE: &str = "must be on this machine's loopback with a port up to 65532, such as \
     http://127.0.0.1:9080: the three ports behind it are taken for it";

/// Whether a worker can be there, beside the node's own ports.
pub fn check_worker(config: &Config, problems: &mut Vec<Problem>) {
    if config.worker_url.is_empty() {
        return;
    }
    match OutsidePorts::parse(&config.worker_url) {
        None => problems.push(problem("worker_url", WORKER_URL_RULE)),
        Some(ports) => {
            let worker = [ports.worker(), ports.back(), ports.store(), ports.bell()];
            for (key, port) in [("port", config.port), ("admin_port", config.admin_port)] {
                if worker.contains(&port) {
                    let message = "must be another than worker_url's and the three behind it";
                    problems.push(problem(key, message));
                }
            }
        }
    }
}

fn check_egress(config: &Config, problems: &mut Vec<Problem>) {
    for text in &config.egress_origins {
        if let Err(error) = text.parse::<Origin>() {
            problems.push(problem("egress_origins", format!("`{text}`: {error}")));
        }
    }
    if config.tool_rounds_max > TOOL_ROUNDS_MAX {
        let message = format!("must be between 0 and {TOOL_ROUNDS_MAX}");
        problems.push(problem("tool_rounds_max", message));
    }
}

fn check_watching(config: &Config, problems: &mut Vec<Problem>) {
    if let Err(error) = telemetry::target(config) {
        problems.push(problem("otlp_endpoint", error));
    }
    if let Err(error) = telemetry::headers(config) {
        problems.push(problem("otlp_headers", error));
    }
    if !(0.0..=1.0).contains(&config.otlp_sample) {
        problems.push(problem("otlp_sample", "must be between 0 and 1"));
    }
}

/// What [`is_collection_name`] asks for.
pub const COLLECTION_NAME_RULE: &str =
    "must be made of letters, digits, -, _ and ., and must not begin with .";

/// Whether a collection may be called so: the name becomes part of addresses.
pub fn is_collection_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

/// The sandbox reaches loopback over IPv4 and nothing else.
fn is_on_this_machine(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let address = rest
        .trim_end_matches('/')
        .replacen("localhost", "127.0.0.1", 1);
    address
        .parse()
        .is_ok_and(|address: SocketAddrV4| address.ip().is_loopback())
}

fn check_limits(config: &Config, problems: &mut Vec<Problem>) {
    let mut range = |key: &str, value: u64, min: u64, max: u64| {
        if !(min..=max).contains(&value) {
            problems.push(problem(key, format!("must be between {min} and {max}")));
        }
    };
    range(
        "context_window",
        config.context_window.into(),
        1,
        CONTEXT_WINDOW_MAX.into(),
    );
    range(
        "retrieval_limit",
        config.retrieval_limit.into(),
        1,
        RETRIEVAL_LIMIT_MAX.into(),
    );
    range(
        "body_bytes_max",
        config.body_bytes_max,
        1024,
        BODY_BYTES_MAX_MAX,
    );
    let timeout = u64::from(TIMEOUT_SECONDS_MAX);
    range(
        "header_timeout_seconds",
        config.header_timeout_seconds.into(),
        1,
        timeout,
    );
    range(
        "idle_timeout_seconds",
        config.idle_timeout_seconds.into(),
        1,
        timeout,
    );
    range(
        "drain_timeout_seconds",
        config.drain_timeout_seconds.into(),
        0,
        timeout,
    );
    range(
        "idle_unload_seconds",
        config.idle_unload_seconds.into(),
        0,
        timeout,
    );
    let running = u64::from(REQUESTS_RUNNING_MAX_MAX);
    range(
        "requests_running_max",
        config.requests_running_max.into(),
        1,
        running,
    );
    range(
        "queue_len_max",
        config.queue_len_max.into(),
        0,
        QUEUE_LEN_MAX_MAX.into(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let document: DocumentMut = text.parse().unwrap();
        let got = match check_config(&document, false) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(Problem::to_string).collect(),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn good_files_pass() {
        check("", &[]);
        check("port = 0\nctx_size = 4096\nretrieval_threshold = 1", &[]);
        check("host = '0.0.0.0'\napi_keys = ['12345678']", &[]);
        check("cors_origins = ['*', 'https://a.example']", &[]);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        check(
            "prot = 1\nport = 'x'\nretrieval_threshold = 2.0\nhost = '0.0.0.0'",
            &[
                "prot: no such key; did you mean `port`?",
                "port: must be a whole number from 0 to 65535",
                "host: 0.0.0.0 can be reached by others, so there must be a key first: gaia key api create NAME",
                "retrieval_threshold: must be between 0 and 1",
            ],
        );
    }

    #[test]
    fn named_keys_are_keys() {
        let everywhere: DocumentMut = "host = '0.0.0.0'".parse().unwrap();
        assert!(check_config(&everywhere, true).is_ok());
    }

    #[test]
    fn single_problems() {
        check(
            "xyzzy = 1",
            &["xyzzy: no such key; `gaia config list` shows them all"],
        );
        check(
            "systemprompt = ''",
            &["systemprompt: no such key; did you mean `system_prompt`?"],
        );
        let range = "port: must be a whole number from 0 to 65535";
        check("[port]\nx = 1", &[range]);
        check("port = 70000", &[range]);
        check(
            "hosts_allowed = ['http://gaia.example.org']",
            &[
                "hosts_allowed: `http://gaia.example.org` is not a host name such as gaia.example.org",
            ],
        );
        check(
            "host = 'example.org'",
            &["host: must be an IP address such as 127.0.0.1"],
        );
        check(
            "api_keys = ['a bcdefgh']",
            &["api_keys: a key must have at least 8 characters and no spaces"],
        );
        check(
            "port = 80\nadmin_port = 80",
            &["admin_port: must be another than port"],
        );
        check(
            "api_keys = ['1234567']",
            &["api_keys: a key must have at least 8 characters and no spaces"],
        );
        check(
            "tls_cert = 'c.pem'",
            &["tls_key: missing; tls_cert alone is not enough"],
        );
        check(
            "tls_key = 'k.pem'",
            &["tls_cert: missing; tls_key alone is not enough"],
        );
        check(
            "cors_origins = ['https://a/b']",
            &["cors_origins: `https://a/b` is not an origin such as https://chat.example.org"],
        );
        for elsewhere in [
            "http://10.0.0.1:6333",
            "https://127.0.0.1:6333",
            "http://127.0.0.1",
            "qdrant:6333",
        ] {
            check(
                &format!("store_url = '{elsewhere}'"),
                &[
                    "store_url: must be on this machine, such as http://127.0.0.1:6333; \
                   reach one elsewhere through a tunnel (ssh -L)",
                ],
            );
        }
        check("store_url = 'http://localhost:6333/'", &[]);
        check("worker_url = 'http://127.0.0.1:9080'", &[]);
        check(
            "worker_url = 'http://10.0.0.1:9080'",
            &[
                "worker_url: must be on this machine's loopback with a port up to 65532, such as \
                   http://127.0.0.1:9080: the three ports behind it are taken for it",
            ],
        );
        check(
            "worker_url = 'http://127.0.0.1:8079'\nadmin_port = 8081",
            &[
                "port: must be another than worker_url's and the three behind it",
                "admin_port: must be another than worker_url's and the three behind it",
            ],
        );
        check(
            "collection = '../x'",
            &["collection: must be made of letters, digits, -, _ and ., and must not begin with ."],
        );
        check("collection = 'a.b'", &[]);
        check("egress_origins = ['http://127.0.0.1:8000']", &[]);
        check(
            "egress_origins = ['http://127.1']",
            &[
                "egress_origins: `http://127.1`: `127.1` is a number in disguise; addresses are written as 203.0.113.7 or [2001:db8::7]",
            ],
        );
        check("embedding_dimensions = [65536, 1]", &[]);
        check(
            "embedding_dimensions = [65537]",
            &["embedding_dimensions: must be between 1 and 65536 each"],
        );
        check(
            "otlp_endpoint = 'http://127.0.0.1:4318'\notlp_sample = 0.5",
            &[],
        );
        check(
            "otlp_headers = ['no header']\notlp_sample = 2",
            &[
                "otlp_headers: must look like \"name: value\"",
                "otlp_sample: must be between 0 and 1",
            ],
        );
        check("tool_rounds_max = 16", &[]);
        check(
            "tool_rounds_max = 17",
            &["tool_rounds_max: must be between 0 and 16"],
        );
        check(
            "chat_model = ''",
            &["chat_model: must name a model, or be \"auto\""],
        );
        check(
            "rag_policy = 'nowhere'",
            &["rag_policy: must be system-message or last-user-message"],
        );
    }

    #[test]
    fn limits_are_reached() {
        check("context_window = 100", &[]);
        check(
            "context_window = 101",
            &["context_window: must be between 1 and 100"],
        );
        check(
            "context_window = 0",
            &["context_window: must be between 1 and 100"],
        );
        check(
            "retrieval_limit = 101",
            &["retrieval_limit: must be between 1 and 100"],
        );
        check(
            "body_bytes_max = 1",
            &["body_bytes_max: must be between 1024 and 1073741824"],
        );
        check(
            "requests_running_max = 65",
            &["requests_running_max: must be between 1 and 64"],
        );
        check(
            "queue_len_max = 65537",
            &["queue_len_max: must be between 0 and 65536"],
        );
        check("queue_len_max = 0\ndrain_timeout_seconds = 0", &[]);
        check("idle_unload_seconds = 86400", &[]);
        check(
            "idle_unload_seconds = 86401",
            &["idle_unload_seconds: must be between 0 and 86400"],
        );
        check(
            "idle_timeout_seconds = 86401",
            &["idle_timeout_seconds: must be between 1 and 86400"],
        );
    }
}
