//! The parts of the measurement. Each starts its contenders, measures them in turn round by round, and says what
//! it found; each can be run alone.

mod first_token;
mod full_cache;
mod gap;
mod ingestion;
mod isolation;
mod open_loop;
mod overload;
mod pairs;
mod retrieval;
mod short;
mod start;
mod throughput;

use std::path::PathBuf;

use crate::contender::Setting;
use crate::contender::llama_server::Cache;
use crate::contender::llama_tools::LlamaTools;
use crate::report::Section;

/// What every part is given.
pub struct Plan {
    /// How often each contender is measured.
    pub rounds: usize,
    /// The model of the comparison.
    pub model: PathBuf,
    /// Where llama.cpp's programs are; without them only our own parts are compared with each other.
    pub llama: Option<PathBuf>,
    /// Threads that compute.
    pub threads: u32,
    /// Requests in the test of isolation.
    pub isolation_requests: usize,
    /// Streams at a time where their number is varied.
    pub streams: &'static [usize],
    /// So many times as many questions where streams are varied.
    pub turns_factor: usize,
    /// The ways in which llama-server is run where both count.
    pub ways: &'static [Cache],
}

/// A part: its name on the command line, and how it is run.
pub type Part = (&'static str, fn(&Plan) -> anyhow::Result<Section>);

/// All parts, in the order of the table.
pub const PARTS: &[Part] = &[
    ("one-stream", throughput::one_stream),
    ("streams", throughput::many_streams),
    ("retrieval", retrieval::one_document),
    ("first-token", first_token::measure),
    ("full-cache", full_cache::measure),
    ("gap", gap::measure),
    ("overload", overload::measure),
    ("open-loop", open_loop::measure),
    ("start", start::measure),
    ("ingestion", ingestion::measure),
    ("isolation", isolation::measure),
];

/// Parts that run only when they are named.
pub const MORE: &[Part] = &[("shelf", retrieval::shelf)];

/// The part that CI runs instead of all others.
pub const SHORT: Part = ("short", short::measure);

impl Plan {
    /// The setting with so many requests at a time.
    fn setting(&self, sequences: u32) -> Setting {
        Setting {
            model: self.model.clone(),
            threads: self.threads,
            sequences,
            cells: 16384,
            context: 8192,
        }
    }

    fn tools(&self) -> Option<LlamaTools> {
        self.llama.clone().map(|bin| LlamaTools { bin })
    }
}
