//! What all requests of a gateway share.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use gaia_ledger::account::Timestamp;
use tokio::sync::Semaphore;

use crate::access::Accesses;
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::nodes::Nodes;
use crate::receipts::Receipts;
use crate::status::Counts;

pub(crate) struct Shared {
    pub config: Config,
    pub nodes: Nodes,
    pub accesses: Accesses,
    /// Places of requests to models.
    pub places: Arc<Semaphore>,
    /// Places of questions that nobody has to show a token for.
    pub strangers: Semaphore,
    pub receipts: Receipts,
    pub counts: Counts,
    pub endpoints: Vec<(String, Arc<dyn Endpoint>)>,
    /// Of the hashes of prompts; nobody outside knows it.
    pub seed: u64,
}

/// The time now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_secs()))
}

/// Random bytes of the system's.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
