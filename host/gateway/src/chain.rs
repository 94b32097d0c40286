//! The chain, followed and settled beside the gateway, and what earners ask of it.
//!
//! | Path | What |
//! |---|---|
//! | `GET /gaia/v1/chain` | up to which block deposits are credited, and how far settlement is |
//! | `GET /gaia/v1/shares/ADDRESS` | what an address has earned, with the proofs that a claim takes |
//!
//! Both are public: what they say follows from the chain. Several gateways may do this at once.
//!
//! Invariant: a gateway whose chain is out of reach serves on, or begins to; only new deposits wait.

mod link;
mod proposals;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use gaia_chain::registry::SignedJoin;
use gaia_chain::shares::{self, Trees};
use gaia_chain::{Domain, SendError, Settled, Step, Wallet, contracts, watch};
use gaia_ledger::ShareTree;
use gaia_ledger_store::{Ledger, ReadError, RecordError};
use gaia_openai::ApiError;
use gaia_registry::JoinRequest;
use gaia_tunnel::backoff;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;

pub use self::link::{ConnectError, Target};

use self::link::Link;
use self::proposals::Proposals;
use crate::endpoint::Endpoint;
use crate::notices::Notices;
use crate::reply::{self, Reply};

/// Where a gateway says up to which block it knows the chain. To be mounted.
pub const CHAIN_PATH: &str = "/gaia/v1/chain";

/// Below which shares are asked for. To be mounted.
pub const SHARES_PATH: &str = "/gaia/v1/shares";

/// Questions about shares at a time: each asks the chain.
pub const QUESTIONS_MAX: usize = 16;

/// Records of joins that the chain is to be told of. Their id is the node's address.
const JOINS: &str = "chain-join";

/// Joins that the chain is told of at a time.
const JOINS_MAX: u64 = 64;

/// What notices are about.
const ABOUT: &str = "chain";
const ABOUT_SETTLING: &str = "settlement";
const ABOUT_ADMISSION: &str = "admission";

/// Nodes that the chain did not admit and that are remembered, for the operator.
const UNADMITTED_MAX: usize = 64;

/// How long a question waits for its turn.
const TURN_WAIT: Duration = Duration::from_secs(2);

/// What is needed to follow a chain.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// Where the chain is, and what is done there.
    pub target: Target,
    /// The domain's books.
    pub ledger: Ledger,
    /// Pause between two looks at the chain.
    pub poll: Duration,
    /// Pause between two settlements. So late an epoch may be opened.
    pub settle_interval: Duration,
    /// What is wrong, for the operator.
    pub notices: Notices,
}

/// One domain's chain.
#[derive(Debug)]
pub struct Chain {
    config: ChainConfig,
    link: OnceLock<Link>,
    seen: Mutex<Seen>,
    questions: Semaphore,
}

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    step: Option<Step>,
    is_followed: bool,
    settled: Option<Settled>,
    proposals: Proposals,
    /// Why the chain does not know a node that has joined.
    unadmitted: BTreeMap<Address, String>,
    tree: Option<Arc<ShareTree>>,
}

impl Chain {
    /// Nothing is asked before [`Chain::connect`] or [`Chain::run`].
    #[must_use]
    pub fn new(config: ChainConfig) -> Arc<Self> {
        Arc::new(Self {
            config,
            link: OnceLock::new(),
            seen: Mutex::default(),
            questions: Semaphore::new(QUESTIONS_MAX),
        })
    }

    /// Asks the chain once who it is. Needless where [`Chain::run`] may find it.
    ///
    /// # Errors
    /// When it is out of reach, or not what this gateway was told.
    pub async fn connect(&self) -> Result<(), ConnectError> {
        let found = Link::find(&self.config.target, &self.config.ledger).await;
        match found {
            Ok(link) => {
                // Who was quicker has found the same.
                let _ = self.link.set(link);
                self.config.notices.clear(ABOUT);
                Ok(())
            }
            Err(error) => {
                let reason = watch::with_causes(&error);
                // Anything else ends the start.
                let text = match error.is_passing() {
                    true => format!("{reason}; what was deposited before is served on"),
                    false => reason,
                };
                if self.config.notices.set(ABOUT, text.clone()) {
                    tracing::warn!("{text}");
                }
                Err(error)
            }
        }
    }

