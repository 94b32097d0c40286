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
mod judging;
mod lines;
mod live;
mod policies;
mod session;
mod stakes;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use gaia_keystore::NodeKey;
use gaia_ledger_store::Ledger;
use gaia_registry::canary::Interval;
use gaia_registry::{Canary, Place, Rules, Status};
use gaia_statements::{Claimed, Counted};
use gaia_tunnel::{Channel, Trust};
use tokio::sync::{Notify, mpsc};

pub use self::dialling::DIALLED_MAX;
pub use self::http::MEMBERS_LISTED_MAX;
pub use self::policies::POLICY_BYTES_MAX;
pub use self::stakes::{Answer, ChainStakes, STAKE_AGE_MAX, STAKES_KEPT_MAX, StakeUnknown, Stakes};
pub use self::store::{ChangeError, RestoreError};

use self::live::Live;
use self::policies::Policies;
use self::store::Store;
use crate::nodes::{NodeInfo, Nodes, Prober};
use crate::notices::Notices;
use crate::policy::CurrentPolicy;

/// Tunnels that are open at a time, or about to be.
pub const TUNNELS_MAX: usize = crate::nodes::NODES_MAX;

/// How long a probe of a node may take.
pub const PROBE_TIME_MAX: Duration = Duration::from_secs(10);

/// How often it is asked what members' operators have staked.
pub const STAKES_INTERVAL: Duration = Duration::from_secs(60);

/// The most of what members take up.
#[derive(Debug, Clone, Copy)]
pub struct MembersLimits {
    /// Tunnels at a time; [`TUNNELS_MAX`] unless said otherwise.
    pub tunnels_max: usize,
    /// Members of one answer; [`MEMBERS_LISTED_MAX`] unless said otherwise.
    pub listed_max: usize,
    /// Nodes that are being dialled at a time; [`DIALLED_MAX`] unless said otherwise.
    pub dialled_max: usize,
}

impl Default for MembersLimits {
    fn default() -> Self {
        Self {
            tunnels_max: TUNNELS_MAX,
            listed_max: MEMBERS_LISTED_MAX,
            dialled_max: DIALLED_MAX,
        }
    }
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
    /// Whom the domain admits. Kept current.
    pub policy: CurrentPolicy,
    /// Where its operator changes that; without it, nobody does.
    pub policy_file: Option<PathBuf>,
    /// When members rise and fall.
    pub rules: Rules,
    /// Knowledge bases by name, with the digests that nodes sign for them.
    pub knowledge: BTreeMap<String, B256>,
    /// Questions whose answers are known. Without any, a canary is a question of which any answer is right.
    pub canaries: Vec<Canary>,
    /// When a node that serves gets one.
    pub canary_interval: Interval,
    /// What operators have staked; without it, nothing.
    pub stakes: Option<Arc<dyn Stakes>>,
    /// How often they are asked for; [`STAKES_INTERVAL`] unless said otherwise.
    pub stakes_interval: Duration,
    /// Whose certificates are believed when nodes are dialled.
    pub trust: Trust,
    /// Whether nodes may be dialled at addresses that are not public: for domains within one network.
    pub dials_private: bool,
    /// What is wrong, for the operator.
    pub notices: Notices,
    /// The most of everything.
    pub limits: MembersLimits,
}

/// The members of the domain. Clones are the same.
#[derive(Clone)]
pub struct Members(Arc<Inner>);

struct Inner {
    config: MembersConfig,
    store: Store,
    policies: Policies,
    policy_changed: Notify,
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
    /// With the members that were kept. A record that makes no sense is left out, and told.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn open(config: MembersConfig) -> Result<Self, RestoreError> {
        let (ledger, place, rules) = (config.ledger.clone(), config.place, config.rules);
        let notices = config.notices.clone();
        let store = Store::open(ledger.clone(), place, rules, notices.clone(), http::now()).await?;
        let (policy, file) = (config.policy.clone(), config.policy_file.clone());
        let policies = Policies::new(policy, file, ledger, notices);
        policies.look().await;
        policies.sync().await;
        let (evidence, waiting) = mpsc::channel(evidence::WAITING_MAX);
        let tunnels = config.limits.tunnels_max;
        Ok(Self(Arc::new(Inner {
            store,
            policies,
            policy_changed: Notify::new(),
            config,
            nodes: OnceLock::new(),
            live: Mutex::default(),
            opened: Default::default(),
            places: Arc::new(tokio::sync::Semaphore::new(tunnels)),
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
        tokio::join!(
            self.keep_time(),
            self.keep_evidence(),
            self.keep_dialling(),
            self.keep_stakes()
        );
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
        self.apply(change).await;
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
