//! Receipts after the fact: signed by the gateway, then by the node that served.
//!
//! What was captured is in the ledger with its receipt; only signatures are added here, so that nothing is lost where
//! this is. Signing costs more than serving, and a node's last receipt proves all that it has earned: so while many
//! requests run, only so many receipts a second are signed unasked ([`Pace`]). All others are signed when somebody
//! fetches them, and one after the other when less is to be done, as long as their nodes are connected.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy_primitives::B256;
use alloy_signer::SignerSync as _;
use gaia_ledger::Receipt;
use gaia_ledger_store::{SignedBy, StoredReceipt};
use gaia_openai::ApiError;
use gaia_statements::{Signature, SigningDomain};
use gaia_tunnel::messages::{RECEIPT_PATH, ReceiptAsked, ReceiptSigned};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};

use crate::reply::{self, Reply};
use crate::shared::Shared;

/// Receipts that wait to be signed. Further ones are signed when they are fetched, or looked for.
pub const RECEIPTS_WAITING_MAX: usize = 4096;

/// Receipts a second that are signed unasked while requests are served.
pub(crate) const UNASKED_PER_SECOND_MAX: f64 = 20.0;

/// So many at once, where there were none before.
pub(crate) const UNASKED_AT_ONCE_MAX: f64 = 50.0;

/// Where more requests run, nobody looks for receipts to sign.
const RUNNING_MAX: usize = 8;

/// Receipts that nodes are asked about at a time.
pub const RECEIPTS_ASKED_MAX: usize = 32;

/// Signatures that wait to be written; then whoever brings the next waits. As many are written at once.
pub(crate) const SIGNATURES_WAITING_MAX: usize = 1000;

/// How often a node is asked for one signature.
pub(crate) const TRIES_MAX: u32 = 4;

/// How long to wait before the second try; each further one waits four times as long.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a node may take to sign.
const SIGN_TIME_MAX: Duration = Duration::from_secs(10);

/// The longest answer of a node's, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// The line of receipts to be signed.
#[derive(Debug)]
pub(crate) struct Receipts {
    pace: Mutex<Pace>,
    wanted: mpsc::Sender<Wanted>,
    signed: mpsc::Sender<Signed>,
}

/// What waits to be done for receipts.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub wanted: mpsc::Receiver<Wanted>,
    pub signed: mpsc::Receiver<Signed>,
}

/// How many receipts may be signed unasked.
#[derive(Debug)]
struct Pace {
    left: f64,
    reckoned: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            left: UNASKED_AT_ONCE_MAX,
            reckoned: now,
        }
    }

    /// Whether one more may be.
    fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.reckoned).as_secs_f64();
        self.left = (self.left + passed * UNASKED_PER_SECOND_MAX).min(UNASKED_AT_ONCE_MAX);
        self.reckoned = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

/// A signature for the ledger.
type Signed = (B256, SignedBy, [u8; 65]);

/// A receipt that is to be signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    request: B256,
    /// How often its node is asked.
    tries: u32,
}

/// As it is fetched: a receipt that both have signed is what `gaia receipt verify` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fetched {
    domain: SigningDomain,
    receipt: Receipt,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_signature: Option<Signature>,
    gateway_signature: Signature,
}

#[derive(Debug, thiserror::Error)]
enum SignError {
    #[error("the node is not connected")]
    NotConnected,
    #[error("the node did not answer")]
    Send(#[from] gaia_tunnel::SendError),
    #[error("the node did not answer in time")]
    Late,
    #[error("the node refused to sign, with status {0}")]
    Refused(StatusCode),
    #[error("the node's answer is no signature")]
    Form,
    #[error("somebody else signed for the node")]
    Forged,
}

impl Receipts {
    pub(crate) fn new() -> (Self, Waiting) {
        let (wanted, wanting) = mpsc::channel(RECEIPTS_WAITING_MAX);
        let (signed, signing) = mpsc::channel(SIGNATURES_WAITING_MAX);
        let waiting = Waiting {
            wanted: wanting,
            signed: signing,
        };
        let pace = Mutex::new(Pace::new(Instant::now()));
        let receipts = Self {
            pace,
            wanted,
            signed,
        };
        (receipts, waiting)
    }

    /// Has a new receipt signed, unless there are too many.
    pub(crate) fn offer(&self, request: B256) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.take(Instant::now()) {
            drop(pace);
            self.ask(request);
        }
    }

    /// Has a receipt signed, when there is time.
    pub(crate) fn ask(&self, request: B256) {
        let wanted = Wanted {
            request,
            tries: TRIES_MAX,
        };
        if self.wanted.try_send(wanted).is_err() {
            tracing::debug!(%request, "a receipt waits until it is looked for");
        }
    }
}

/// Signs the receipts that wait.
pub(crate) async fn keep(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Wanted>) {
    let places = Arc::new(Semaphore::new(RECEIPTS_ASKED_MAX));
    while let Some(wanted) = waiting.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            sign(&shared, wanted).await;
            drop(place);
        });
    }
}

/// Writes the signatures that have come meanwhile, as one transaction.
pub(crate) async fn write(shared: Arc<Shared>, mut signed: mpsc::Receiver<Signed>) {
    let mut batch = Vec::new();
    while signed.recv_many(&mut batch, SIGNATURES_WAITING_MAX).await > 0 {
        let ledger = &shared.config.ledger;
        if let Err(error) = ledger.sign_receipts(std::mem::take(&mut batch)).await {
            tracing::warn!(%error, "signatures were not kept, and will be asked for again");
        }
    }
}

