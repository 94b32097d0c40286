//! What the server is told: command line and TOML file, the same options in both.
//!
//! One table names every option; the command line wins over the file. Every problem is found before anything is
//! opened, and all of them are reported at once. An unknown key is refused with a suggestion.
//! Keys print as `****`.

mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gaia_prompt::RagPolicy;

#[cfg_attr(
    not(target_os = "wasi"),
    expect(unused_imports, reason = "main reads them, which is for WasmEdge")
)]
pub(crate) use table::{command, read};

/// A key that never shows in logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The key itself: search for this name to see where keys go.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("****")
    }
}

/// Where a service of this node is, checked to be loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoopbackAddress {
    pub(crate) socket: SocketAddr,
}

/// Everything that can be set. Built by [`read`]; tests build it by hand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) host: std::net::IpAddr,
    pub(crate) port: u16,
    pub(crate) chat_graph: String,
    pub(crate) embedding_graph: String,
    pub(crate) reranking_graph: String,
    pub(crate) chat_name: Option<String>,
    pub(crate) embedding_name: Option<String>,
    pub(crate) reranking_name: Option<String>,
    pub(crate) embedding_dimensions: Vec<u32>,
    pub(crate) stock_engine: bool,
    pub(crate) bell_port: u16,
    pub(crate) ctx_size: Option<u32>,
    pub(crate) n_predict_max: Option<u32>,
    pub(crate) system_prompt: Option<String>,
    pub(crate) prompts: Option<PathBuf>,
    pub(crate) prompt: Option<String>,
    pub(crate) temperature: Option<f32>,
    pub(crate) thinking: Option<bool>,
    pub(crate) rag_prompt: Option<String>,
    pub(crate) rag_policy: RagPolicy,
    pub(crate) context_window: usize,
    pub(crate) chat_template: Option<PathBuf>,
    pub(crate) store_url: Option<LoopbackAddress>,
    pub(crate) store_key: Option<Secret>,
    pub(crate) store_required: bool,
    pub(crate) back_url: Option<LoopbackAddress>,
    pub(crate) back_key: Option<Secret>,
    pub(crate) tool_rounds_max: u32,
    pub(crate) collection: String,
    pub(crate) limit: usize,
    pub(crate) score_threshold: f32,
    pub(crate) retrieval_tokens_max: Option<u32>,
    pub(crate) worker_key: Option<Secret>,
    pub(crate) body_bytes_max: usize,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) connections_max: usize,
    pub(crate) requests_running_max: usize,
    pub(crate) queue_len_max: usize,
    pub(crate) priority_allowed: bool,
    pub(crate) node_id: Option<String>,
    pub(crate) node_name: Option<String>,
    pub(crate) cors_origins: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: std::net::Ipv4Addr::LOCALHOST.into(),
            port: 8080,
            chat_graph: "default".to_owned(),
            embedding_graph: "embedding".to_owned(),
            reranking_graph: "reranking".to_owned(),
            chat_name: None,
            embedding_name: None,
            reranking_name: None,
            embedding_dimensions: Vec::new(),
            stock_engine: false,
            bell_port: 0,
            ctx_size: None,
            n_predict_max: None,
            system_prompt: None,
            prompts: None,
            prompt: None,
            temperature: None,
            thinking: None,
            rag_prompt: None,
            rag_policy: RagPolicy::SystemMessage,
            context_window: 1,
            chat_template: None,
            store_url: None,
            store_key: None,
            store_required: false,
            back_url: None,
            back_key: None,
            tool_rounds_max: 4,
            collection: "default".to_owned(),
            limit: 3,
            score_threshold: 0.25,
            retrieval_tokens_max: None,
            worker_key: None,
            body_bytes_max: 8 << 20,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            connections_max: 2048,
            requests_running_max: 8,
            queue_len_max: 64,
            priority_allowed: false,
            node_id: None,
            node_name: None,
            cors_origins: Vec::new(),
        }
    }
}
