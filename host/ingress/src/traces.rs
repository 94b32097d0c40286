//! Traces of requests: whose trace a request belongs to, and where its spans go.
//!
//! Invariant: a request never waits for whoever takes the spans. What he has no room for is counted and forgotten.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gaia_trace::{Report, Request, Span, SpanId, TraceId, TraceParent, server_span, spans_of};
use hyper::header::HeaderMap;
use tokio::sync::mpsc;

/// Requests whose spans wait to be taken; of more, they are dropped.
pub const QUEUE_LEN_MAX: usize = 256;

/// Header of the W3C's trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Where the spans of requests go.
#[derive(Debug, Clone)]
pub struct Traces {
    sender: mpsc::Sender<Vec<Span>>,
    counts: Arc<TraceCounts>,
    /// Of requests that bring no trace, so many are traced, from 0 to 1.
    sample: f64,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct TraceCounts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl TraceCounts {
    /// So many were taken.
    pub fn exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// So many are lost.
    pub fn dropped(&self, spans: usize) {
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

impl Traces {
    /// Traces `sample` of the requests; the spans come out of the receiver.
    pub fn new(sample: f64) -> (Self, mpsc::Receiver<Vec<Span>>) {
        let (sender, receiver) = mpsc::channel(QUEUE_LEN_MAX);
        let traces = Self {
            sender,
            counts: Arc::default(),
            sample,
        };
        (traces, receiver)
    }

    /// Counts what becomes of the spans.
    pub fn counts(&self) -> Arc<TraceCounts> {
        Arc::clone(&self.counts)
    }

    /// The trace of a request with these headers, if it is traced: as its caller has it, else as it comes.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<Traced> {
        let asked = headers.get(TRACEPARENT);
        let asked = asked.and_then(|value| value.to_str().ok()?.parse::<TraceParent>().ok());
        let wanted = match asked {
            Some(parent) => parent.sampled,
            None => chance() < self.sample,
        };
        wanted.then(|| Traced {
            own: TraceParent {
                trace: asked.map_or_else(new_trace, |parent| parent.trace),
                span: new_span(),
                sampled: true,
            },
            parent: asked.map(|parent| parent.span),
            traces: self.clone(),
            start: nanos(SystemTime::now()),
        })
    }

    /// In Prometheus' format 0.0.4.
    pub(crate) fn text(&self) -> String {
        let line = |name: &str, help: &str, count: &AtomicU64| {
            let count = count.load(Ordering::Relaxed);
            format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}\n")
        };
        let counts = &self.counts;
        line(
            "gaia_trace_spans_exported_total",
            "Spans that the collector took.",
            &counts.exported,
        ) + &line(
            "gaia_trace_spans_dropped_total",
            "Spans that were lost: the collector was away or too slow.",
            &counts.dropped,
        )
    }
}

/// The trace of one request.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    pub(crate) own: TraceParent,
    parent: Option<SpanId>,
    traces: Traces,
    start: u64,
}

/// What is known of a request when it is over.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub(crate) id: String,
    pub(crate) method: String,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) complete: bool,
    /// Since it came: when it was passed on, and when it was over.
    pub(crate) passed_on: Option<Duration>,
    pub(crate) took: Duration,
}

impl Traced {
    /// Hands the spans of the request over, with those of what the worker did.
    pub(crate) fn over(self, over: &Over, report: Option<&Report>) {
        let at = |since: Duration| self.start.saturating_add(in_nanos(since));
        let end = at(over.took);
        let mut spans = vec![server_span(&Request {
            own: self.own,
            parent: self.parent,
            start: self.start,
            end,
            id: &over.id,
            method: &over.method,
            route: over.route,
            status: over.status,
            complete: over.complete,
        })];
        if let Some(report) = report {
            let came = at(over.passed_on.unwrap_or_default());
            spans.extend(spans_of(report, &self.own, (came, end), &mut new_span));
        }
        let count = spans.len();
        if self.traces.sender.try_send(spans).is_err() {
            self.traces.counts.dropped(count);
        }
    }
}

fn nanos(time: SystemTime) -> u64 {
    in_nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn in_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Not secret, only different from all others.
fn random() -> u64 {
    RandomState::new().hash_one(Instant::now())
}

/// A number from 0 to below 1.
fn chance() -> f64 {
    const STEPS: u64 = 1 << 32;
    (random() % STEPS) as f64 / STEPS as f64
}

fn new_span() -> SpanId {
    SpanId::from_random(random())
}

fn new_trace() -> TraceId {
    TraceId::from_random(u128::from(random()) << 64 | u128::from(random()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(traceparent: &'static str) -> HeaderMap {
        let value = hyper::header::HeaderValue::from_static(traceparent);
        HeaderMap::from_iter([(hyper::header::HeaderName::from_static(TRACEPARENT), value)])
    }

    const ASKED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn over() -> Over {
        Over {
            id: "req-1".to_owned(),
            method: "GET".to_owned(),
            route: "/v1/models",
            status: 200,
            complete: true,
            passed_on: None,
            took: Duration::from_millis(5),
        }
    }

    #[test]
    fn a_callers_trace_goes_on_and_he_decides() {
        let (traces, mut spans) = Traces::new(0.0);
        assert!(traces.of(&HeaderMap::new()).is_none());
        assert!(traces.of(&headers(UNSAMPLED)).is_none());
        let traced = traces.of(&headers(ASKED)).unwrap();
        traced.over(&over(), None);
        let [span] = spans.try_recv().unwrap().try_into().unwrap();
        assert_eq!(span.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.parent.unwrap().to_string(), "b7ad6b7169203331");
        assert_eq!(span.end - span.start, 5_000_000);
    }

    #[test]
    fn without_one_a_trace_begins() {
        let (traces, mut spans) = Traces::new(1.0);
        traces.of(&HeaderMap::new()).unwrap().over(&over(), None);
        traces.of(&headers("nonsense")).unwrap().over(&over(), None);
        let [one] = spans.try_recv().unwrap().try_into().unwrap();
        let [two] = spans.try_recv().unwrap().try_into().unwrap();
        assert_eq!((one.parent, two.parent), (None, None));
        assert_ne!(one.trace, two.trace);
    }

    #[test]
    fn nobody_waits_for_a_full_queue() {
        let (traces, _spans) = Traces::new(1.0);
        for _ in 0..QUEUE_LEN_MAX + 3 {
            traces.of(&HeaderMap::new()).unwrap().over(&over(), None);
        }
        let text = traces.text();
        assert!(
            text.contains("gaia_trace_spans_dropped_total 3\n"),
            "{text}"
        );
        assert!(
            text.contains("gaia_trace_spans_exported_total 0\n"),
            "{text}"
        );
    }
}
