//! What a node was seen to be at one moment. Plain values: whoever looks makes them.

use std::time::Duration;

use serde::Serialize;

use super::exposition::Exposition;

/// How far the node is, as far as this home tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Node {
    /// There is none.
    #[default]
    Absent,
    /// It has begun, and said nothing of itself yet.
    Beginning,
    /// It runs.
    Running(Box<Running>),
}

/// A node that runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Running {
    /// `ready`, `starting`, `restarting`, `waiting for its worker`, `crash loop` or `draining`.
    pub phase: &'static str,
    /// What its owner calls it.
    pub name: Option<String>,
    /// Its address as a node.
    pub node_id: String,
    /// Where clients reach it.
    pub url: String,
    /// Its version.
    pub version: String,
    /// Since when it is up, in seconds.
    pub up_seconds: u64,
    /// How often the worker was started again, or went away.
    pub restarts: u32,
    /// Where the worker is, if somebody else keeps it.
    pub worker_url: Option<String>,
    /// What the worker said when it last failed.
    pub last_failure: Option<String>,
    /// The model that answers.
    pub chat: Model,
    /// The model that reads documents.
    pub embedding: Option<Model>,
    /// What it knows.
    pub knowledge: Option<Knowledge>,
}

/// A model of the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Model {
    /// Its name in the API.
    pub id: String,
    /// How many parameters it has.
    pub parameters: Option<u64>,
    /// How many tokens it takes at a time.
    pub context: Option<u64>,
    /// The size of its file.
    pub size_bytes: Option<u64>,
}

/// The node's documents.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Knowledge {
    /// The name of the collection.
    pub collection: String,
    /// How many passages; none while the store does not say.
    pub passages: Option<u64>,
}

/// What a key of the API took today.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyUse {
    /// Its name.
    pub name: String,
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// The most tokens a day, if there is an end.
    pub tokens_max: Option<u64>,
    /// Requests that were let in.
    pub requests: u64,
}

/// Everything seen at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sighting {
    /// When, counted from the first look.
    pub at: Duration,
    /// The node.
    pub node: Node,
    /// What it counts; none where it did not say.
    pub counts: Option<Exposition>,
    /// What its keys took today.
    pub keys: Vec<KeyUse>,
    /// The last lines of its log.
    pub log: Vec<String>,
}
