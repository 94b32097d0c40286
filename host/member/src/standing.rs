//! How the agent fares, for `gaia status`: a file that is written when that changes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// The longest reason that is kept, in characters.
const REASON_LEN_MAX: usize = 512;

/// The tunnel to one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStanding {
    /// Whether it is open.
    pub connected: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A domain and its gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStanding {
    /// What people call it.
    pub name: String,
    /// Where it was joined.
    pub url: String,
    /// Who earns.
    pub operator: Address,
    /// Why it cannot be served at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// By URL.
    pub gateways: BTreeMap<String, GatewayStanding>,
}

/// All domains of a node, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standings(pub BTreeMap<B256, DomainStanding>);

impl Standings {
    /// What the agent last wrote at `path`; none if it never did.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

/// Keeps the file.
#[derive(Debug)]
pub(crate) struct Board {
    path: PathBuf,
    standings: Mutex<Standings>,
}

impl Board {
    pub(crate) fn new(path: PathBuf) -> Self {
        let board = Self {
            path,
            standings: Mutex::default(),
        };
        board.change(|_| {});
        board
    }

    /// Changes what is told, and writes it if that is something new.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Standings)) {
        let mut kept = self
            .standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = kept.clone();
        change(&mut kept);
        if (*kept != before || !self.path.exists())
            && let Err(error) = self.write(&kept)
        {
            tracing::debug!(%error, "how the node fares in its domains is not written");
        }
    }

    /// A tunnel opened, or did not.
    pub(crate) fn gateway(&self, domain: B256, url: &str, reason: Option<String>) {
        self.change(|standings| {
            if let Some(domain) = standings.0.get_mut(&domain) {
                let standing = GatewayStanding {
                    connected: reason.is_none(),
                    reason: reason.map(|reason| reason.chars().take(REASON_LEN_MAX).collect()),
                };
                domain.gateways.insert(url.to_owned(), standing);
            }
        });
    }

    fn write(&self, standings: &Standings) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)?;
        serde_json::to_writer(&mut file, standings)?;
        file.flush()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
