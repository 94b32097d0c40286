//! What is asked for, and what came back.

use std::time::Duration;

use gaia_outbound::Target;
use hyper::Method;
use hyper::body::Bytes;

use crate::HeaderText;

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: Vec<(String, HeaderText)>,
    /// What is sent along, and what it is.
    pub(crate) body: Option<(&'static str, Bytes)>,
    pub(crate) time_max: Option<Duration>,
    pub(crate) reply_bytes_max: Option<usize>,
}

impl Ask {
    /// Asks `target` without headers or body.
    pub fn new(method: Method, target: Target) -> Self {
        Self {
            method,
            target,
            headers: Vec::new(),
            body: None,
            time_max: None,
            reply_bytes_max: None,
        }
    }

    /// Sends a header along. Those that say how a request travels are the egress's own.
    pub fn header(&mut self, name: &str, value: HeaderText) {
        self.headers.push((name.to_owned(), value));
    }

    /// Sends JSON along.
    pub fn json(&mut self, text: String) {
        self.body = Some(("application/json", text.into()));
    }

    /// Sends a message of protobuf along.
    pub fn protobuf(&mut self, message: Vec<u8>) {
        self.body = Some(("application/x-protobuf", message.into()));
    }

    /// Takes less time, or a shorter reply, than the egress would allow.
    pub fn limit(&mut self, time_max: Duration, reply_bytes_max: usize) {
        self.time_max = Some(time_max);
        self.reply_bytes_max = Some(reply_bytes_max);
    }
}

/// The reply: data from a stranger, without the secrets that went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    /// The HTTP status.
    pub status: u16,
    /// What it says it is.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
    /// From the first look at the name to the last byte.
    pub took: Duration,
}
