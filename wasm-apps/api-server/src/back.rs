//! The host's back port: what the sandbox cannot do itself, asked for over HTTP on loopback.
//!
//! What it refuses: any address but the one in the options. A reply is bounded in size and time. A question that is
//! dropped closes its connection, which ends what the host does for it.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use gaia_trace::TraceParent;
use serde_json::Value;

use crate::options::{LoopbackAddress, Options, Secret};

/// Where the host listens for its worker.
pub(crate) struct Back {
    address: LoopbackAddress,
    key: Option<Secret>,
}

/// The longest reply to what is passed on: a file.
const PASSED_BYTES_MAX: usize = 65 << 20;
/// Reading a file for the knowledge base takes its time.
const PASSED_TIME_MAX: Duration = Duration::from_secs(120);

/// A request that the host answers as it is.
pub(crate) struct Passed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) body: Bytes,
}

/// The host's answer to what was passed on, whatever it is.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
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
    use std::time::Duration;

    use http_body_util::Full;
    use hyper::body::Bytes;
    use hyper::{Request, Response};

    use super::{
        Back, BackError, PASSED_BYTES_MAX, PASSED_TIME_MAX, Passed, Question, Said, TraceParent,
        Value,
    };
    use crate::meter::Meter;

    impl Back {
        /// Asks the host.
        ///
        /// # Errors
        /// See [`BackError`].
        pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Value, BackError> {
            self.ask_within(question, None).await
        }

        /// Asks the host for something that belongs to `trace`.
        ///
        /// # Errors
        /// See [`BackError`].
        pub(crate) async fn ask_within(
            &self,
            question: Question<'_>,
            trace: Option<TraceParent>,
        ) -> Result<Value, BackError> {
            let passed = Passed {
                method: question.method,
                path: question.path,
                content_type: "application/json",
                body: Bytes::from(question.body),
            };
            let sent = self.send(passed, trace, question.reply_bytes_max, question.time_max);
            let response = sent.await?;
            super::read(response.status().as_u16(), response.body())
        }

        /// Has the host answer a request of a caller.
        ///
        /// # Errors
        /// The host does not answer.
        pub(crate) async fn pass(&self, passed: Passed<'_>) -> Result<Said, BackError> {
            let response = self.send(passed, None, PASSED_BYTES_MAX, PASSED_TIME_MAX);
            let response = response.await?;
            let (head, body) = response.into_parts();
            Ok(Said {
                status: head.status.as_u16(),
                headers: head.headers,
                body,
            })
        }

        async fn send(
            &self,
            passed: Passed<'_>,
            trace: Option<TraceParent>,
            bytes_max: usize,
            time_max: Duration,
        ) -> Result<Response<Bytes>, BackError> {
            let mut request = Request::builder()
                .method(passed.method)
                .uri(passed.path)
                .header("host", self.address.socket.to_string())
                .header("content-type", passed.content_type);
            if let Some(key) = &self.key {
                request = request.header("authorization", format!("Bearer {}", key.reveal()));
            }
            // So that what the host writes down can be found by it.
            if let Some(id) = Meter::current_request() {
                request = request.header("x-request-id", id);
            }
            if let Some(trace) = trace {
                request = request.header("traceparent", trace.to_string());
            }
            let request = request
                .body(Full::new(passed.body))
                .map_err(|error| BackError::Unreachable(error.to_string()))?;
            let socket = self.address.socket;
            let response = gaia_wasi_rt::send_request(socket, request, bytes_max, time_max).await;
            response.map_err(|error| BackError::Unreachable(error.to_string()))
        }
    }
}

#[cfg(not(target_os = "wasi"))]
impl Back {
    /// There are no sockets natively, where only the tests run.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Value, BackError> {
        Err(BackError::Unreachable(question.path.to_owned()))
    }

    /// Neither for what belongs to a trace.
    pub(crate) async fn ask_within(
        &self,
        question: Question<'_>,
        _trace: Option<TraceParent>,
    ) -> Result<Value, BackError> {
        self.ask(question).await
    }

    /// Neither is there anybody to pass on to.
    pub(crate) async fn pass(&self, passed: Passed<'_>) -> Result<Said, BackError> {
        Err(BackError::Unreachable(passed.path.to_owned()))
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
