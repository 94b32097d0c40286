//! How the dialler says who it is, and how the other side agrees.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gaia_registry::{Heartbeat, Signed};
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};

use crate::limits::PROOF_BYTES_MAX;

/// Where tunnels begin.
pub const PATH: &str = "/gaia/v1/tunnel";

/// What the connection is upgraded to.
pub const PROTOCOL: &str = "gaia-tunnel";

/// The header with the proof.
pub const PROOF_HEADER: HeaderName = HeaderName::from_static("gaia-proof");

/// Why a request opens no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// It asks for nothing of the kind.
    #[error("this path opens tunnels: ask with `Connection: upgrade` and `Upgrade: {PROTOCOL}`")]
    NoUpgrade,
    /// It does not say who asks.
    #[error("the header `{PROOF_HEADER}` is missing: send a signed Heartbeat as JSON in base64")]
    Missing,
    /// More than a heartbeat.
    #[error("the header `{PROOF_HEADER}` is longer than {PROOF_BYTES_MAX} bytes")]
    TooLong,
    /// No base64.
    #[error("the header `{PROOF_HEADER}` is no base64")]
    Base64,
    /// No heartbeat.
    #[error("the header `{PROOF_HEADER}` holds no signed Heartbeat")]
    Json(#[source] serde_json::Error),
}

/// The proof as it travels.
#[must_use]
pub fn proof_header(proof: &Signed<Heartbeat>) -> HeaderValue {
    let json = serde_json::to_vec(proof).expect("a heartbeat has no keys but text");
    HeaderValue::from_str(&STANDARD.encode(json)).expect("base64 is visible ASCII")
}

/// Who asks for a tunnel, as they say: signature, sequence and time are for the registry.
///
/// # Errors
/// When the request asks for no tunnel, or brings no proof.
pub fn read_proof(headers: &HeaderMap) -> Result<Signed<Heartbeat>, ProofError> {
    if !asks_for_upgrade(headers) {
        return Err(ProofError::NoUpgrade);
    }
    let header = headers.get(PROOF_HEADER).ok_or(ProofError::Missing)?;
    if header.len() > PROOF_BYTES_MAX {
        return Err(ProofError::TooLong);
    }
    let json = STANDARD
        .decode(header.as_bytes())
        .map_err(|_| ProofError::Base64)?;
    serde_json::from_slice(&json).map_err(ProofError::Json)
}

/// The answer that opens a tunnel.
#[must_use]
pub fn switching<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

pub(crate) fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let names = |header, name: &str| {
        let values = headers.get_all(header).into_iter();
        let words = values.filter_map(|value| value.to_str().ok());
        let mut words = words.flat_map(|value| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(name))
    };
    names(CONNECTION, "upgrade") && names(UPGRADE, PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], expected: &str) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let error = read_proof(&map).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_no_proof_is_said() {
        let upgrade = ("upgrade", "gaia-tunnel");
        let connection = ("connection", "keep-alive, Upgrade");
        check(&[], "opens tunnels");
        check(&[upgrade], "opens tunnels");
        check(&[connection, ("upgrade", "websocket")], "opens tunnels");
        check(&[connection, upgrade], "is missing");
        let with = |proof: &str, expected| {
            check(&[connection, upgrade, ("gaia-proof", proof)], expected);
        };
        with("???", "no base64");
        with("e30=", "no signed Heartbeat");
        with(&"A".repeat(PROOF_BYTES_MAX), "no signed Heartbeat");
        with(&"A".repeat(PROOF_BYTES_MAX + 1), "is longer than");
    }
}
