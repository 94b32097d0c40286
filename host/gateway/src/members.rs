//! Who serves the domain: joins, tunnels, signs of life, canaries, evidence.
//!
//! What must hold is decided by `gaia-registry`; this asks it, keeps what it says as records beside the ledger, so that
//! a restart and a second gateway know the same, and tells [`Nodes`] who may get requests.
//!
//! | Path | What |
//! |---|---|
//! | `POST /gaia/v1/nodes` | a signed join, with the operator's consent |
//! | `POST /gaia/v1/nodes/leave` | a signed leave |
//! | `GET /gaia/v1/nodes` | who is a member, and where each one stands |
//! | `GET /gaia/v1/tunnel` | opens a tunnel for who proves to be a member |
//!
//! Invariants: nothing about a node changes but by its own key, by what was observed, or by the domain's operator; a
//! node gets a user's request only after it has proven in this very tunnel that it has its key, and has answered
//! canaries; an error is never health.

mod canaries;
mod chat;
mod dialling;
mod evidence;
mod http;
mod lines;
mod live;
mod session;
mod store;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use gaia_keystore::NodeKey;
use gaia_ledger_store::Ledger;
use gaia_registry::canary::Interval;
use gaia_registry::{Canary, Place, Policy, Rules, Status};
use gaia_statements::{Claimed, Counted};
use gaia_tunnel::{Channel, Trust};
use tokio::sync::mpsc;

pub use self::store::{ChangeError, RestoreError};

use self::live::Live;
use self::store::Store;
use crate::nodes::{NodeInfo, Nodes, Prober};

/// Tunnels that are open at a time, or about to be.
pub const TUNNELS_MAX: usize = crate::nodes::NODES_MAX;

/// How long a probe of a node may take.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// What is staked for operators, where somebody knows it.
pub trait Stakes: Send + Sync {
    /// Nano-units that `operator` has staked for this domain.
    fn staked(&self, operator: Address) -> Pin<Box<dyn Future<Output = u64> + Send + '_>>;
}

/// What members are held to.
#[derive(Clone)]
pub struct MembersConfig {
    /// The domain, as statements name it.
    pub place: Place,
    /// The domain's gateway key: proves to nodes that are dialled who dials.
    pub key: NodeKey,
    /// Where members are kept.
    pub ledger: Ledger,
    /// Whom the domain admits.
    pub policy: Policy,
    /// When members rise and fall.
    pub rules: Rules,
    /// Questions whose answers are known. Without any, a canary is a question of which any answer is right.
    pub canaries: Vec<Canary>,
    /// When a node that serves gets one.
    pub canary_interval: Interval,
    /// What operators have staked; without it, nothing.
    pub stakes: Option<Arc<dyn Stakes>>,
    /// Whose certificates are believed when nodes are dialled.
    pub trust: Trust,
    /// Whether nodes may be dialled at addresses that are not public: for domains within one network.
    pub dials_private: bool,
}

/// The members of the domain. Clones are the same.
#[derive(Clone)]
pub struct Members(Arc<Inner>);

struct Inner {
    config: MembersConfig,
    store: Store,
    nodes: OnceLock<Nodes>,
    live: Mutex<BTreeMap<Address, Live>>,
    /// Counts of generations of connections.
    opened: std::sync::atomic::AtomicU64,
    places: Arc<tokio::sync::Semaphore>,
    evidence: mpsc::Sender<evidence::Counts>,
    evidence_waiting: Mutex<Option<mpsc::Receiver<evidence::Counts>>>,
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Members")
    }
}

impl Members {
    /// With the members that were kept.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn open(config: MembersConfig) -> Result<Self, RestoreError> {
        let (ledger, place, rules) = (config.ledger.clone(), config.place, config.rules);
        let store = Store::open(ledger, place, rules, http::now()).await?;
        let (evidence, waiting) = mpsc::channel(evidence::WAITING_MAX);
        Ok(Self(Arc::new(Inner {
            store,
            config,
            nodes: OnceLock::new(),
            live: Mutex::default(),
            opened: Default::default(),
            places: Arc::new(tokio::sync::Semaphore::new(TUNNELS_MAX)),
            evidence,
            evidence_waiting: Mutex::new(Some(waiting)),
        })))
    }

    /// Tells `nodes` from now on who may get requests. Once, before the first tunnel.
    pub fn attach(&self, nodes: Nodes) {
        // A second time changes nothing.
        let _ = self.0.nodes.set(nodes);
    }

    /// What time, other gateways and receipts bring about. Runs until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.keep_time(), self.keep_evidence(), self.keep_dialling());
    }

    /// Ends all tunnels; their nodes dial again, where there is somebody to dial.
    pub fn close(&self) {
        let all: Vec<Channel> = self
            .live()
            .values()
            .map(|live| live.channel.clone())
            .collect();
        for channel in all {
            channel.close();
        }
    }

    /// The domain's operator lifts a suspension.
    ///
    /// # Errors
    /// When there is none, or it cannot be kept.
    pub async fn reinstate(&self, node: Address) -> Result<(), ChangeError> {
        let store = &self.0.store;
        let changed = store.change(node, |registry, _| registry.reinstate(node).map(|_| ()));
        let ((), change) = changed.await?;
        self.apply(change);
        Ok(())
    }

    /// Where a node stands; `None` for one that is not known.
    pub async fn status(&self, node: Address) -> Option<Status> {
        self.0.store.status(node).await
    }

    fn nodes(&self) -> Option<&Nodes> {
        self.0.nodes.get()
    }

    fn live(&self) -> std::sync::MutexGuard<'_, BTreeMap<Address, Live>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober for Members {
    fn probe(
        &self,
        node: NodeInfo,
        channel: Channel,
    ) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(async move {
            let model = node.offer.services.first();
            let model = model.map(|service| service.model.clone());
            let asked = chat::Question {
                model,
                prompt: "Hello",
                tokens_max: 1,
            };
            let answer = chat::ask(&channel, &asked, PROBE_TIME_MAX).await;
            answer.is_ok_and(|answer| answer.has_written)
        })
    }

    fn drained(&self, node: Address) {
        let members = self.clone();
        // Not here: who calls this holds the table of nodes.
        tokio::spawn(async move {
            let is_served = members.live().get(&node).is_some_and(Live::is_serving);
            if !is_served && let Some(nodes) = members.nodes() {
                nodes.left(node);
            }
        });
    }

    fn counted(&self, node: Address, counted: Counted, claimed: Claimed) {
        self.count(node, B256::ZERO, counted, claimed);
    }
}
