//! The agent of a running node: begins with the first domain that is joined, ends with the node.

use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::B256;
use gaia_member::{Agent, NodeNow};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use super::front::Front;
use super::node::NodePlan;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;
use crate::membership;
use crate::membership::knowledge::Knowledge;
use crate::supervisor::state::{ModelInUse, Service};

/// How often it is looked whether a first domain was joined.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait where the key cannot be opened, or the model not be read.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The node's part in its domains.
#[derive(Debug)]
pub struct Membership {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

/// All that the agent is told.
struct Parts {
    home: Home,
    config: Config,
    environment: Environment,
    chat: ModelInUse,
    others: [Option<ModelInUse>; 2],
    /// Where the ingress and its metrics are.
    addresses: [Option<SocketAddr>; 2],
    worker: watch::Receiver<Option<gaia_ingress::Worker>>,
    knowledge: Knowledge,
}

impl Membership {
    /// Looks for joined domains from now on.
    pub fn start(plan: &NodePlan<'_>, front: &Front, store: Option<&Service>) -> Self {
        let models = &plan.prepared.models;
        let parts = Parts {
            home: plan.home.clone(),
            config: plan.config.clone(),
            environment: plan.environment.clone(),
            chat: models.chat.clone(),
            others: [models.embedding.clone(), models.reranking.clone()],
            addresses: [front.url(), front.admin_url()].map(plain_address),
            worker: front.watch_worker(),
            knowledge: Knowledge::of(plan.config, store),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(run(parts, stopped));
        Self {
            stop: Some(stop),
            task,
        }
    }

    /// Tells the domains that the node goes, lets what they asked for finish, and ends.
    pub async fn close(mut self) {
        self.stop.take();
        if let Err(error) = (&mut self.task).await {
            warn!("the node's part in its domains ended badly: {error}");
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address in an `http://` URL; what is encrypted is not spoken on loopback.
fn plain_address(url: &str) -> Option<SocketAddr> {
    url.strip_prefix("http://")?.parse().ok()
}

async fn run(parts: Parts, mut stopped: oneshot::Receiver<()>) {
    let joins = membership::joins(&parts.home);
    let begun = async {
        loop {
            if joins.list().is_ok_and(|joined| !joined.is_empty()) {
                match parts.open().await {
                    Ok(opened) => return opened,
                    Err(error) => {
                        warn!("the node cannot serve its domains: {error:#}");
                        tokio::time::sleep(RETRY_INTERVAL).await;
                    }
                }
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    };
    let (key, config) = tokio::select! {
        opened = begun => opened,
        _ = &mut stopped => return,
    };
    let (tell, node) = watch::channel(None);
    let agent = Agent::run(
        gaia_member::Config {
            key: key.signer().clone(),
            joins,
            standings: parts.home.standings(),
            node,
        },
        async {
            // A dropped sender means the same as a message.
            let _either_way = stopped.await;
        },
    );
    tokio::select! {
        () = agent => {}
        () = parts.follow(config, &tell) => {}
    }
}

impl Parts {
    /// The key, and what the node serves with: both may take seconds.
    async fn open(&self) -> anyhow::Result<(gaia_keystore::NodeKey, gaia_registry::NodeConfig)> {
        let (home, environment, chat, knowledge) = (
            self.home.clone(),
            self.environment.clone(),
            self.chat.clone(),
            self.knowledge.clone(),
        );
        let opening = tokio::task::spawn_blocking(move || {
            let key = membership::open_key(&home, &environment, None, false)?;
            let digest = match knowledge.kept(&home) {
                Some(digest) => digest,
                // What is just being changed counts once it is whole.
                None => knowledge.digest()?.unwrap_or_default(),
            };
            Ok((key, membership::node_config(&home, &chat, digest)?))
        });
        opening.await?
    }

    /// Tells the agent of each worker, and of what the node answers from, until there will be no worker any more.
    async fn follow(
        &self,
        mut config: gaia_registry::NodeConfig,
        tell: &watch::Sender<Option<NodeNow>>,
    ) {
        let mut worker = self.worker.clone();
        loop {
            let now = worker.borrow_and_update().clone();
            tell.send_replace(now.map(|worker| self.node(&config, &worker)));
            let knowledge = self.next_knowledge(config.knowledge, &mut worker).await;
            if let Some(knowledge) = knowledge {
                self.knowledge.keep(&self.home, knowledge);
                config.knowledge = knowledge;
            }
        }
    }

    /// Another digest than `now`; none where it is the worker that changed first.
    async fn next_knowledge(
        &self,
        now: B256,
        worker: &mut watch::Receiver<Option<gaia_ingress::Worker>>,
    ) -> Option<B256> {
        tokio::select! {
            changed = worker.changed() => match changed {
                Ok(()) => None,
                // The node ends; the agent is told so otherwise.
                Err(_) => std::future::pending().await,
            },
            knowledge = self.knowledge.other_than(now) => Some(knowledge),
        }
    }

    /// The way into the node: its ingress, with its own key. A node with a certificate, or with named keys (of which
    /// nobody has the text), is asked past them, at its worker, as `gaia ask` does.
    fn node(&self, config: &gaia_registry::NodeConfig, worker: &gaia_ingress::Worker) -> NodeNow {
        let own_key = self.config.api_keys.first();
        let has_named_keys = self.home.api_keys().exists();
        let [ingress, metrics] = self.addresses;
        let (address, key) = match ingress {
            Some(address) if own_key.is_some() || !has_named_keys => {
                let key = own_key.map(|key| key.reveal().to_owned());
                (address, key.unwrap_or_default())
            }
            _ => (worker.address, worker.key.reveal().to_owned()),
        };
        let others = [self.others[0].as_ref(), self.others[1].as_ref()];
        NodeNow {
            address,
            key: gaia_member::NodeKey::new(key),
            metrics,
            config: config.clone(),
            offer: membership::offer(&self.config, config.knowledge, &self.chat, others),
        }
    }
}
