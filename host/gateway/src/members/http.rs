//! What nodes say over HTTP: join, leave, open a tunnel. Every refusal has its reason.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use gaia_openai::ApiError;
use gaia_registry::join::JoinRefusal;
use gaia_registry::{MembershipRefusal, NodeLeave, Signed, StatementRefusal, Status};
use gaia_tunnel::messages::{JOIN_PATH, Join, LEAVE_PATH, MESSAGE_BYTES_MAX};
use gaia_tunnel::{Channel, PATH, ProofError, read_proof, switching};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Members;
use super::live::signed_knowledge;
use super::store::{ChangeError, RestoreError};
use crate::endpoint::Endpoint;
use crate::reply::{self, Reply};

/// How long a message may take to come in.
const MESSAGE_TIME_MAX: Duration = Duration::from_secs(10);

/// How long an upgrade may take.
const UPGRADE_TIME_MAX: Duration = Duration::from_secs(10);

/// Members of one answer. Who wants more asks with `?after=ADDRESS`.
pub const MEMBERS_LISTED_MAX: usize = 1_000;

/// Where a node stands, as it is told.
#[derive(Debug, Serialize)]
struct Standing {
    node: Address,
    #[serde(flatten)]
    status: Status,
}

/// A member, as anybody may see it.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    standing: Standing,
    operator: Address,
    config_hash: B256,
    /// SHA-256 of its model.
    model: Option<B256>,
    /// The digest of what it answers from.
    knowledge: Option<B256>,
    connected: bool,
}

impl Endpoint for Members {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Reply>> + Send + '_>> {
        Box::pin(async move {
            let answered = self.handle(request).await;
            answered.unwrap_or_else(|error| reply::error(&error))
        })
    }
}

impl Members {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Reply>, ApiError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        match (&method, path.as_str()) {
            (&Method::POST, JOIN_PATH) => self.join(read(request).await?).await,
            (&Method::GET, JOIN_PATH) => self.list(request.uri().query()).await,
            (&Method::POST, LEAVE_PATH) => self.leave(read(request).await?).await,
            (&Method::GET, PATH) => self.open_tunnel(request).await,
            (_, JOIN_PATH | LEAVE_PATH | PATH) => {
                Err(ApiError::method_not_allowed(method.as_str(), &path))
            }
            _ => Err(ApiError::not_found(method.as_str(), &path)),
        }
    }

    async fn join(&self, message: Join) -> Result<Response<Reply>, ApiError> {
        let request = message.request();
        let said = &request.join.statement;
        let (node, operator) = (said.node, said.operator);
        let config = &self.0.config;
        let policy = self.0.policies.now.get();
        let staked = match &config.stakes {
            // Before it is known who asks, nobody is asked for him.
            Some(stakes) if policy.minimum_stake > 0 => {
                let place = &config.place;
                place
                    .check(&request.join)
                    .map_err(|error| refused(&error.into()))?;
                let staked = stakes.staked(operator).await;
                staked.map_err(|error| with_status(503, "stake_unknown", &error.to_string()))?
            }
            _ => 0,
        };
        let changed = self.0.store.change(node, |registry, members| {
            if members >= config.rules.members_max && registry.member(node).is_none() {
                return Err(MembershipRefusal::Full(config.rules.members_max));
            }
            registry.join(&request, &message.config, staked, &policy, now())
        });
        let (joined, change) = changed.await.map_err(|error| failed(&error))?;
        self.apply(change).await;
        let status = joined.status.unwrap_or(Status::Probation);
        // Without it the node can serve, but what it signs answers no challenge.
        if let Err(error) = crate::chain::note_join(&config.ledger, &request).await {
            tracing::warn!(%node, %error, "the chain will not be told of the join");
        }
        tracing::info!("the node {node} of {operator} has joined");
        Ok(reply::json(StatusCode::OK, &Standing { node, status }))
    }

    async fn leave(&self, message: Signed<NodeLeave>) -> Result<Response<Reply>, ApiError> {
        let node = message.statement.node;
        let changed = self
            .0
            .store
            .change(node, |registry, _| registry.leave(&message, now()));
        let (left, change) = changed.await.map_err(|error| failed(&error))?;
        self.apply(change).await;
        let status = left.status.unwrap_or(Status::Left {
            since: now(),
            suspended: None,
        });
        Ok(reply::json(StatusCode::OK, &Standing { node, status }))
    }

    async fn list(&self, query: Option<&str>) -> Result<Response<Reply>, ApiError> {
        let after = query.and_then(|query| query.strip_prefix("after="));
        let after = match after.map(str::parse::<Address>) {
            None => None,
            Some(Ok(after)) => Some(after),
            Some(Err(_)) => {
                let message = "`after` must be a node's address.";
                return Err(ApiError::invalid_value("after", message));
            }
        };
        let connected: std::collections::BTreeSet<Address> = self.live().keys().copied().collect();
        let listed = self.0.store.all(|member| {
            (Some(member.node) > after).then(|| Listed {
                standing: Standing {
                    node: member.node,
                    status: member.status,
                },
                operator: member.operator,
                config_hash: member.config_hash,
                model: member.config.as_ref().map(|config| config.model),
                knowledge: Some(signed_knowledge(member)).filter(|digest| !digest.is_zero()),
                connected: connected.contains(&member.node),
            })
        });
        let mut nodes = listed.await;
        let listed_max = self.0.config.limits.listed_max;
        let has_more = nodes.len() > listed_max;
        nodes.truncate(listed_max);
        let body = serde_json::json!({ "nodes": nodes, "has_more": has_more });
        Ok(reply::json(StatusCode::OK, &body))
    }

    async fn open_tunnel(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Reply>, ApiError> {
        let proof = read_proof(request.headers()).map_err(|error| no_proof(&error))?;
        let place = self.0.places.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            ApiError::unavailable(
                "This gateway has all the tunnels that it takes: try another one.",
                10,
            )
        })?;
        let change = self.0.store.proof(&proof, now()).await;
        self.apply(change.map_err(|error| failed(&error))?).await;
        let (members, node) = (self.clone(), proof.statement.node);
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Some(channel) = upgraded(upgrade).await {
                members.serve_tunnel(node, channel).await;
            }
            drop(place);
        });
        Ok(switching::<Vec<u8>>().map(Reply::whole))
    }
}

