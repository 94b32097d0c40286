//! The listener of a node that has registered an address: the domain's gateways dial it.
//!
//! It speaks plain HTTP, behind whatever ends TLS for the address that was registered, and answers one path: the one
//! that opens tunnels, for who proves to be the domain's gateway. In the tunnel the node answers as it always does.
//!
//! Invariant: a proof counts once, for this node, and for a minute.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy_primitives::B256;
use gaia_registry::{Heartbeat, Signed};
use gaia_tunnel::{Body, Link, PATH, backoff, read_proof, switching};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::forward::refusal;
use crate::session::{Shared, chain};

/// Connections of strangers at a time, until they have a tunnel.
const CONNECTIONS_MAX: usize = 64;

/// Tunnels at a time: more than a domain lists gateways, for those that were not yet seen to be dead.
const TUNNELS_MAX: usize = 2 * gaia_tunnel::messages::GATEWAYS_MAX;

/// How long a request's head may take, and the upgrade after it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// So far a gateway's clock may be off, and so long its proof is remembered, in seconds.
const SKEW_SECONDS_MAX: u64 = 60;

/// Proofs that are remembered.
const PROOFS_MAX: usize = 1_024;

/// The pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Proofs that were used: time and sequence.
#[derive(Debug, Default)]
struct Used(Mutex<BTreeSet<(u64, u64)>>);

/// What all connections share.
struct Listener {
    shared: Shared,
    used: Used,
    tunnels: Arc<Semaphore>,
}

/// Why a gateway gets no tunnel.
#[derive(Debug, thiserror::Error)]
enum NoTunnel {
    #[error(transparent)]
    Proof(#[from] gaia_tunnel::ProofError),
    #[error("the proof does not count")]
    Statement(#[from] gaia_registry::StatementRefusal),
    #[error("the proof is not by the domain's gateway key")]
    AnotherKey,
    #[error("the proof is for another node")]
    AnotherNode,
    #[error("the proof says it is {theirs}, here it is {ours}")]
    Time { theirs: u64, ours: u64 },
    #[error("the proof was used before")]
    Replayed,
    #[error("the node has all the tunnels that it takes")]
    Full,
}

/// Listens on `address` until it is dropped.
pub(crate) async fn listen(shared: Shared, address: SocketAddr) -> Infallible {
    let listener = Arc::new(Listener {
        shared,
        used: Used::default(),
        tunnels: Arc::new(Semaphore::new(TUNNELS_MAX)),
    });
    let mut failures = 0;
    loop {
        match TcpListener::bind(address).await {
            Ok(socket) => accept(&listener, socket).await,
            Err(error) => {
                tracing::warn!(%error, "the node cannot listen on {address} for its domain");
                failures += 1;
                sleep(backoff::wait(failures, 0)).await;
            }
        }
    }
}

async fn accept(listener: &Arc<Listener>, socket: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match socket.accept().await {
            Ok((stream, _)) => {
                let listener = Arc::clone(listener);
                connections.spawn(async move {
                    serve(listener, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a gateway's connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(listener: Arc<Listener>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = Arc::clone(&listener).answer(request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.with_upgrades().await {
        tracing::debug!(%error, "a gateway's connection ended");
    }
}

impl Listener {
    fn answer(self: Arc<Self>, mut request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() != PATH {
            return refusal(
                StatusCode::NOT_FOUND,
                "a node's listener opens tunnels only",
            );
        }
        let place = match self.check(&request) {
            Ok(place) => place,
            Err(reason) => return refusal(StatusCode::FORBIDDEN, &chain(&reason)),
        };
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(Ok(upgraded)) = timeout(HEAD_TIMEOUT, upgrade).await {
                self.shared.serve(Link::over(upgraded)).await;
            }
            drop(place);
        });
        switching::<Vec<u8>>().map(|_| Empty::new().map_err(|never| match never {}).boxed())
    }

    fn check(
        &self,
        request: &Request<Incoming>,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, NoTunnel> {
        let proof = read_proof(request.headers())?;
        self.shared.place.check(&proof)?;
        let gateway = self.shared.facts.borrow().gateway_key;
        let node = B256::left_padding_from(self.shared.key.address().as_slice());
        check_proof(&proof, gateway, node, clock::now())?;
        let statement = &proof.statement;
        self.used
            .take(statement.time, statement.sequence, clock::now())?;
        Arc::clone(&self.tunnels)
            .try_acquire_owned()
            .map_err(|_| NoTunnel::Full)
    }
}

/// Whether a proof whose signature is right is the gateway's, for this node, of now.
fn check_proof(
    proof: &Signed<Heartbeat>,
    gateway: alloy_primitives::Address,
    node: B256,
    now: u64,
) -> Result<(), NoTunnel> {
    let said = &proof.statement;
    if said.node != gateway {
        return Err(NoTunnel::AnotherKey);
    }
    if said.state_hash != node {
        return Err(NoTunnel::AnotherNode);
    }
    if said.time.abs_diff(now) > SKEW_SECONDS_MAX {
        return Err(NoTunnel::Time {
            theirs: said.time,
            ours: now,
        });
    }
    Ok(())
}

impl Used {
    fn take(&self, time: u64, sequence: u64, now: u64) -> Result<(), NoTunnel> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is older is refused for its time.
        used.retain(|(time, _)| time.saturating_add(SKEW_SECONDS_MAX) >= now);
        if used.len() >= PROOFS_MAX {
            return Err(NoTunnel::Full);
        }
        match used.insert((time, sequence)) {
            true => Ok(()),
            false => Err(NoTunnel::Replayed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_counts_once_and_there_is_a_most_of_them() {
        let used = Used::default();
        used.take(100, 1, 100).unwrap();
        assert!(matches!(used.take(100, 1, 100), Err(NoTunnel::Replayed)));
        for sequence in 2..=PROOFS_MAX as u64 {
            used.take(100, sequence, 100).unwrap();
        }
        assert!(matches!(used.take(101, 1, 101), Err(NoTunnel::Full)));
        used.take(161, 1, 161).unwrap();
    }
}
