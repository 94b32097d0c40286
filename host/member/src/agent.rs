//! The agent: looks which domains were joined, and serves them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::domain::{self, Common};
use crate::joined::{Joined, Joins};
use crate::load::Load;
use crate::node::NodeNow;
use crate::standing::Board;

/// How often the list of joined domains is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What an agent needs.
#[derive(Debug)]
pub struct Config {
    /// The node's key.
    pub key: PrivateKeySigner,
    /// Where the joined domains are.
    pub joins: Joins,
    /// Where the agent writes how it fares: [`crate::Standings`].
    pub standings: PathBuf,
    /// The node, while it runs.
    pub node: watch::Receiver<Option<NodeNow>>,
}

/// The agent of one node.
#[derive(Debug)]
pub struct Agent;

/// A domain that is served.
struct Served {
    joined: Joined,
    leave: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Serves the joined domains until `shutdown` is ready; then lets what runs finish, within limits.
    pub async fn run(config: Config, shutdown: impl Future<Output = ()>) {
        let load = Arc::<Load>::default();
        let common = Common {
            key: config.key,
            node: config.node.clone(),
            load: Arc::clone(&load),
            joins: config.joins,
            board: Arc::new(Board::new(config.standings)),
        };
        let mut served = BTreeMap::new();
        let looking = async {
            loop {
                look(&common, &mut served).await;
                sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = looking => {}
            () = load.watch(config.node) => {}
        }
        for domain in served.values() {
            domain.leave.send_replace(true);
        }
        for domain in served.into_values() {
            let _ = domain.task.await;
        }
        common.board.change(|standings| standings.0.clear());
    }
}

/// Begins to serve what is new, ends what is gone. One that only was joined again goes on.
async fn look(common: &Common, served: &mut BTreeMap<B256, Served>) {
    let joins = common.joins.clone();
    let listed = tokio::task::spawn_blocking(move || joins.list()).await;
    let listed = match listed {
        Ok(Ok(listed)) => listed,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the joined domains cannot be read");
            return;
        }
        Err(_) => return,
    };
    let listed: BTreeMap<B256, Joined> = listed
        .into_iter()
        .map(|joined| (joined.place.domain_id, joined))
        .collect();
    let gone: Vec<B256> = served
        .iter()
        .filter(|(id, domain)| {
            let now = listed.get(*id);
            now.is_none_or(|now| !is_same(now, &domain.joined)) || domain.task.is_finished()
        })
        .map(|(id, _)| *id)
        .collect();
    for id in gone {
        if let Some(domain) = served.remove(&id) {
            domain.leave.send_replace(true);
            let board = Arc::clone(&common.board);
            board.change(|standings| drop(standings.0.remove(&id)));
        }
    }
    for (id, joined) in listed {
        served.entry(id).or_insert_with(|| begin(common, joined));
    }
}

/// What the agent itself notes when it joins again makes no other domain of it.
fn is_same(now: &Joined, before: &Joined) -> bool {
    let before = Joined {
        config_hash: now.config_hash,
        ..before.clone()
    };
    *now == before
}

fn begin(common: &Common, joined: Joined) -> Served {
    let (leave, leaving) = watch::channel(false);
    let task = tokio::spawn(domain::serve(common.clone(), joined.clone(), leaving));
    Served {
        joined,
        leave,
        task,
    }
}