async fn upgraded(upgrade: OnUpgrade) -> Option<Channel> {
    let upgraded = tokio::time::timeout(UPGRADE_TIME_MAX, upgrade).await;
    Channel::over(upgraded.ok()?.ok()?).await.ok()
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, ApiError> {
    let body = Limited::new(request.into_body(), MESSAGE_BYTES_MAX).collect();
    let body = tokio::time::timeout(MESSAGE_TIME_MAX, body).await;
    let Ok(Ok(body)) = body else {
        let message =
            format!("The body did not come whole: it may have {MESSAGE_BYTES_MAX} bytes.");
        return Err(ApiError::invalid_value("body", message));
    };
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        ApiError::invalid_value("body", format!("The body makes no sense: {error}."))
    })
}

fn no_proof(error: &ProofError) -> ApiError {
    with_status(400, "invalid_proof", &chain(error))
}

/// What a refused change is to the node.
fn failed(error: &ChangeError) -> ApiError {
    match error {
        ChangeError::Refused(refusal) => refused(refusal),
        ChangeError::Restore(RestoreError::Form { .. }) => {
            tracing::error!("a member is not changed: {}", chain(error));
            let message = "What the domain has noted of this node makes no sense to it: ask its operator to mend that.";
            with_status(503, "record", message)
        }
        ChangeError::Contended => with_status(503, "contended", &chain(error)),
        ChangeError::Restore(_) | ChangeError::Write(_) => {
            tracing::error!("a member is not changed: {}", chain(error));
            with_status(
                503,
                "ledger_unavailable",
                "The domain cannot look you up just now: try again.",
            )
        }
    }
}

fn refused(refusal: &MembershipRefusal) -> ApiError {
    let (status, code) = match refusal {
        MembershipRefusal::Unknown(_) => (404, "unknown_node"),
        MembershipRefusal::Left(_) => (410, "node_left"),
        MembershipRefusal::Policy(_) => (403, "policy"),
        MembershipRefusal::Full(_) => (503, "full"),
        MembershipRefusal::Sequence { .. } => (409, "replayed"),
        MembershipRefusal::Clock { .. } => (409, "clock"),
        MembershipRefusal::NotSuspended(_) => (409, "not_suspended"),
        MembershipRefusal::Statement(refusal) => of_statement(refusal),
        MembershipRefusal::Join(JoinRefusal::Node(refusal) | JoinRefusal::Consent(refusal)) => {
            of_statement(refusal)
        }
        MembershipRefusal::Join(
            JoinRefusal::ConsentMissing(_) | JoinRefusal::ConsentForeign { .. },
        ) => (403, "consent"),
        MembershipRefusal::Join(JoinRefusal::Nobody | JoinRefusal::Endpoint) => {
            (400, "invalid_join")
        }
    };
    with_status(status, code, &chain(refusal))
}

fn of_statement(refusal: &StatementRefusal) -> (u16, &'static str) {
    match refusal {
        StatementRefusal::Foreign(_) => (403, "foreign"),
        StatementRefusal::AnotherDomain { .. } => (403, "another_domain"),
        StatementRefusal::Malformed { .. } => (401, "malformed_signature"),
        StatementRefusal::AnotherSigner { .. } => (401, "another_signer"),
        StatementRefusal::Expired { .. } => (409, "expired"),
        StatementRefusal::LifetimeTooLong { .. } => (400, "lifetime"),
        StatementRefusal::Replayed { .. } => (409, "replayed"),
    }
}

fn with_status(status: u16, code: &str, message: &str) -> ApiError {
    ApiError {
        status,
        message: message.to_owned(),
        kind: "membership_error".to_owned(),
        param: None,
        code: Some(code.to_owned()),
        retry_after_seconds: None,
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
