//! What a node's owner says to a domain: join, consent, leave.

use alloy_primitives::{Address, U160};
use alloy_signer_local::PrivateKeySigner;
use gaia_outbound::Origin;
use gaia_registry::{NodeConfig, NodeJoin, NodeLeave, OperatorConsent, Place, Signed, Status};
use gaia_tunnel::messages::{
    DOMAIN_PATH, DomainFacts, JOIN_PATH, Join, LEAVE_PATH, MESSAGE_BYTES_MAX,
};
use gaia_tunnel::{DialError, Trust, ask};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::sign::{self, SignError};

/// How long a statement is good for, in seconds: long enough for slow clocks, short for thieves.
const STATEMENT_SECONDS: u64 = 600;

/// The longest description of a domain that is read, in bytes.
const FACTS_BYTES_MAX: usize = 4 << 20;

/// What the node's owner wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who earns.
    pub operator: Address,
    /// The operator's consent; needless where that is the node itself.
    pub consent: Option<Signed<OperatorConsent>>,
    /// Where gateways reach the node; empty when it dials out.
    pub endpoint: String,
}

/// Where the node stands in the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The node.
    pub node: Address,
    /// Where it stands.
    #[serde(flatten)]
    pub status: Status,
}

/// Why a domain was not told.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// It cannot be reached.
    #[error(transparent)]
    Reach(#[from] DialError),
    /// It said no.
    #[error("the domain refused ({status}): {reason}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Why.
        reason: String,
    },
    /// It knows nothing of domains.
    #[error("{0} is no gateway of a domain: is it a node?")]
    NoDomain(Origin),
    /// It said something else.
    #[error("{0} is no gateway of a domain: its answer to {1} makes no sense")]
    Nonsense(Origin, &'static str, #[source] serde_json::Error),
    /// Its answer broke off, or is too long.
    #[error("the answer of {0} broke off, or is too long")]
    Broken(Origin),
    /// Nothing could be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What the domain at `origin` says of itself.
///
/// # Errors
/// When it cannot be reached, or is none.
pub async fn facts(origin: &Origin, trust: &Trust) -> Result<DomainFacts, JoinError> {
    let response = ask(origin, trust, Method::GET, DOMAIN_PATH, Bytes::new()).await?;
    read(origin, DOMAIN_PATH, response, FACTS_BYTES_MAX).await
}

/// Where the node stands, as its domain tells everybody; `None` where the domain does not know it.
///
/// # Errors
/// When it cannot be reached, or says no.
pub async fn standing(
    origin: &Origin,
    trust: &Trust,
    node: Address,
) -> Result<Option<Standing>, JoinError> {
    #[derive(Deserialize)]
    struct Listed {
        nodes: Vec<Standing>,
    }
    // Members are listed by their addresses, those behind the one that is named.
    let number = U160::from_be_bytes(node.into_array());
    let before = number.saturating_sub(U160::from(1));
    let before = Address::from(before.to_be_bytes());
    let path = format!("{JOIN_PATH}?after={before}");
    let response = ask(origin, trust, Method::GET, &path, Bytes::new()).await?;
    let listed: Listed = read(origin, JOIN_PATH, response, FACTS_BYTES_MAX).await?;
    let first = listed.nodes.into_iter().next();
    Ok(first.filter(|standing| standing.node == node))
}

/// Asks the domain to take the node in, or to renew what it knows of it.
///
/// # Errors
/// When it cannot be reached, or says no.
pub async fn join(
    origin: &Origin,
    trust: &Trust,
    key: &PrivateKeySigner,
    place: &Place,
    wish: &Wish,
    config: &NodeConfig,
) -> Result<Standing, JoinError> {
    let join = NodeJoin {
        domain_id: place.domain_id,
        node: key.address(),
        operator: wish.operator,
        config_hash: config.hash(),
        endpoint: wish.endpoint.clone(),
        nonce: clock::next_number(),
        expiry: clock::now() + STATEMENT_SECONDS,
    };
    let message = Join {
        join: sign::statement(key, place, join)?,
        consent: wish.consent.clone(),
        config: config.clone(),
    };
    tell(origin, trust, JOIN_PATH, &message).await
}

/// Tells the domain that the node goes.
///
/// # Errors
/// When it cannot be reached, or says no.
pub async fn leave(
    origin: &Origin,
    trust: &Trust,
    key: &PrivateKeySigner,
    place: &Place,
) -> Result<Standing, JoinError> {
    let leave = NodeLeave {
        domain_id: place.domain_id,
        node: key.address(),
        nonce: clock::next_number(),
        expiry: clock::now() + STATEMENT_SECONDS,
    };
    let message = sign::statement(key, place, leave)?;
    tell(origin, trust, LEAVE_PATH, &message).await
}

/// An operator's consent to a node, signed by the operator's key.
///
/// # Errors
/// When the key gives no signature.
pub fn consent(
    key: &PrivateKeySigner,
    place: &Place,
    node: Address,
) -> Result<Signed<OperatorConsent>, SignError> {
    let consent = OperatorConsent {
        domain_id: place.domain_id,
        node,
        operator: key.address(),
        nonce: clock::next_number(),
        expiry: clock::now() + STATEMENT_SECONDS,
    };
    sign::statement(key, place, consent)
}

async fn tell<M: Serialize>(
    origin: &Origin,
    trust: &Trust,
    path: &'static str,
    message: &M,
) -> Result<Standing, JoinError> {
    let nonsense = |error| JoinError::Nonsense(origin.clone(), path, error);
    let body = serde_json::to_vec(message).map_err(nonsense)?;
    let response = ask(origin, trust, Method::POST, path, body.into()).await?;
    read(origin, path, response, MESSAGE_BYTES_MAX).await
}

async fn read<T: DeserializeOwned>(
    origin: &Origin,
    path: &'static str,
    response: Response<Incoming>,
    bytes_max: usize,
) -> Result<T, JoinError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), bytes_max);
    let body = tokio::time::timeout(gaia_tunnel::limits::HANDSHAKE_TIMEOUT, body.collect());
    let body = body.await.ok().and_then(Result::ok);
    let bytes = body
        .ok_or_else(|| JoinError::Broken(origin.clone()))?
        .to_bytes();
    if status.is_success() {
        let nonsense = |error| JoinError::Nonsense(origin.clone(), path, error);
        return serde_json::from_slice(&bytes).map_err(nonsense);
    }
    if status == StatusCode::NOT_FOUND && path == DOMAIN_PATH {
        return Err(JoinError::NoDomain(origin.clone()));
    }
    Err(JoinError::Refused {
        status,
        reason: reason(&bytes),
    })
}

/// The message of an error in the API's form, or what else is there, for people.
pub(crate) fn reason(bytes: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let message = json
        .as_ref()
        .and_then(|json| json["error"]["message"].as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(bytes), Into::into);
    let shown = text.chars().filter(|char| !char.is_control());
    shown.take(1_024).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_for_people() {
        let check = |body: &str, expected: &str| assert_eq!(reason(body.as_bytes()), expected);
        check(r#"{"error":{"message":"not today"}}"#, "not today");
        check("plain\u{1b}[31m", "plain[31m");
        check(r#"{"error":"odd"}"#, r#"{"error":"odd"}"#);
        assert_eq!(reason(&[b'x'; 5000]).len(), 1_024);
    }
}
