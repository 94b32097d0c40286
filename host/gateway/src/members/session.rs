//! One tunnel to a node, from its proof to its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use gaia_registry::Status;
use gaia_tunnel::messages::{REPORT_PATH, ReportLine};
use gaia_tunnel::{Body, Channel};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use super::lines::{LineError, Lines};
use super::live::{Live, signed_knowledge};
use super::store::ChangeError;
use super::{Members, chat, http};

/// How long a node may take to prove who it is in a new tunnel.
const PROOF_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a node may say nothing until its tunnel is closed. The balancer leaves it out much earlier.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long the tunnel of a node that has said goodbye may stay open.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a tunnel ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("the node took too long to prove who it is")]
    Late,
    #[error("the node does not report")]
    NoReport,
    #[error("the node's first report proves nothing: it must sign the challenge")]
    Unproven,
    #[error("the node said nothing for too long")]
    Silent,
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Refused(#[from] ChangeError),
    #[error("the node has left")]
    Left,
    #[error("the tunnel is closed")]
    Closed,
}

impl Members {
    /// Serves a tunnel of somebody who says to be `node`, until it ends.
    pub(crate) async fn serve_tunnel(&self, node: Address, channel: Channel) {
        let ended = self.tunnel(node, &channel).await;
        channel.close();
        if let Err(error) = ended {
            tracing::info!(
                "the tunnel to the node {node} ended: {}",
                http::chain(&error)
            );
        }
    }

    async fn tunnel(&self, node: Address, channel: &Channel) -> Result<(), SessionError> {
        let proving = timeout(PROOF_TIME_MAX, self.prove(node, channel));
        let (mut lines, first) = proving.await.map_err(|_| SessionError::Late)??;
        let known = self.0.store.look(node, |member| {
            (member.operator, member.status, signed_knowledge(member))
        });
        let (operator, status, knowledge) = known.await.ok_or(SessionError::Unproven)?;
        let generation = self.0.opened.fetch_add(1, Ordering::Relaxed);
        self.connected(
            node,
            Live {
                generation,
                channel: channel.clone(),
                operator,
                offer: first.offer.unwrap_or_default(),
                knowledge,
                status,
                is_draining: first.draining,
            },
        );
        // It may have changed while nobody could be told.
        let now = self.status(node).await;
        self.brings(node, generation, |live| live.status = now.unwrap_or(status));
        let ended = tokio::select! {
            ended = self.listen(node, generation, &mut lines) => ended,
            () = self.keep_canaries(node, generation) => Ok(()),
            () = channel.closed() => Err(SessionError::Closed),
        };
        self.disconnected(node, generation);
        ended
    }

    /// Asks for a signature under a number that nobody could know before: only who has the key can give it.
    async fn prove(
        &self,
        node: Address,
        channel: &Channel,
    ) -> Result<(Lines, ReportLine), SessionError> {
        let challenge = chat::random_id().ok_or(SessionError::NoReport)?;
        let request = report_request(challenge).ok_or(SessionError::NoReport)?;
        let response = channel.send(request).await;
        let response = response.map_err(|_| SessionError::NoReport)?;
        if response.status() != StatusCode::OK {
            return Err(SessionError::NoReport);
        }
        let mut lines = Lines::new(response.into_body());
        let first = lines.next().await?;
        let beat = first.heartbeat.as_ref().ok_or(SessionError::Unproven)?;
        let said = &beat.statement;
        if said.state_hash != challenge || said.node != node {
            return Err(SessionError::Unproven);
        }
        let change = self.0.store.heartbeat(beat, http::now()).await?;
        self.apply(change).await;
        Ok((lines, first))
    }

    async fn listen(
        &self,
        node: Address,
        generation: u64,
        lines: &mut Lines,
    ) -> Result<(), SessionError> {
        let mut is_draining = false;
        loop {
            let line = timeout(SILENCE_MAX, lines.next());
            let line = match line.await.map_err(|_| SessionError::Silent)? {
                // It has said goodbye: what it still has to say ends with the tunnel.
                Err(LineError::Ended) if is_draining => {
                    tokio::time::sleep(GOODBYE_TIME_MAX).await;
                    return Ok(());
                }
                line => line?,
            };
            is_draining |= line.draining;
            self.heard(node, line.report);
            if let Some(beat) = &line.heartbeat {
                // Signed by somebody else, or of another domain: not this node's tunnel.
                if beat.statement.node != node {
                    return Err(SessionError::Unproven);
                }
                self.beat(node, beat).await?;
            }
            if line.offer.is_some() || line.draining {
                self.brings(node, generation, |live| {
                    if let Some(offer) = line.offer {
                        live.offer = offer;
                    }
                    live.is_draining |= line.draining;
                });
            }
        }
    }

    async fn beat(
        &self,
        node: Address,
        beat: &gaia_registry::Signed<gaia_registry::Heartbeat>,
    ) -> Result<(), SessionError> {
        match self.0.store.heartbeat(beat, http::now()).await {
            Ok(change) => self.apply(change).await,
            // Overtaken by one that another gateway has seen: the next one is later.
            Err(ChangeError::Refused(gaia_registry::MembershipRefusal::Sequence { .. })) => {}
            Err(ChangeError::Refused(error)) => return Err(ChangeError::Refused(error).into()),
            // The database's trouble is not the node's.
            Err(error) => tracing::warn!(%error, "a heartbeat of {node} is not noted"),
        }
        let status = self.status(node).await;
        match status {
            None | Some(Status::Left { .. }) => Err(SessionError::Left),
            Some(_) => Ok(()),
        }
    }
}

fn report_request(challenge: B256) -> Option<Request<Body>> {
    let body = Empty::new().map_err(|never| match never {}).boxed();
    let uri = format!("http://node{REPORT_PATH}?challenge={challenge}");
    Request::get(uri).body(body).ok()
}
