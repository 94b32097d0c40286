//! What a running gateway says of itself, for the commands of its operator.

use std::path::Path;
use std::{fmt, fs};

use serde::{Deserialize, Serialize};

/// `gateway.json`, written once it answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its process.
    pub pid: u32,
    /// Where users and nodes reach the domain: the first of its `urls`.
    pub url: String,
    /// Where this very gateway answers on its machine: scheme, address and port. Older ones do not say it.
    #[serde(default)]
    pub own_url: Option<String>,
    /// Opens its status: what the folder's `operator-token` says.
    pub operator_token: String,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("pid", &self.pid)
            .field("url", &self.url)
            .field("own_url", &self.own_url)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Where commands on its machine ask it: this one, whatever the domain's `urls` list first.
    #[must_use]
    pub fn asked_at(&self) -> &str {
        self.own_url.as_deref().unwrap_or(&self.url)
    }

    /// What stands at `path`; `None` where no gateway has said anything yet.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
    }
}
