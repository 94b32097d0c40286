//! JSON over HTTP to a server on loopback.
//!
//! Every call has a time limit, every reply a size limit. A server that is busy (429, 503) is asked again a few
//! times; anything else is reported at once.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use ureq::SendBody;
use ureq::http::Method;
use ureq::http::header::RETRY_AFTER;

/// Longest a single call may take: a batch of embeddings on a slow machine under load.
const CALL_SECONDS_MAX: u64 = 300;
/// Longest an upload may take, with what the server does with it: a large snapshot on a slow disk.
const UPLOAD_SECONDS_MAX: u64 = 3_600;
/// Longest it may take to connect.
const CONNECT_SECONDS_MAX: u64 = 5;
/// Largest reply that is read.
const REPLY_BYTES_MAX: u64 = 64 << 20;
/// How often a busy server is asked.
const ATTEMPTS_MAX: u32 = 8;
/// Longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Bytes of an error's text that are kept.
const MESSAGE_BYTES_MAX: usize = 500;

/// Where a server is and how it knows us.
#[derive(Clone)]
pub struct Endpoint {
    /// For messages: "worker", "store".
    pub name: &'static str,
    /// As `http://127.0.0.1:6333`, without a path.
    pub url: String,
    /// The key, where it wants one.
    pub key: Option<String>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}, key ****", self.name, self.url)
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No reply.
    #[error("the {server} at {url} does not answer")]
    Unreachable {
        /// Which server.
        server: &'static str,
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// A reply that says no.
    #[error("the {server} answered {status} to {path}: {message}")]
    Refused {
        /// Which server.
        server: &'static str,
        /// What was called.
        path: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// A reply that is not what the API promises.
    #[error("the {server} gave an unexpected reply to {path}: {what}")]
    Reply {
        /// Which server.
        server: &'static str,
        /// What was called.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// How a key travels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KeyHeader {
    Bearer,
    ApiKey,
}

/// A server to call.
pub(crate) struct Client {
    endpoint: Endpoint,
    header: KeyHeader,
    agent: ureq::Agent,
}

impl Client {
    pub(crate) fn new(endpoint: Endpoint, header: KeyHeader) -> Self {
        let config = ureq::Agent::config_builder()
            // A proxy is for the way out; this talks to this machine only.
            .proxy(None)
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(CALL_SECONDS_MAX)))
            .timeout_connect(Some(Duration::from_secs(CONNECT_SECONDS_MAX)))
            .build();
        Self {
            endpoint,
            header,
            agent: config.into(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, HttpError> {
        self.call(&Method::GET, path, None)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, HttpError> {
        self.call(&Method::PUT, path, Some(body))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, HttpError> {
        self.call(&Method::POST, path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, HttpError> {
        self.call(&Method::DELETE, path, None)
    }

    /// Sends `file` as the field `field` of a form. It is sent once, however busy the server says it is.
    pub(crate) fn upload(
        &self,
        path: &str,
        field: &str,
        file: &mut dyn Read,
    ) -> Result<Value, HttpError> {
        // As improbable in the file as any 128 bits.
        let (a, b) = (random(), random());
        let boundary = format!("gaia-{a:016x}{b:016x}");
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{field}\"\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let mut body = head.as_bytes().chain(file).chain(tail.as_bytes());
        let request = self.request(&Method::POST, path).header(
            "content-type",
            format!("multipart/form-data; boundary={boundary}"),
        );
        let unreachable = |source| self.unreachable(source);
        let request = request
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| unreachable(error.into()))?;
        let request = self
            .agent
            .configure_request(request)
            .timeout_global(Some(Duration::from_secs(UPLOAD_SECONDS_MAX)))
            .build();
        let reply = self.agent.run(request).map_err(unreachable)?;
        match self.read(path, reply)? {
            Reply::Json(value) => Ok(value),
            Reply::Busy(_, refused) => Err(refused),
        }
    }

    /// An error about a reply this server gave.
    pub(crate) fn reply_error(&self, path: &str, what: impl Into<String>) -> HttpError {
        HttpError::Reply {
            server: self.endpoint.name,
            path: path.to_owned(),
            what: what.into(),
        }
    }

    fn call(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value, HttpError> {
        let mut attempt = 1;
        loop {
            match self.attempt(method, path, body)? {
                Reply::Json(value) => return Ok(value),
                Reply::Busy(wait, _) if attempt < ATTEMPTS_MAX => {
                    sleep(wait.unwrap_or_else(|| backoff(attempt)))
                }
                Reply::Busy(_, refused) => return Err(refused),
            }
            attempt += 1;
        }
    }

    fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, HttpError> {
        let reply = self
            .send(method, path, body)
            .map_err(|source| self.unreachable(source))?;
        self.read(path, reply)
    }

    fn read(
        &self,
        path: &str,
        mut reply: ureq::http::Response<ureq::Body>,
    ) -> Result<Reply, HttpError> {
        let status = reply.status().as_u16();
        let wait = reply
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let text = reply
            .body_mut()
            .with_config()
            .limit(REPLY_BYTES_MAX)
            .read_to_string();
        let text = text.map_err(|source| self.unreachable(source))?;
        if (200..300).contains(&status) {
            let value = serde_json::from_str(&text)
                .map_err(|error| self.reply_error(path, error.to_string()))?;
            return Ok(Reply::Json(value));
        }
        let (server, path, message) = (self.endpoint.name, path.to_owned(), message(&text));
        let refused = HttpError::Refused {
            server,
            path,
            status,
            message,
        };
        if matches!(status, 429 | 503) {
            let wait = wait.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX));
            return Ok(Reply::Busy(wait, refused));
        }
        Err(refused)
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = self.request(method, path);
        match body {
            Some(body) => self.agent.run(
                request
                    .header("content-type", "application/json")
                    .body(body.to_string())?,
            ),
            None => self.agent.run(request.body(())?),
        }
    }

    fn request(&self, method: &Method, path: &str) -> ureq::http::request::Builder {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.endpoint.url));
        match (&self.endpoint.key, self.header) {
            (Some(key), KeyHeader::Bearer) => {
                request.header("authorization", format!("Bearer {key}"))
            }
            (Some(key), KeyHeader::ApiKey) => request.header("api-key", key),
            (None, _) => request,
        }
    }

    fn unreachable(&self, source: ureq::Error) -> HttpError {
        HttpError::Unreachable {
            server: self.endpoint.name,
            url: self.endpoint.url.clone(),
            source: Box::new(source),
        }
    }
}

enum Reply {
    Json(Value),
    Busy(Option<Duration>, HttpError),
}

/// The standard library keys each hasher anew, from the system's randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(100 << attempt.min(6)).min(WAIT_MAX)
}

/// The words in an error of OpenAI's or Qdrant's shape, or the start of whatever came.
fn message(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let told = ["/error/message", "/status/error"]
        .iter()
        .find_map(|path| value.pointer(path)?.as_str());
    let told = told.unwrap_or(text).trim();
    let end = told
        .char_indices()
        .map(|(at, _)| at)
        .take_while(|&at| at <= MESSAGE_BYTES_MAX)
        .last()
        .unwrap_or(0);
    if told.len() <= MESSAGE_BYTES_MAX {
        told.to_owned()
    } else {
        told.get(..end).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_speak_plainly() {
        let check = |text: &str, expected: &str| assert_eq!(message(text), expected);
        check(
            r#"{"error":{"message":"no model","code":null}}"#,
            "no model",
        );
        check(r#"{"status":{"error":"Not found"},"time":0}"#, "Not found");
        check(" plain ", "plain");
        assert!(message(&"ü".repeat(1000)).len() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn keys_do_not_print() {
        let endpoint = Endpoint {
            name: "store",
            url: "http://127.0.0.1:1".into(),
            key: Some("hunter2".into()),
        };
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }
}
