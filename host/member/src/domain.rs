//! One domain that was joined: what it says of itself, and a tunnel to each of its gateways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use gaia_outbound::Origin;
use gaia_tunnel::messages::{DomainFacts, GATEWAYS_MAX};
use gaia_tunnel::{Trust, backoff};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::book::Book;
use crate::claims::Claims;
use crate::joined::{Joined, Joins};
use crate::joining::{self, Wish};
use crate::load::Load;
use crate::node::NodeNow;
use crate::public;
use crate::receipts::Receipts;
use crate::session::{self, Shared, chain};
use crate::standing::{Board, DomainStanding};

/// How often a domain is asked for its gateways.
const FACTS_INTERVAL: Duration = Duration::from_secs(60);

/// How long the tunnels of a domain may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(35);

/// What all domains of a node have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) key: PrivateKeySigner,
    pub(crate) node: watch::Receiver<Option<NodeNow>>,
    pub(crate) load: Arc<Load>,
    pub(crate) joins: Joins,
    pub(crate) board: Arc<Board>,
}

/// A domain being served.
pub(crate) struct Domain {
    common: Common,
    joined: Joined,
    /// What the last join was signed for.
    signed: Mutex<B256>,
    url: Origin,
    trust: Trust,
    leaving: watch::Receiver<bool>,
}

/// Ends with what it is kept in.
struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves a domain until `leaving` says so. What stands against it is told on the board, and tried again.
pub(crate) async fn serve(common: Common, joined: Joined, leaving: watch::Receiver<bool>) {
    let id = joined.place.domain_id;
    let board = Arc::clone(&common.board);
    board.change(|standings| {
        let standing = DomainStanding {
            name: joined.name.clone(),
            url: joined.url.clone(),
            operator: joined.operator,
            reason: None,
            gateways: BTreeMap::new(),
        };
        standings.0.insert(id, standing);
    });
    match Domain::new(common, joined, leaving) {
        Ok(domain) => domain.run().await,
        Err(reason) => {
            tracing::warn!("the domain {id} cannot be served: {reason}");
            tell(&board, id, Some(reason));
        }
    }
}

fn tell(board: &Board, id: B256, reason: Option<String>) {
    board.change(|standings| {
        if let Some(domain) = standings.0.get_mut(&id) {
            domain.reason = reason;
        }
    });
}

impl Domain {
    fn new(common: Common, joined: Joined, leaving: watch::Receiver<bool>) -> Result<Self, String> {
        let url = joined.url.parse();
        let url = url.map_err(|error| format!("its URL `{}`: {error}", joined.url))?;
        let trust = match &joined.authorities {
            None => Trust::public(),
            Some(path) => Trust::with_authorities(path).map_err(|error| chain(&error))?,
        };
        Ok(Self {
            signed: Mutex::new(joined.config_hash),
            common,
            joined,
            url,
            trust,
            leaving,
        })
    }

