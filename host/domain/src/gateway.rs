//! What a running gateway says of itself, for the commands of its operator.

use std::path::Path;
use std::{fmt, fs};

use serde::{Deserialize, Serialize};

/// `gateway.json`, written once it answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its process.
    pub pid: u32,
    /// Where it answers.
    pub url: String,
    /// Opens its status: what the folder's `operator-token` says.
    pub operator_token: String,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("pid", &self.pid)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// What stands at `path`; `None` where no gateway has said anything yet.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }
}
