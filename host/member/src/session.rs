//! The tunnel to one gateway: dialled, served, dialled again.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use alloy_signer_local::PrivateKeySigner;
use gaia_outbound::Origin;
use gaia_registry::Place;
use gaia_tunnel::messages::{
    DomainFacts, MESSAGE_BYTES_MAX, RECEIPT_PATH, REPORT_PATH, ReceiptAsked,
};
use gaia_tunnel::{Body, DialError, Ended, Trust, backoff, dial};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::claims::Claims;
use crate::clock;
use crate::forward::{answer_json, forward, refusal};
use crate::joining;
use crate::load::Load;
use crate::node::NodeNow;
use crate::receipts::{ReceiptRefusal, Receipts};
use crate::report::Reporter;
use crate::routes;
use crate::sign;
use crate::standing::Board;

/// How long answers may go on when the node or the membership ends.
const DRAIN: Duration = Duration::from_secs(30);

/// How long a message of a gateway may take to come in.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the sessions of one domain have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) key: PrivateKeySigner,
    pub(crate) place: Place,
    pub(crate) trust: Trust,
    pub(crate) facts: watch::Receiver<DomainFacts>,
    pub(crate) node: watch::Receiver<Option<NodeNow>>,
    pub(crate) load: Arc<Load>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) receipts: Arc<Receipts>,
    pub(crate) board: Arc<Board>,
    /// True once the node is to go.
    pub(crate) leaving: watch::Receiver<bool>,
    /// Told when a gateway does not know the node (any more).
    pub(crate) unknown: Arc<tokio::sync::Notify>,
}

/// Keeps a tunnel to the gateway at `origin` until the node leaves.
pub(crate) async fn keep(shared: Shared, origin: Origin) {
    let mut leaving = shared.leaving.clone();
    let mut failures = 0;
    while !*leaving.borrow() {
        let began = Instant::now();
        let Some(reason) = shared.one(&origin).await else {
            return;
        };
        tracing::info!("no tunnel to {origin}: {reason}");
        shared.tell(&origin, Some(reason));
        failures = match began.elapsed() >= backoff::GOOD_AFTER {
            true => 1,
            false => failures + 1,
        };
        tokio::select! {
            () = sleep(backoff::wait(failures, chance())) => {}
            () = told(&mut leaving) => return,
        }
    }
}

/// Waits until the node is to go, or nobody is there any more who could say so.
pub(crate) async fn told(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// A random number; the same one where the system has none, which only makes waits alike.
fn chance() -> u64 {
    getrandom::u64().unwrap_or_default()
}

impl Shared {
    /// One tunnel, from dialling to its end: why it ended, or nothing when it was this side's wish.
    async fn one(&self, origin: &Origin) -> Option<String> {
        let mut leaving = self.leaving.clone();
        let link = tokio::select! {
            dialled = self.dial(origin) => match dialled {
                Ok(link) => link,
                Err(reason) => return Some(reason),
            },
            () = told(&mut leaving) => return None,
        };
        tracing::info!("a tunnel to {origin} is open");
        self.tell(origin, None);
        self.serve(link).await
    }

    /// Answers in an open tunnel to its end: why it ended, or nothing when it was this side's wish.
    pub(crate) async fn serve(&self, link: gaia_tunnel::Link) -> Option<String> {
        let mut leaving = self.leaving.clone();
        let shared = self.clone();
        let answer = move |request| shared.clone().answer(request);
        match link.serve(answer, told(&mut leaving), DRAIN).await {
            Ended::Asked => None,
            Ended::Closed => Some("the gateway closed the tunnel".to_owned()),
            Ended::Broken(error) => Some(format!("the tunnel broke: {error}")),
        }
    }

    async fn dial(&self, origin: &Origin) -> Result<gaia_tunnel::Link, String> {
        let proof = sign::heartbeat(&self.key, &self.place, B256::ZERO);
        let proof = proof.map_err(|error| error.to_string())?;
        match dial(origin, &self.trust, |_| true, &proof).await {
            Ok(dialled) => Ok(dialled.into_link()),
            Err(DialError::Refused { status, reason, .. }) => {
                if status == StatusCode::NOT_FOUND {
                    self.unknown.notify_one();
                }
                Err(joining::reason(reason.as_bytes()))
            }
            Err(error) => Err(chain(&error)),
        }
    }

    fn tell(&self, origin: &Origin, reason: Option<String>) {
        let domain = self.place.domain_id;
        self.board.gateway(domain, &origin.to_string(), reason);
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let (method, path) = (request.method(), request.uri().path());
        match (method, path) {
            (&Method::GET, REPORT_PATH) => self.report(&request),
            (&Method::POST, RECEIPT_PATH) => self.receipt(request).await,
            (method, path) if routes::is_forwarded(method, path) => {
                let node = self.node.borrow().clone();
                forward(node, &self.load, &self.claims, request).await
            }
            _ => refusal(
                StatusCode::NOT_FOUND,
                "a node answers nothing else to its domain",
            ),
        }
    }

    fn report(&self, request: &Request<Incoming>) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default();
        let challenge = query.strip_prefix("challenge=").map(str::parse::<B256>);
        let Some(Ok(challenge)) = challenge else {
            let message = "ask with ?challenge=0x and 64 hex digits";
            return refusal(StatusCode::BAD_REQUEST, message);
        };
        let reporter = Reporter {
            key: self.key.clone(),
            place: self.place,
            node: self.node.clone(),
            load: Arc::clone(&self.load),
            draining: self.leaving.clone(),
        };
        reporter.stream(challenge)
    }

    async fn receipt(&self, request: Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), MESSAGE_BYTES_MAX).collect();
        let Ok(Ok(body)) = tokio::time::timeout(MESSAGE_TIMEOUT, body).await else {
            return refusal(StatusCode::BAD_REQUEST, "the receipt did not come whole");
        };
        let asked: ReceiptAsked = match serde_json::from_slice(&body.to_bytes()) {
            Ok(asked) => asked,
            Err(error) => {
                let message = format!("no receipt to sign: {error}");
                return refusal(StatusCode::BAD_REQUEST, &message);
            }
        };
        let (receipts, facts) = (Arc::clone(&self.receipts), self.facts.borrow().clone());
        let signing =
            tokio::task::spawn_blocking(move || receipts.sign(&facts, &asked, clock::now()));
        match signing.await {
            Ok(Ok(signed)) => answer_json(&signed),
            Ok(Err(reason)) => refused_receipt(&asked, &reason),
            Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the node cannot sign"),
        }
    }
}

fn refused_receipt(asked: &ReceiptAsked, reason: &ReceiptRefusal) -> Response<Body> {
    let reason_shown = chain(reason);
    let request = asked.receipt.request_id;
    tracing::warn!("the receipt of the request {request} is not signed: {reason_shown}");
    let status = match reason {
        ReceiptRefusal::Book(_) | ReceiptRefusal::Sign(_) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::CONFLICT,
    };
    refusal(status, &reason_shown)
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
