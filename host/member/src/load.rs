//! How busy the node is: with what came through the tunnels, and with what others have sent it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gaia_tunnel::messages::Report;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::node::NodeNow;

/// How often the node is asked what others make it do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long it may take to say so.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The longest text of metrics, in bytes.
const METRICS_BYTES_MAX: usize = 4 << 20;

/// Bytes of a request's body to a token of its prompt, about.
const BYTES_PER_TOKEN: u64 = 4;

/// How busy the node is.
#[derive(Debug, Default)]
pub(crate) struct Load {
    running: AtomicU32,
    unread_bytes: AtomicU64,
    others: AtomicU32,
}

/// A request that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    load: Arc<Load>,
    unread_bytes: u64,
}

impl Load {
    /// A request with a body of so many bytes begins.
    pub(crate) fn begin(self: &Arc<Self>, body_bytes: u64) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.unread_bytes.fetch_add(body_bytes, Ordering::Relaxed);
        Running {
            load: Arc::clone(self),
            unread_bytes: body_bytes,
        }
    }

    pub(crate) fn report(&self) -> Report {
        let own = self.running.load(Ordering::Relaxed);
        Report {
            requests: own.saturating_add(self.others.load(Ordering::Relaxed)),
            unread: self.unread_bytes.load(Ordering::Relaxed) / BYTES_PER_TOKEN,
            reading: None,
        }
    }

    /// Requests that run through tunnels.
    pub(crate) fn running(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Looks again and again what the node does beside.
    pub(crate) async fn watch(&self, node: watch::Receiver<Option<NodeNow>>) {
        loop {
            let metrics = node.borrow().as_ref().and_then(|node| node.metrics);
            let all = match metrics {
                Some(address) => timeout(LOOK_TIMEOUT, requests_of(address)).await,
                None => Ok(None),
            };
            let all = all.ok().flatten().unwrap_or_default();
            let others = all.saturating_sub(self.running());
            self.others.store(others, Ordering::Relaxed);
            sleep(LOOK_INTERVAL).await;
        }
    }
}

impl Running {
    /// Its prompt was read: the answer begins.
    pub(crate) fn begun(&mut self) {
        let unread = std::mem::take(&mut self.unread_bytes);
        self.load.unread_bytes.fetch_sub(unread, Ordering::Relaxed);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.begun();
        self.load.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the node's metrics say, if they can be had.
async fn requests_of(address: std::net::SocketAddr) -> Option<u32> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get("/metrics")
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())
        .ok()?;
    let reading = async {
        let response = sender.send_request(request).await.ok()?;
        let body = Limited::new(response.into_body(), METRICS_BYTES_MAX);
        let bytes = body.collect().await.ok()?.to_bytes();
        requests_in(std::str::from_utf8(&bytes).ok()?)
    };
    // The connection ends with the question.
    tokio::select! {
        found = reading => found,
        _ = connection => None,
    }
}

/// Requests that run or wait, as the text of `/metrics` has them.
fn requests_in(metrics: &str) -> Option<u32> {
    let value = |name: &str| {
        let found = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found?.trim().parse::<f64>().ok()
    };
    let sum = value("gaia_requests_running")? + value("gaia_requests_waiting").unwrap_or(0.0);
    // Clamped, so it fits.
    Some(sum.clamp(0.0, f64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_found_in_metrics() {
        let check = |text: &str, expected| assert_eq!(requests_in(text), expected, "{text}");
        check(
            "# TYPE gaia_requests_running gauge\ngaia_requests_running 3\ngaia_requests_waiting 2\n",
            Some(5),
        );
        check("gaia_requests_running 1\n", Some(1));
        check("gaia_requests_running -1\n", Some(0));
        check("gaia_requests_running x\n", None);
        check("gaia_requests_running_total 7\n", None);
        check("", None);
    }

    #[test]
    fn what_runs_is_counted_while_it_does() {
        let load = Arc::new(Load::default());
        let mut one = load.begin(4_000);
        let two = load.begin(400);
        assert_eq!((load.report().requests, load.report().unread), (2, 1_100));
        one.begun();
        one.begun();
        assert_eq!((load.report().requests, load.report().unread), (2, 100));
        drop(two);
        drop(one);
        assert_eq!((load.report().requests, load.report().unread), (0, 0));
    }
}
