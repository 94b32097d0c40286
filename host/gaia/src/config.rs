//! The node's configuration: one typed struct, one table of keys, one file.
//!
//! A key is added in one place, the `keys!` list below: from it come the struct, the default
//! file with its comments, `gaia config get/set/list`, and the check of every value.
//! Everything that is wrong with a file is reported at once.

mod check;
mod file;
mod keys;
mod value;

pub use check::{COLLECTION_NAME_RULE, is_collection_name};
pub use file::{ConfigFile, ReadConfigError, SetKeyError, default_text, find_key};
pub use keys::{Config, KEYS};
#[cfg(test)]
pub use value::Secret;
pub use value::{Confine, KvType, LogFormat};
pub use value::{Value, one_line};

use crate::supervisor::ports::OutsidePorts;

impl Config {
    /// The ports around a worker that somebody else keeps; none where the node starts its own.
    pub fn outside_ports(&self) -> Option<OutsidePorts> {
        OutsidePorts::parse(&self.worker_url)
    }

    /// Fails if `worker_url` cannot be used beside the rest; says what would be right.
    pub fn check_worker(&self) -> Result<(), String> {
        let mut problems = Vec::new();
        check::check_worker(self, &mut problems);
        match problems.first() {
            None => Ok(()),
            Some(problem) => Err(problem.message.clone()),
        }
    }

    /// Whether a request may put itself before others: where keys say who asks, not where anybody could.
    pub fn priority_allowed(&self, has_named_keys: bool) -> bool {
        has_named_keys || !self.api_keys.is_empty()
    }
}
