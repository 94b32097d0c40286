//! Nodes that have registered an address are dialled, where they do not dial themselves; and what time brings.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync as _;
use gaia_outbound::{AddressClass, Origin};
use gaia_registry::{Heartbeat, Signed, Statement as _, Status};
use gaia_statements::Signature;
use gaia_tunnel::{Channel, backoff};
use tokio::time::{Instant, sleep};

use super::{Members, http};

/// How often it is looked what time has changed.
const TICK: Duration = Duration::from_secs(1);

/// How often it is looked what other gateways have changed.
const SYNC: Duration = Duration::from_secs(5);

/// How often it is looked whom to dial.
const DIAL_LOOK: Duration = Duration::from_secs(2);

/// Nodes that are being dialled at a time.
pub const DIALLED_MAX: usize = 64;

/// When a node is dialled next.
#[derive(Clone, Copy)]
struct Next {
    at: Instant,
    failures: u32,
}

impl Members {
    pub(crate) async fn keep_time(&self) -> Infallible {
        let mut synced = Instant::now();
        loop {
            sleep(TICK).await;
            for change in self.0.store.tick(http::now()).await {
                self.apply(Some(change)).await;
            }
            let is_due = synced.elapsed() >= SYNC;
            let mut is_new = self.0.policies.look().await;
            if is_due {
                synced = Instant::now();
                self.sync().await;
                is_new |= self.0.policies.sync().await;
            }
            if is_new {
                self.0.policy_changed.notify_one();
            }
            if is_new || is_due {
                self.judge().await;
            }
        }
    }

    /// Takes over what other gateways know of members.
    async fn sync(&self) {
        match self.0.store.sync().await {
            Ok(changes) => {
                for change in changes {
                    self.apply(Some(change)).await;
                }
            }
            Err(error) => tracing::warn!("members: {}", http::chain(&error)),
        }
    }

    pub(crate) async fn keep_dialling(&self) -> Infallible {
        let mut next: BTreeMap<Address, Next> = BTreeMap::new();
        let dialled_max = self.0.config.limits.dialled_max;
        let (ended, mut endings) = tokio::sync::mpsc::channel(dialled_max.max(1));
        let mut running = std::collections::BTreeSet::new();
        loop {
            sleep(DIAL_LOOK).await;
            while let Ok((node, was_good)) = endings.try_recv() {
                running.remove(&node);
                let failures = match (was_good, next.get(&node)) {
                    (false, Some(before)) => before.failures.saturating_add(1),
                    _ => 1,
                };
                let wait = backoff::wait(failures, getrandom::u64().unwrap_or_default());
                let at = Instant::now() + wait;
                next.insert(node, Next { at, failures });
            }
            let wanted = self.to_dial().await;
            next.retain(|node, _| wanted.contains_key(node));
            for (node, endpoint) in wanted {
                let is_due = next.get(&node).is_none_or(|next| next.at <= Instant::now());
                if !is_due || running.len() >= dialled_max || !running.insert(node) {
                    continue;
                }
                let (members, ended) = (self.clone(), ended.clone());
                tokio::spawn(async move {
                    let was_good = members.dial(node, &endpoint).await;
                    // Nobody waits where the gateway ends.
                    let _ = ended.send((node, was_good)).await;
                });
            }
        }
    }

    /// Members with an address and without a tunnel.
    async fn to_dial(&self) -> BTreeMap<Address, String> {
        let connected: std::collections::BTreeSet<Address> = self.live().keys().copied().collect();
        let wanted = self.0.store.all(|member| {
            let stays = !matches!(member.status, Status::Left { .. });
            let wants = stays && !member.endpoint.is_empty() && !connected.contains(&member.node);
            wants.then(|| (member.node, member.endpoint.clone()))
        });
        wanted.await.into_iter().collect()
    }

    /// Dials a node and serves the tunnel. Whether it held for a while.
    async fn dial(&self, node: Address, endpoint: &str) -> bool {
        let began = Instant::now();
        match self.dialled(node, endpoint).await {
            Ok(channel) => self.serve_tunnel(node, channel).await,
            Err(reason) => tracing::info!("the node {node} cannot be dialled: {reason}"),
        }
        began.elapsed() >= backoff::GOOD_AFTER
    }

    async fn dialled(&self, node: Address, endpoint: &str) -> Result<Channel, String> {
        let origin: Origin = endpoint
            .parse()
            .map_err(|error| format!("its address: {error}"))?;
        let proof = self.gateway_proof(node)?;
        let dials_private = self.0.config.dials_private;
        let may = |address: SocketAddr| {
            dials_private || AddressClass::of(address.ip()) == AddressClass::Public
        };
        let channel = Channel::dial(&origin, &self.0.config.trust, may, &proof).await;
        channel.map_err(|error| http::chain(&error))
    }

    /// What a node sees of who dials it: a heartbeat of the gateway's key for this node.
    fn gateway_proof(&self, node: Address) -> Result<Signed<Heartbeat>, String> {
        let config = &self.0.config;
        let statement = Heartbeat {
            domain_id: config.place.domain_id,
            node: config.key.address(),
            sequence: getrandom::u64().map_err(|error| error.to_string())?,
            time: http::now(),
            state_hash: B256::left_padding_from(node.as_slice()),
        };
        let digest = statement.digest(&config.place.signing);
        let signed = config.key.signer().sign_hash_sync(&digest);
        let signed = signed.map_err(|error| error.to_string())?;
        let signature = Signature::from_bytes(&signed.as_bytes());
        Ok(Signed {
            domain: config.place.signing,
            statement,
            signature: signature.map_err(|error| error.to_string())?,
        })
    }
}
