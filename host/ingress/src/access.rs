//! Request ids and the access log: one line a request, without bodies, queries or keys.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gaia_trace::Report;
use hyper::header::HeaderValue;
use hyper::{Method, Request};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::keys::KeyId;
use crate::routes;
use crate::traces::{Over, Traced, Traces};

/// Longest id a caller may choose, in bytes.
const ID_BYTES_MAX: usize = 128;

/// How long a line waits for what the worker says of the request.
const REPORT_PATIENCE: Duration = Duration::from_secs(1);

/// Header that carries the id both ways.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// What is logged about a request, and when: as it ends, however it ends.
#[derive(Debug)]
pub(crate) struct Access {
    line: Line,
    started: Instant,
    passed_on: OnceLock<Instant>,
    traced: Option<Traced>,
    /// What the worker will have said of it.
    report: OnceLock<oneshot::Receiver<Report>>,
}

/// Who asked for what, and what he got.
#[derive(Debug)]
struct Line {
    id: HeaderValue,
    peer: IpAddr,
    key: Option<(KeyId, String)>,
    method: Method,
    path: String,
    route: &'static str,
    status: u16,
    bytes: u64,
    complete: bool,
}

impl Access {
    /// Starts the clock.
    pub(crate) fn new<B>(request: &Request<B>, peer: IpAddr, traces: Option<&Traces>) -> Self {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let traces = traces.filter(|_| routes::is_traced(&method, &path));
        Self {
            traced: traces.and_then(|traces| traces.of(request.headers())),
            line: Line {
                id: request_id(request.headers().get(REQUEST_ID)),
                peer,
                key: None,
                route: routes::route_of(&method, &path),
                method,
                path,
                status: 0,
                bytes: 0,
                complete: false,
            },
            started: Instant::now(),
            passed_on: OnceLock::new(),
            report: OnceLock::new(),
        }
    }

    pub(crate) fn id(&self) -> &HeaderValue {
        &self.line.id
    }

    pub(crate) fn method(&self) -> &Method {
        &self.line.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.line.path
    }

    /// The path without what varies.
    pub(crate) fn route(&self) -> &'static str {
        self.line.route
    }

    /// The request's trace, if it is traced.
    pub(crate) fn traced(&self) -> Option<&Traced> {
        self.traced.as_ref()
    }

    /// Who asks: the id of his key, which is no secret, and its name.
    pub(crate) fn asked_by(&mut self, key: Option<(KeyId, String)>) {
        self.line.key = key;
    }

    /// It goes to the worker now.
    pub(crate) fn passed_on(&self) {
        // Of several attempts the first counts.
        let _first = self.passed_on.set(Instant::now());
    }

    /// What the worker says of it will come from there.
    pub(crate) fn hears(&self, report: oneshot::Receiver<Report>) {
        // A request goes to the worker once.
        let _first = self.report.set(report);
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.line.status = status;
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.line.bytes += bytes as u64;
    }

    pub(crate) fn completed(&mut self) {
        self.line.complete = true;
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let over = Over {
            id: self.line.id().to_owned(),
            method: self.line.method.to_string(),
            route: self.line.route,
            status: self.line.status,
            complete: self.line.complete,
            passed_on: self.passed_on.get().map(|at| *at - self.started),
            took,
        };
        let traced = self.traced.take();
        let runtime = tokio::runtime::Handle::try_current().ok();
        match (self.report.take(), runtime) {
            (Some(report), Some(runtime)) => {
                let line = self.line.take();
                runtime.spawn(ended(line, over, traced, report));
            }
            _ => {
                self.line.write(took, None);
                if let Some(traced) = traced {
                    traced.over(&over, None);
                }
            }
        }
    }
}

/// Writes the line of a request that is over, once the worker has said what it took, and hands on its trace.
async fn ended(line: Line, over: Over, traced: Option<Traced>, report: oneshot::Receiver<Report>) {
    let mut report = report;
    let told = timeout(REPORT_PATIENCE, &mut report).await;
    line.write(
        over.took,
        told.as_ref().ok().and_then(|told| told.as_ref().ok()),
    );
    if let Some(traced) = traced {
        let told = match told {
            Ok(told) => told.ok(),
            // Whoever asks the worker gives up by himself.
            Err(_) => report.await.ok(),
        };
        traced.over(&over, told.as_ref());
    }
}

impl Line {
    fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }

    /// The same line, for somebody who outlives this one.
    fn take(&mut self) -> Self {
        Self {
            id: self.id.clone(),
            key: self.key.take(),
            method: self.method.clone(),
            path: std::mem::take(&mut self.path),
            ..*self
        }
    }

    fn write(&self, took: Duration, report: Option<&Report>) {
        let key = self.key.as_ref();
        tracing::info!(
            target: "gaia::access",
            request_id = self.id(),
            peer = %self.peer,
            key = key.map(|(id, _)| id.as_str()),
            key_name = key.map(|(_, name)| name.as_str()),
            method = %self.method,
            path = self.path,
            route = self.route,
            status = self.status,
            bytes = self.bytes,
            complete = self.complete,
            duration_ms = took.as_millis() as u64,
            prompt_tokens = report.map(|report| report.prompt_tokens),
            completion_tokens = report.map(|report| report.completion_tokens),
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