/// Looks for receipts that lack their node's signature, again and again.
pub(crate) async fn look(shared: &Shared) -> Infallible {
    let mut after = B256::ZERO;
    loop {
        tokio::time::sleep(shared.config.limits.receipts_interval).await;
        let running_max = shared.config.limits.requests_running_max;
        if running_max.saturating_sub(shared.places.available_permits()) > RUNNING_MAX {
            continue;
        }
        let page = match shared.config.ledger.unsigned_receipts(after).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "receipts cannot be looked through");
                continue;
            }
        };
        // After the last page, from the beginning.
        after = page.last().copied().unwrap_or_default();
        for request in page {
            let wanted = Wanted { request, tries: 1 };
            if shared.receipts.wanted.send(wanted).await.is_err() {
                break;
            }
        }
    }
}

/// The receipt of a request, with the gateway's signature, and the node's if it is there.
pub(crate) async fn fetch(shared: &Shared, id: &str) -> Response<Reply> {
    let Ok(request) = id.parse::<B256>() else {
        return reply::error(&ApiError::no_such_object("receipt", id));
    };
    let found = match shared.config.ledger.receipt(request).await {
        Ok(Some(found)) => found,
        Ok(None) => return reply::error(&ApiError::no_such_object("receipt", id)),
        Err(error) => {
            tracing::error!(%error, "a receipt cannot be read");
            return reply::error(&ApiError::unavailable(
                "Receipts cannot be read just now.",
                1,
            ));
        }
    };
    let Some(gateway_signature) = by_gateway(shared, &found) else {
        return reply::error(&ApiError::internal("The receipt cannot be signed."));
    };
    let node_signature = found.node_signature.and_then(read);
    if node_signature.is_none() {
        shared.receipts.ask(request);
    }
    let fetched = Fetched {
        domain: shared.config.place.signing,
        receipt: found.receipt,
        node_signature,
        gateway_signature,
    };
    reply::json(StatusCode::OK, &fetched)
}

async fn sign(shared: &Shared, wanted: Wanted) {
    let mut pause = PAUSE;
    for left in (0..wanted.tries).rev() {
        match sign_once(shared, wanted.request).await {
            Ok(()) => return,
            Err(error) if left == 0 => {
                tracing::debug!(%error, request = %wanted.request, "a receipt is not signed yet");
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause *= 4;
    }
}

async fn sign_once(shared: &Shared, id: B256) -> Result<(), SignError> {
    let ledger = &shared.config.ledger;
    let Ok(Some(found)) = ledger.receipt(id).await else {
        return Ok(());
    };
    let Some(gateway_signature) = by_gateway(shared, &found) else {
        return Ok(());
    };
    if found.node_signature.is_some() {
        return Ok(());
    }
    let asked = ReceiptAsked {
        domain: shared.config.place.signing,
        receipt: found.receipt,
        gateway_signature,
    };
    let signed = tokio::time::timeout(SIGN_TIME_MAX, by_node(shared, &asked));
    let signature = signed.await.map_err(|_| SignError::Late)??;
    keep_signature(shared, id, SignedBy::Gateway, gateway_signature).await;
    keep_signature(shared, id, SignedBy::Node, signature).await;
    Ok(())
}

async fn by_node(shared: &Shared, asked: &ReceiptAsked) -> Result<Signature, SignError> {
    let node = asked.receipt.node;
    let channel = shared.nodes.channel(node).ok_or(SignError::NotConnected)?;
    let body = serde_json::to_vec(asked).map_err(|_| SignError::Form)?;
    let body = Full::new(body.into()).map_err(|never| match never {});
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://node{RECEIPT_PATH}"))
        .header(CONTENT_TYPE, "application/json")
        .body(body.boxed())
        .map_err(|_| SignError::Form)?;
    let response = channel.send(request).await?;
    if !response.status().is_success() {
        return Err(SignError::Refused(response.status()));
    }
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
    let body = body.await.map_err(|_| SignError::Form)?.to_bytes();
    let signed: ReceiptSigned = serde_json::from_slice(&body).map_err(|_| SignError::Form)?;
    let digest = asked.receipt.digest(&asked.domain);
    match signed.node_signature.signer(&digest) {
        Ok(signer) if signer == node => Ok(signed.node_signature),
        _ => Err(SignError::Forged),
    }
}

/// The signature that is there, or a new one.
fn by_gateway(shared: &Shared, found: &StoredReceipt) -> Option<Signature> {
    if let Some(signature) = found.gateway_signature.and_then(read) {
        return Some(signature);
    }
    let digest = found.receipt.digest(&shared.config.place.signing);
    let signer = shared.config.key.signer();
    let signed = signer.sign_hash_sync(&digest);
    signed.ok().and_then(|signed| read(signed.as_bytes()))
}

async fn keep_signature(shared: &Shared, id: B256, by: SignedBy, signature: Signature) {
    let signed = (id, by, signature.to_bytes());
    if shared.receipts.signed.send(signed).await.is_err() {
        tracing::debug!(request = %id, "a signature came too late to be kept");
    }
}

fn read(bytes: [u8; 65]) -> Option<Signature> {
    Signature::from_bytes(&bytes).ok()
}

#[cfg(test)]
mod maxima;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_receipts_a_second_are_signed_unasked() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        let mut taken = |seconds: u64| {
            let now = begun + Duration::from_secs(seconds);
            (0..1000).filter(|_| pace.take(now)).count() as f64
        };
        assert_eq!(taken(0), UNASKED_AT_ONCE_MAX);
        assert_eq!(taken(1), UNASKED_PER_SECOND_MAX);
        assert_eq!(taken(1), 0.0);
        assert_eq!(taken(1000), UNASKED_AT_ONCE_MAX);
    }
}
