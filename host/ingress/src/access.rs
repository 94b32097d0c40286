//! Request ids and the access log: one line a request, without bodies, queries or keys.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyper::header::HeaderValue;
use hyper::{Method, Request};

use crate::keys::KeyId;

/// Longest id a caller may choose, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Header that carries the id both ways.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// What is logged about a request, and when: as it ends, however it ends.
#[derive(Debug)]
pub(crate) struct Access {
    id: HeaderValue,
    peer: IpAddr,
    key: Option<KeyId>,
    method: Method,
    path: String,
    started: Instant,
    status: u16,
    bytes: u64,
    complete: bool,
}

impl Access {
    /// Starts the clock.
    pub(crate) fn new<B>(request: &Request<B>, peer: IpAddr) -> Self {
        Self {
            id: request_id(request.headers().get(REQUEST_ID)),
            peer,
            key: None,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            started: Instant::now(),
            status: 0,
            bytes: 0,
            complete: false,
        }
    }

    pub(crate) fn id(&self) -> &HeaderValue {
        &self.id
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Who asks, by the id of his key, which is no secret.
    pub(crate) fn asked_by(&mut self, key: Option<KeyId>) {
        self.key = key;
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(crate) fn completed(&mut self) {
        self.complete = true;
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        tracing::info!(
            target: "gaia::access",
            request_id = self.id.to_str().unwrap_or_default(),
            peer = %self.peer,
            key = self.key.as_ref().map(KeyId::as_str),
            method = %self.method,
            path = self.path,
            status = self.status,
            bytes = self.bytes,
            complete = self.complete,
            duration_ms = self.started.elapsed().as_millis() as u64,
            "request"
        );
    }
}

/// The caller's id where it is harmless, else a new one.
fn request_id(asked: Option<&HeaderValue>) -> HeaderValue {
    let harmless = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    match asked.filter(harmless) {
        Some(id) => id.clone(),
        None => new_id(),
    }
}

/// Not secret, only different from all others: a number nobody counts along with.
fn new_id() -> HeaderValue {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let hash = RandomState::new().hash_one(count);
    let id = format!("req-{hash:016x}{count:06x}");
    HeaderValue::try_from(id).expect("hexadecimal digits are fine in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_ids_are_echoed() {
        let check = |id: &'static str, echoed| {
            let id = HeaderValue::from_static(id);
            assert_eq!(request_id(Some(&id)) == id, echoed);
        };
        check("abc-123", true);
        check("", false);
        check("a b", false);
        assert_ne!(request_id(None), request_id(None));
        let long = HeaderValue::try_from("x".repeat(ID_BYTES_MAX + 1)).unwrap();
        assert_ne!(request_id(Some(&long)), long);
    }
}
