//! What the ingress counts of all requests, for Prometheus.
//!
//! Labels are from fixed lists: nothing that a caller sends becomes one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::routes;

/// Classes of a status: its first digit, 1 to 5.
const CLASSES: usize = 5;

/// The counts.
#[derive(Debug)]
pub(crate) struct Counts {
    requests: BTreeMap<&'static str, [AtomicU64; CLASSES]>,
    bytes: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        let routes = routes::all_routes();
        Self {
            requests: routes.map(|route| (route, Default::default())).collect(),
            bytes: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// A request to `route` is answered with `status`.
    pub(crate) fn answered(&self, route: &'static str, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        if let Some(classes) = self.requests.get(route) {
            classes[class].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// So many bytes of answers went out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// In Prometheus' format 0.0.4; of routes only those that were asked for.
    pub(crate) fn text(&self, connections: usize, running: usize) -> String {
        let mut text =
            "# HELP gaia_ingress_requests_total Requests by route and class of status.\n\
             # TYPE gaia_ingress_requests_total counter\n"
                .to_owned();
        for (route, classes) in &self.requests {
            for (class, count) in classes.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let class = class + 1;
                    // Writing to a String cannot fail.
                    let _written = writeln!(
                        text,
                        "gaia_ingress_requests_total{{route=\"{route}\",class=\"{class}xx\"}} {count}"
                    );
                }
            }
        }
        let bytes = self.bytes.load(Ordering::Relaxed);
        for (name, kind, help, value) in [
            (
                "gaia_ingress_sent_bytes_total",
                "counter",
                "Bytes of answers that went out.",
                bytes,
            ),
            (
                "gaia_ingress_connections",
                "gauge",
                "Connections that are open.",
                connections as u64,
            ),
            (
                "gaia_ingress_requests_running",
                "gauge",
                "Requests that have a place, whether they run or wait in the queue.",
                running as u64,
            ),
        ] {
            let _written = writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let counts = Counts::default();
        counts.answered("/v1/models", 200);
        counts.answered("/v1/models", 404);
        counts.answered("/v1/models", 404);
        counts.answered("/nobody/listed\"this", 200);
        counts.sent(7);
        let text = counts.text(3, 2);
        for line in [
            "gaia_ingress_requests_total{route=\"/v1/models\",class=\"2xx\"} 1\n",
            "gaia_ingress_requests_total{route=\"/v1/models\",class=\"4xx\"} 2\n",
            "gaia_ingress_sent_bytes_total 7\n",
            "gaia_ingress_connections 3\n",
            "gaia_ingress_requests_running 2\n",
        ] {
            assert!(text.contains(line), "{line} not in {text}");
        }
        assert!(!text.contains("listed"));
    }
}