    /// Follows, and settles where it is to, until it is dropped. Each step may be broken off.
    pub async fn run(self: Arc<Self>) {
        let link = self.connected().await;
        let follow = link.watcher.run(self.config.poll, |step| {
            let notices = &self.config.notices;
            let _said = match step {
                Ok(_) => notices.clear(ABOUT),
                // The watcher has logged it.
                Err(error) => notices.set(ABOUT, watch::with_causes(error)),
            };
            let mut seen = self.seen();
            seen.is_followed = step.is_ok();
            seen.step = step.as_ref().ok().copied().or(seen.step);
        });
        tokio::join!(follow, self.settle(link));
    }

    /// The chain, once it answers.
    async fn connected(&self) -> &Link {
        let mut failures = 0_u32;
        loop {
            if let Some(link) = self.link.get() {
                return link;
            }
            if self.connect().await.is_err() {
                failures = failures.saturating_add(1);
                let chance = getrandom::u64().unwrap_or_default();
                tokio::time::sleep(backoff::wait(failures, chance)).await;
            }
        }
    }

    async fn settle(&self, link: &Link) {
        let Some((settler, wallet)) = &link.settling else {
            return;
        };
        loop {
            if let Err(error) = self.admit(&link.domain, wallet).await {
                tracing::warn!(error = watch::with_causes(&error), "joins cannot be read");
            }
            match settler.settle().await {
                Ok(settled) => {
                    let mut seen = self.seen();
                    if seen.settled.as_ref() != Some(&settled) {
                        tracing::info!(
                            epoch = settled.epoch,
                            proposed = settled.proposed.len(),
                            answered = settled.answered.len() + settled.shown.len(),
                            finalised = settled.finalised.len(),
                            waiting = settled.waiting.join("; "),
                            "settled what was due"
                        );
                    }
                    seen.proposals.note(&settled);
                    seen.settled = Some(settled);
                    self.config.notices.clear(ABOUT_SETTLING);
                }
                Err(error) => {
                    let error = watch::with_causes(&error);
                    tracing::error!(error, "settlement stands still");
                    self.config.notices.set(ABOUT_SETTLING, error);
                }
            }
            tokio::time::sleep(self.config.settle_interval).await;
        }
    }

    /// Admits on the chain who has joined: only then a receipt that the node has signed answers a challenge.
    async fn admit(&self, domain: &Domain, wallet: &Wallet) -> Result<(), ReadError> {
        let ledger = &self.config.ledger;
        for record in ledger.records(JOINS, "", JOINS_MAX).await? {
            let request = serde_json::from_str::<JoinRequest>(&record.value).ok();
            let is_done = match request {
                Some(request) => {
                    let node = request.join.statement.node;
                    let admitted = admit_one(domain, wallet, request).await;
                    let is_done = !matches!(admitted, Admitted::Later(_));
                    self.note(node, admitted);
                    is_done
                }
                None => true,
            };
            if is_done {
                ledger.remove_record(JOINS, &record.id).await?;
            }
        }
        Ok(())
    }

    /// Tells the operator of nodes whose receipts would be worth nothing to their users.
    fn note(&self, node: Address, admitted: Admitted) {
        let mut seen = self.seen();
        let why = match admitted {
            Admitted::Yes => None,
            Admitted::Later(why) => Some(why),
            Admitted::No(why) => Some(format!("{why}; its owner joins again: gaia join")),
        };
        match why {
            None => drop(seen.unadmitted.remove(&node)),
            Some(_) if seen.unadmitted.len() >= UNADMITTED_MAX => {}
            Some(why) => drop(seen.unadmitted.insert(node, why)),
        }
        let notices = &self.config.notices;
        let _said = match seen.unadmitted.first_key_value() {
            None => notices.clear(ABOUT_ADMISSION),
            Some((node, why)) => {
                let others = match seen.unadmitted.len() - 1 {
                    0 => String::new(),
                    more => format!(" ({more} others, too)"),
                };
                let text = format!(
                    "the chain does not know the node {node}{others}, so receipts that it signs answer no challenge: {why}"
                );
                notices.set(ABOUT_ADMISSION, text)
            }
        };
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, request: &Request<Incoming>) -> Result<Response<Reply>, ApiError> {
        let (method, path) = (request.method(), request.uri().path());
        if method != Method::GET {
            return Err(ApiError::method_not_allowed(method.as_str(), path));
        }
        if path == CHAIN_PATH {
            return Ok(self.show());
        }
        let rest = path
            .strip_prefix(SHARES_PATH)
            .and_then(|rest| rest.strip_prefix('/'));
        match rest {
            Some(account) => self.shares(account).await,
            None => Err(ApiError::not_found(method.as_str(), path)),
        }
    }

