//! The vector store: Qdrant's REST API on loopback.
//!
//! What it refuses: any address but the one in the options, whatever a request says. A reply is bounded in size and
//! time.

use std::time::Duration;

use gaia_rag::Hit;
use serde_json::{Value, json};

use crate::options::{LoopbackAddress, Secret};

const TIME_MAX: Duration = Duration::from_secs(10);
const REPLY_BYTES_MAX: usize = 16 << 20;

/// The store the options name.
pub(crate) struct Store {
    address: LoopbackAddress,
    key: Option<Secret>,
    collection: String,
}

/// Why the store has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Nobody is there, or it does not speak HTTP.
    #[error("the vector store does not answer: {0}")]
    Unreachable(String),
    /// It answers that it cannot.
    #[error("the vector store answers {status}: {reason}")]
    Refused { status: u16, reason: String },
    /// It answers something else.
    #[error("the vector store's answer is not JSON")]
    NotJson,
}

impl Store {
    pub(crate) fn new(address: LoopbackAddress, key: Option<Secret>, collection: String) -> Self {
        Self {
            address,
            key,
            collection,
        }
    }

    /// The points nearest to `vector`; `None` where the collection is not there.
    pub(crate) async fn query(
        &self,
        vector: &[f32],
        limit: usize,
        score_threshold: f32,
    ) -> Result<Option<Vec<Hit>>, StoreError> {
        let query = json!({
            "query": vector,
            "limit": limit,
            "score_threshold": score_threshold,
            "with_payload": true,
        });
        match self.ask("query", &query).await {
            Ok(reply) => Ok(Some(Hit::from_reply(&reply))),
            Err(StoreError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many points the collection has; a collection that is not there has none.
    pub(crate) async fn count(&self) -> Result<u64, StoreError> {
        match self.ask("count", &json!({"exact": true})).await {
            Ok(reply) => Ok(reply
                .pointer("/result/count")
                .and_then(Value::as_u64)
                .unwrap_or(0)),
            Err(StoreError::Refused { status: 404, .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn path(&self, operation: &str) -> String {
        format!("/collections/{}/points/{operation}", self.collection)
    }
}

#[cfg(target_os = "wasi")]
mod wire {
    use http_body_util::Full;
    use hyper::Request;
    use hyper::body::Bytes;

    use super::{REPLY_BYTES_MAX, Store, StoreError, TIME_MAX, Value};

    impl Store {
        pub(super) async fn ask(&self, operation: &str, body: &Value) -> Result<Value, StoreError> {
            let mut request = Request::post(self.path(operation))
                .header("host", self.address.socket.to_string())
                .header("content-type", "application/json");
            if let Some(key) = &self.key {
                request = request.header("api-key", key.reveal());
            }
            let body = Full::new(Bytes::from(body.to_string()));
            let request = request
                .body(body)
                .map_err(|error| StoreError::Unreachable(error.to_string()))?;
            let socket = self.address.socket;
            let response = gaia_wasi_rt::send_request(socket, request, REPLY_BYTES_MAX, TIME_MAX)
                .await
                .map_err(|error| StoreError::Unreachable(error.to_string()))?;
            let status = response.status().as_u16();
            super::read(status, response.body())
        }
    }
}

#[cfg(not(target_os = "wasi"))]
impl Store {
    async fn ask(&self, operation: &str, _: &Value) -> Result<Value, StoreError> {
        Err(StoreError::Unreachable(self.path(operation)))
    }
}

fn read(status: u16, body: &[u8]) -> Result<Value, StoreError> {
    let reply: Option<Value> = serde_json::from_slice(body).ok();
    if (200..300).contains(&status) {
        return reply.ok_or(StoreError::NotJson);
    }
    let reason = reply
        .as_ref()
        .and_then(|reply| reply.pointer("/status/error")?.as_str());
    Err(StoreError::Refused {
        status,
        reason: reason
            .unwrap_or("no reason given")
            .chars()
            .take(200)
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_with_their_status() {
        assert_eq!(read(200, b"{\"result\":1}").unwrap()["result"], 1);
        assert!(matches!(read(200, b"<html>"), Err(StoreError::NotJson)));
        let refused = read(404, b"{\"status\":{\"error\":\"Not found\"}}").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the vector store answers 404: Not found"
        );
        let refused = read(502, b"").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the vector store answers 502: no reason given"
        );
    }
}
