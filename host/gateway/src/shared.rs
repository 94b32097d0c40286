//! What all requests of a gateway share.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use gaia_ledger::account::Timestamp;
use tokio::sync::Semaphore;

use crate::access::Accesses;
use crate::config::Config;
use crate::credit::Credit;
use crate::endpoint::Endpoint;
use crate::nodes::Nodes;
use crate::receipts::Receipts;
use crate::status::Counts;

pub(crate) struct Shared {
    pub config: Config,
    pub nodes: Nodes,
    pub accesses: Accesses,
    pub credit: Credit,
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

/// A name for a request: the milliseconds of now, then 26 random bytes, which nobody can guess. Names that follow one
/// another stand beside one another in the ledger, so that writing one touches no page that another one has not.
pub(crate) fn request_id() -> Result<B256, getrandom::Error> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis() as u64);
    let mut id = random::<32>()?;
    let [_, _, time @ ..] = millis.to_be_bytes();
    for (byte, of_time) in id.iter_mut().zip(time) {
        *byte = of_time;
    }
    Ok(id.into())
}

/// Random bytes of the system's.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
