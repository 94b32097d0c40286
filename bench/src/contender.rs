//! Who is measured. Each is started with the same model file, threads, sequences and room for tokens.

pub mod engine;
pub mod llama_cpp_server;
pub mod llama_server;
pub mod llama_tools;
pub mod node;
mod serving;

use std::path::{Path, PathBuf};

use self::llama_server::{Cache, LlamaServer};
use self::node::Node;
use crate::chat::Served;

/// What all contenders of one comparison have in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The model file.
    pub model: PathBuf,
    /// Threads that compute.
    pub threads: u32,
    /// Requests at the same time.
    pub sequences: u32,
    /// Room for the contexts of all requests together, in tokens; also the most that one may have.
    pub cells: u32,
    /// The most that one request may have.
    pub context: u32,
}

/// The servers of a comparison, running: the node, and llama-server where it is at hand.
pub struct Servers {
    /// Ours first.
    pub chats: Vec<Served>,
    _node: Node,
    _peers: Vec<LlamaServer>,
}

impl Servers {
    /// Starts the node and a llama-server in each of the `ways`; idle ones cost nothing.
    ///
    /// # Errors
    /// One does not start.
    pub fn start(setting: &Setting, llama: Option<&Path>, ways: &[Cache]) -> anyhow::Result<Self> {
        let node = Node::start(setting)?;
        let peers = llama.iter().flat_map(|bin| {
            ways.iter()
                .map(|way| LlamaServer::start(bin, setting, *way))
        });
        let peers = peers.collect::<anyhow::Result<Vec<_>>>()?;
        let mut chats = vec![node.chat()?];
        chats.extend(peers.iter().map(LlamaServer::chat));
        Ok(Self {
            chats,
            _node: node,
            _peers: peers,
        })
    }
}
