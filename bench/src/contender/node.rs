//! A node whole: command, ingress, sandbox, plugin and engine, as a client meets it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use e2e::node::Node as Home;

use super::Setting;
use crate::chat::Served;
use crate::client::Client;
use crate::memory;
use gaia_bench::child::Held;
use gaia_bench::foreground;

/// A node in a home of its own; stopped when dropped.
pub struct Node {
    node: Home,
    running: Option<Held>,
}

impl Node {
    /// A node that answers, with the chat model alone.
    ///
    /// # Errors
    /// The setting's model has a name that is no text.
    pub fn start(setting: &Setting) -> anyhow::Result<Self> {
        let mut node = Self::prepared(setting)?;
        node.node.set("embedding_model", "");
        node.start_again()?;
        Ok(node)
    }

    /// A node that answers and can learn.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_with_store(setting: &Setting) -> anyhow::Result<Self> {
        let mut node = Self::prepared(setting)?;
        node.start_again()?;
        Ok(node)
    }

    fn prepared(setting: &Setting) -> anyhow::Result<Self> {
        let node = Home::new();
        let model = setting
            .model
            .to_str()
            .context("the model's path is no text")?;
        node.set("chat_model", model);
        node.set("threads", &setting.threads.to_string());
        node.set("ctx_size", &setting.context.to_string());
        node.set("requests_running_max", &setting.sequences.to_string());
        Ok(Self {
            node,
            running: None,
        })
    }

    /// Stops it.
    pub fn stop(&mut self) {
        if self.running.is_some() {
            let _ = self.node.gaia(&["stop"]);
            self.running = None;
        }
    }

    /// Starts it when it was stopped; the time until it answers.
    ///
    /// # Errors
    /// It ends instead, and the error names its last words.
    pub fn start_again(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        self.running = Some(foreground::start(&self.node)?);
        Ok(begun.elapsed())
    }

    /// A client of it.
    ///
    /// # Errors
    /// It has no address.
    pub fn chat(&self) -> anyhow::Result<Served> {
        Ok(Served::new("node", Client::new(self.address()?)))
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        let url = self.node.url();
        url.trim_start_matches("http://")
            .parse()
            .with_context(|| format!("the node's address {url}"))
    }

    /// The memory of all its processes, in MiB.
    pub fn memory_mib(&self) -> f64 {
        memory::proportional_mib(&memory::family(self.node.pid()))
    }

    /// A value of its `/metrics`.
    pub fn counter(&self, name: &str) -> Option<f64> {
        self.node.gauge(name)
    }

    /// Runs a `gaia` command on it.
    pub fn gaia(&self, arguments: &[&str]) -> String {
        self.node.gaia_ok(arguments)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}