    async fn run(self) {
        let mut leaving = self.leaving.clone();
        let serving = async {
            let facts = self.first_facts().await;
            let (told, watched) = watch::channel(facts);
            match self.shared(watched) {
                Ok(shared) => self.keep_tunnels(shared, told).await,
                Err(reason) => {
                    tracing::warn!("the domain {} cannot be served: {reason}", self.url);
                    self.tell(Some(reason));
                    std::future::pending().await
                }
            }
        };
        // The tunnels see for themselves that the node leaves, and are waited for.
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            () = &mut serving => return,
            () = session::told(&mut leaving) => {}
        }
        let _ = timeout(END_TIMEOUT, serving).await;
    }

    fn tell(&self, reason: Option<String>) {
        tell(&self.common.board, self.joined.place.domain_id, reason);
    }

    fn shared(&self, facts: watch::Receiver<DomainFacts>) -> Result<Shared, String> {
        let common = &self.common;
        let book = Book::open(&common.joins.book_of(self.joined.place.domain_id));
        let claims = Arc::<Claims>::default();
        let receipts = Receipts {
            key: common.key.clone(),
            operator: self.joined.operator,
            claims: Arc::clone(&claims),
            book: Mutex::new(book.map_err(|error| chain(&error))?),
        };
        Ok(Shared {
            key: common.key.clone(),
            place: self.joined.place,
            trust: self.trust.clone(),
            facts,
            node: common.node.clone(),
            load: Arc::clone(&common.load),
            claims,
            receipts: Arc::new(receipts),
            board: Arc::clone(&common.board),
            leaving: self.leaving.clone(),
            unknown: Arc::new(Notify::new()),
        })
    }

    /// What the domain says of itself, asked until it does. Another domain under its URL is not served.
    async fn first_facts(&self) -> DomainFacts {
        let mut failures = 0;
        loop {
            match self.facts().await {
                Ok(facts) => {
                    self.tell(None);
                    return facts;
                }
                Err(reason) => {
                    tracing::info!("{} says nothing of its domain: {reason}", self.url);
                    self.tell(Some(reason));
                }
            }
            failures += 1;
            let chance = getrandom::u64().unwrap_or_default();
            sleep(backoff::wait(failures, chance)).await;
        }
    }

    async fn facts(&self) -> Result<DomainFacts, String> {
        let facts = joining::facts(&self.url, &self.trust).await;
        let facts = facts.map_err(|error| chain(&error))?;
        match facts.place() == self.joined.place {
            true => Ok(facts),
            false => Err(format!(
                "it is the domain {} now, {} was joined: leave and join again if that is right",
                facts.domain_id, self.joined.place.domain_id
            )),
        }
    }

    /// A session for each gateway that is listed, as long as it is.
    async fn keep_tunnels(&self, shared: Shared, told: watch::Sender<DomainFacts>) {
        let mut sessions: BTreeMap<String, JoinHandle<()>> = BTreeMap::new();
        let mut leaving = self.leaving.clone();
        let unknown = Arc::clone(&shared.unknown);
        let mut node = shared.node.clone();
        // While it starts, nobody knows what it will serve with.
        let _it_runs = node.wait_for(Option::is_some).await.is_ok();
        self.renew().await;
        let listening = self.joined.listen.map(|address| {
            let listening = public::listen(shared.clone(), address);
            Listening(tokio::spawn(async move {
                listening.await;
            }))
        });
        while !*leaving.borrow() {
            // Who listens is dialled.
            let listed = match listening {
                Some(_) => BTreeMap::new(),
                None => self.gateways(&told.borrow()),
            };
            sessions.retain(|url, session| {
                let stays = listed.contains_key(url) && !session.is_finished();
                if !stays {
                    session.abort();
                }
                stays
            });
            for (url, origin) in listed {
                let begin = || tokio::spawn(session::keep(shared.clone(), origin));
                sessions.entry(url).or_insert_with(begin);
            }
            tokio::select! {
                () = sleep(FACTS_INTERVAL) => {}
                () = unknown.notified() => self.rejoin().await,
                Ok(()) = node.changed() => {}
                () = session::told(&mut leaving) => break,
            }
            self.renew().await;
            match self.facts().await {
                Ok(facts) => drop(told.send_replace(facts)),
                Err(reason) => tracing::debug!("the domain's gateways stay as known: {reason}"),
            }
        }
        for session in sessions.into_values() {
            // One that panicked has ended, too.
            let _ = session.await;
        }
    }

    /// The gateways to keep a tunnel to; the one that was joined where none is listed.
    fn gateways(&self, facts: &DomainFacts) -> BTreeMap<String, Origin> {
        let listed = facts.gateways.iter().take(GATEWAYS_MAX);
        let mut origins: BTreeMap<String, Origin> = listed
            .filter_map(|url| url.parse::<Origin>().ok())
            .map(|origin| (origin.to_string(), origin))
            .collect();
        if origins.is_empty() {
            origins.insert(self.url.to_string(), self.url.clone());
        }
        origins
    }

    /// Joins again where the node serves with something else than what the join was signed for.
    async fn renew(&self) {
        let node = self.common.node.borrow().clone();
        let Some(now) = node.map(|node| node.config.hash()) else {
            return;
        };
        if now == *self.signed() {
            return;
        }
        match self.noted().await == Some(now) {
            // The node's owner was quicker.
            true => *self.signed() = now,
            false => self.rejoin().await,
        }
    }

    /// What the last join was signed for, as the list of joined domains has it.
    async fn noted(&self) -> Option<B256> {
        let (joins, id) = (self.common.joins.clone(), self.joined.place.domain_id);
        let listed = tokio::task::spawn_blocking(move || joins.list()).await;
        let listed = listed.ok()?.ok()?;
        let joined = listed
            .into_iter()
            .find(|joined| joined.place.domain_id == id);
        joined.map(|joined| joined.config_hash)
    }

    fn signed(&self) -> std::sync::MutexGuard<'_, B256> {
        self.signed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the node's own word is needed where it earns for itself; another operator's consent is good once.
    async fn rejoin(&self) {
        let key = &self.common.key;
        if self.joined.operator != key.address() {
            let reason = "the domain asks for a new join, and that for the operator's consent: \
                          `gaia join` again with one";
            self.tell(Some(reason.to_owned()));
            return;
        }
        let Some(config) = self
            .common
            .node
            .borrow()
            .as_ref()
            .map(|node| node.config.clone())
        else {
            return;
        };
        let wish = Wish {
            operator: self.joined.operator,
            consent: None,
            endpoint: self.joined.endpoint.clone(),
        };
        let place = &self.joined.place;
        match joining::join(&self.url, &self.trust, key, place, &wish, &config).await {
            Ok(_) => {
                *self.signed() = config.hash();
                let joined = Joined {
                    config_hash: config.hash(),
                    ..self.joined.clone()
                };
                if let Err(error) = self.common.joins.put(&joined) {
                    tracing::warn!(%error, "that the node joined again is not noted");
                }
                self.tell(None);
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!("{} does not take the node in again: {reason}", self.url);
                self.tell(Some(reason));
            }
        }
    }
}
