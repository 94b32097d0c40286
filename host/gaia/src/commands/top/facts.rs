//! What `gaia top` shows, as values: for the screen, and for `--json`.

use serde::Serialize;

use super::quantile::Quantiles;
use super::sighting::{KeyUse, Running};

/// Everything there is to show.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Facts {
    /// The node, if one runs.
    pub node: Option<Running>,
    /// One is about to run.
    pub is_beginning: bool,
    /// The node told what it counts.
    pub is_counted: bool,
    /// Requests.
    pub requests: Requests,
    /// Tokens a second.
    pub speed: Speeds,
    /// How long things take.
    pub latency: Latencies,
    /// What the models keep of earlier prompts.
    pub cache: Cache,
    /// The node's tools that were called.
    pub tools: Vec<Tool>,
    /// What the keys of the API took today.
    pub keys: Vec<KeyUse>,
    /// Resident bytes of the node's processes.
    pub memory: Vec<Named>,
    /// The last lines of the log.
    #[serde(skip)]
    pub log: Vec<String>,
}

/// Requests, since the worker's start where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Requests {
    /// That the models work on now.
    pub running: Option<u64>,
    /// In the queue now.
    pub waiting: Option<u64>,
    /// Answered to the end.
    pub answered: Option<u64>,
    /// Whose client went away.
    pub aborted: Option<u64>,
    /// Sent away.
    pub refused: Option<u64>,
    /// Why, the commonest first.
    pub refused_for: Vec<Named>,
}

/// Tokens a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speeds {
    /// Pieces of answers; a piece is a token, or several where the model guesses ahead.
    pub writing: Speed,
    /// Tokens of prompts, counted when their answer has ended.
    pub reading: Speed,
}

/// One speed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Speed {
    /// Over the last seconds.
    pub now: Option<f64>,
    /// One point a look, the newest last.
    #[serde(skip)]
    pub curve: Vec<f64>,
}

/// How long things take.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// From the request to its first token.
    pub first_token: Latency,
    /// Between two pieces of an answer.
    pub gap: Latency,
    /// Waiting for a place.
    pub queue: Latency,
    /// From the request to the end of its answer.
    pub whole: Latency,
}

/// How long one thing takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Latency {
    /// In the last minute.
    pub minute: Quantiles,
    /// Since the worker's start.
    pub all: Quantiles,
}

/// What the models keep of earlier prompts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cache {
    /// Cells of the KV cache in use.
    pub kv_cells_used: Option<u64>,
    /// Cells of the KV cache.
    pub kv_cells: Option<u64>,
    /// Which share of prompts' tokens was not read again, since the worker's start.
    pub hit_share: Option<f64>,
    /// The same, in the last minute.
    pub hit_share_minute: Option<f64>,
}

/// A tool of the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// How often it was called.
    pub calls: u64,
    /// How often without an answer.
    pub failures: u64,
    /// How long a call took on average.
    pub seconds_each: f64,
}

/// A number with a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Named {
    /// What.
    pub name: String,
    /// How many.
    pub count: u64,
}
