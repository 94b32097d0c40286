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
mod peers;
mod retrieval;
mod short;
mod speculation;
mod start;
mod throughput;

use std::path::PathBuf;

use crate::contender::Setting;
use crate::contender::llama_cpp_server::{LlamaCppServer, NAME};
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
    /// llama-cpp-python's server, for orientation.
    pub llama_cpp_server: LlamaCpp,
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

/// Where llama-cpp-python's server is.
pub enum LlamaCpp {
    /// Its program is in this folder.
    At(PathBuf),
    /// It could not be made, for this reason.
    Missing(String),
    /// Nobody wants to know about it.
    NotAsked,
}

impl LlamaCpp {
    /// Starts it. Where that fails the comparison goes on without it, and `section` says why.
    fn start(&self, setting: &Setting, section: &mut Section) -> Option<LlamaCppServer> {
        let reason = match self {
            Self::NotAsked => return None,
            Self::Missing(reason) => reason.clone(),
            Self::At(folder) => match LlamaCppServer::start(folder, setting) {
                Ok(server) => return Some(server),
                Err(error) => format!("{error:#}"),
            },
        };
        section.absent.push(format!("{NAME} ({reason})"));
        None
    }
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
    ("speculation", speculation::measure),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_named_with_the_reason() {
        let setting = Setting {
            model: PathBuf::new(),
            threads: 1,
            sequences: 1,
            cells: 1,
            context: 1,
        };
        let mut section = Section::default();
        let nowhere = PathBuf::from("no such folder");
        for server in [
            LlamaCpp::NotAsked,
            LlamaCpp::Missing("no network".to_owned()),
            LlamaCpp::At(nowhere),
        ] {
            assert!(server.start(&setting, &mut section).is_none());
        }
        assert_eq!(section.absent[0], "llama_cpp.server (no network)");
        assert!(section.absent[1].contains("starting llama_cpp.server"));
        assert_eq!(section.absent.len(), 2);
    }
}
