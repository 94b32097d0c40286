//! `/metrics`: what the worker counts, and what was counted here before it came so far.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use crate::body::{ReplyBody, full};
use crate::handler::{Shared, address_to};
use crate::routes::METRICS;
use crate::server::connections_max;

/// How long the worker may take.
const WORKER_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that the worker may have to say, in bytes.
const TEXT_BYTES_MAX: usize = 4 << 20;

impl Shared {
    /// All counts; those of the ingress alone while there is no worker.
    pub(crate) async fn metrics(&self) -> Response<ReplyBody> {
        let worker = tokio::time::timeout(WORKER_TIMEOUT, self.worker_metrics()).await;
        let mut text = worker.ok().flatten().unwrap_or_default().to_vec();
        let open = connections_max(&self.config.limits) - self.connections.available_permits();
        let counts = self.counts.text(open, self.places.taken());
        text.extend_from_slice(counts.as_bytes());
        text.extend_from_slice(self.refused.text().as_bytes());
        if let Some(traces) = &self.config.traces {
            text.extend_from_slice(traces.text().as_bytes());
        }
        text.extend_from_slice(self.processes.text().as_bytes());
        let mut response = Response::new(full(text));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }

    async fn worker_metrics(&self) -> Option<Bytes> {
        let worker = self.worker.borrow().clone()?;
        let mut request = Request::new(Full::default());
        *request.uri_mut() = METRICS.parse().ok()?;
        address_to(&worker, request.headers_mut());
        let (response, lease) = self.pool.send(worker.address, request).await.ok()?;
        let status = response.status();
        let text = Limited::new(response.into_body(), TEXT_BYTES_MAX)
            .collect()
            .await;
        let text = text.ok()?.to_bytes();
        lease.give_back();
        (status == StatusCode::OK).then_some(text)
    }
}
