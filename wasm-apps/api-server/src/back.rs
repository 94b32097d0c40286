//! The host's back port: what the sandbox cannot do itself, asked for over HTTP on loopback.
//!
//! What it refuses: any address but the one in the options. A reply is bounded in size and time. A question that is
//! dropped closes its connection, which ends what the host does for it.

use std::time::Duration;

use serde_json::Value;

use crate::options::{LoopbackAddress, Options, Secret};

/// Where the host listens for its worker.
pub(crate) struct Back {
    address: LoopbackAddress,
    key: Option<Secret>,
}

/// What is asked of the host.
pub(crate) struct Question<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    /// JSON, or nothing.
    pub(crate) body: String,
    /// The longest reply that is read.
    pub(crate) reply_bytes_max: usize,
    pub(crate) time_max: Duration,
}

/// Why the host has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackError {
    /// Nobody is there, or it does not speak HTTP.
    #[error("the node's host does not answer: {0}")]
    Unreachable(String),
    /// It answers that it will not.
    #[error("the node's host answers {status}: {reason}")]
    Refused { status: u16, reason: String },
    /// It answers something else.
    #[error("the answer of the node's host is not JSON")]
    NotJson,
}

impl Back {
    /// The host that the options name, if they do.
    pub(crate) fn of(options: &Options) -> Option<Self> {
        Some(Self {
            address: options.back_url.clone()?,
            key: options.back_key.clone(),
        })
    }
}

#[cfg(target_os = "wasi")]
mod wire {
    use http_body_util::Full;
    use hyper::Request;
    use hyper::body::Bytes;

    use super::{Back, BackError, Question, Value};

    impl Back {
        /// Asks the host.
        ///
        /// # Errors
        /// See [`BackError`].
        pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Value, BackError> {
            let mut request = Request::builder()
                .method(question.method)
                .uri(question.path)
                .header("host", self.address.socket.to_string())
                .header("content-type", "application/json");
            if let Some(key) = &self.key {
                request = request.header("authorization", format!("Bearer {}", key.reveal()));
            }
            let request = request
                .body(Full::new(Bytes::from(question.body)))
                .map_err(|error| BackError::Unreachable(error.to_string()))?;
            let (bytes_max, time_max) = (question.reply_bytes_max, question.time_max);
            let socket = self.address.socket;
            let response = gaia_wasi_rt::send_request(socket, request, bytes_max, time_max).await;
            let response = response.map_err(|error| BackError::Unreachable(error.to_string()))?;
            super::read(response.status().as_u16(), response.body())
        }
    }
}

#[cfg(not(target_os = "wasi"))]
impl Back {
    /// There are no sockets natively, where only the tests run.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Value, BackError> {
        Err(BackError::Unreachable(question.path.to_owned()))
    }
}

fn read(status: u16, body: &[u8]) -> Result<Value, BackError> {
    const REASON_CHARS_MAX: usize = 300;
    let reply: Option<Value> = serde_json::from_slice(body).ok();
    if (200..300).contains(&status) {
        return reply.ok_or(BackError::NotJson);
    }
    let reason = reply.as_ref().and_then(|reply| reply["error"].as_str());
    let reason = reason.unwrap_or("no reason given");
    Err(BackError::Refused {
        status,
        reason: reason.chars().take(REASON_CHARS_MAX).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_with_their_status() {
        assert_eq!(
            read(200, b"{\"tools\":[]}").unwrap()["tools"][0],
            Value::Null
        );
        assert!(matches!(read(200, b"<html>"), Err(BackError::NotJson)));
        let refused = |status, body: &[u8]| read(status, body).unwrap_err().to_string();
        let expected = "the node's host answers 401: the key is wrong";
        assert_eq!(refused(401, b"{\"error\":\"the key is wrong\"}"), expected);
        let expected = "the node's host answers 502: no reason given";
        assert_eq!(refused(502, b""), expected);
    }
}