    fn show(&self) -> Response<Reply> {
        let seen = self.seen();
        let shown = json!({
            "chainId": self.config.target.place.chain_id,
            "escrow": self.link.get().map(|link| link.domain.escrow),
            "confirmations": self.config.target.confirmations,
            "isFollowed": seen.is_followed,
            "creditedThrough": seen.step.map(|step| step.cursor.block),
            "head": seen.step.map(|step| step.head),
            "epoch": seen.settled.as_ref().map(|settled| settled.epoch),
            "proposals": seen.proposals.told(),
            "waiting": seen.settled.as_ref().map(|settled| &settled.waiting),
        });
        reply::json(StatusCode::OK, &shown)
    }

    async fn shares(&self, account: &str) -> Result<Response<Reply>, ApiError> {
        let account: Address = account.parse().map_err(|_| {
            ApiError::invalid_value("address", "An address is 0x and 40 digits in hex.")
        })?;
        let turn = tokio::time::timeout(TURN_WAIT, self.questions.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(ApiError::too_many_requests(2));
        };
        let link = self.link.get().ok_or_else(out_of_reach)?;
        let root = shares::root(&link.domain).await.map_err(unavailable)?;
        let shares = match root.is_zero() {
            true => Vec::new(),
            false => {
                let tree = self.tree(root).await?;
                let found = shares::proven_in(&link.domain, &tree, account).await;
                found.map_err(unavailable)?
            }
        };
        let shown = json!({"account": account, "root": root, "shares": shares});
        Ok(reply::json(StatusCode::OK, &shown))
    }

    async fn tree(&self, root: B256) -> Result<Arc<ShareTree>, ApiError> {
        let known = self.seen().tree.clone().filter(|tree| tree.root() == root);
        if let Some(tree) = known {
            return Ok(tree);
        }
        let tree = Trees::new(&self.config.ledger).tree(root).await;
        let tree = Arc::new(tree.map_err(unavailable)?);
        self.seen().tree = Some(Arc::clone(&tree));
        Ok(tree)
    }
}

/// What became of a join on the chain.
enum Admitted {
    Yes,
    /// It is tried again.
    Later(String),
    /// It never will be.
    No(String),
}

async fn admit_one(domain: &Domain, wallet: &Wallet, request: JoinRequest) -> Admitted {
    let node = request.join.statement.node;
    match gaia_chain::registry::admit(wallet, domain, on_chain(request)).await {
        Ok(_) => {
            tracing::info!(%node, "the chain knows the node");
            Admitted::Yes
        }
        Err(SendError::Refused(refusal)) => {
            tracing::warn!(%node, %refusal, "the chain does not admit the node");
            Admitted::No(refusal.to_string())
        }
        Err(error) => {
            let error = watch::with_causes(&error);
            tracing::warn!(%node, error, "the chain is told later");
            Admitted::Later(error)
        }
    }
}

/// Notes that the chain is to be told of a join. A gateway that settles does so.
///
/// # Errors
/// When it cannot be noted.
pub async fn note_join(ledger: &Ledger, request: &JoinRequest) -> Result<(), RecordError> {
    let id = format!("{:#x}", request.join.statement.node);
    let value = serde_json::to_string(request).unwrap_or_default();
    ledger.put_record(JOINS, &id, &value, None).await?;
    Ok(())
}

/// A join as the contract takes it.
fn on_chain(request: JoinRequest) -> SignedJoin {
    let said = request.join.statement;
    let consent = request.consent.map(|signed| {
        let said = signed.statement;
        let consent = contracts::OperatorConsent {
            domainId: said.domain_id,
            node: said.node,
            operator: said.operator,
            nonce: said.nonce,
            expiry: said.expiry,
        };
        (consent, signed.signature.to_bytes().to_vec().into())
    });
    SignedJoin {
        join: contracts::NodeJoin {
            domainId: said.domain_id,
            node: said.node,
            operator: said.operator,
            configHash: said.config_hash,
            endpoint: said.endpoint,
            nonce: said.nonce,
            expiry: said.expiry,
        },
        signature: request.join.signature.to_bytes().to_vec().into(),
        consent,
    }
}

impl Endpoint for Chain {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Reply>> + Send + '_>> {
        Box::pin(async move {
            let answered = self.handle(&request).await;
            answered.unwrap_or_else(|error| reply::error(&error))
        })
    }
}

fn out_of_reach() -> ApiError {
    ApiError::unavailable("The domain's chain is out of reach just now.", 5)
}

fn unavailable(error: impl std::error::Error) -> ApiError {
    let reason = watch::with_causes(&error);
    tracing::warn!(error = reason, "shares cannot be told");
    ApiError::unavailable("The domain's shares cannot be read just now.", 5)
}
