//! How the gateway does: counts since its start, first bytes by their time, nodes by their load.

mod nodes;
mod times;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gaia_ledger::NanoUsd;
use gaia_openai::ApiError;
use gaia_statements::TokenCounts;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Reply};
use crate::shared::Shared;
pub(crate) use times::Times;

/// Statuses that refusals are counted by.
const REFUSED: [u16; 9] = [400, 401, 402, 404, 413, 429, 500, 502, 503];

/// What is counted. All of it since the start.
#[derive(Debug)]
pub(crate) struct Counts {
    started: Instant,
    requests: AtomicU64,
    captured: AtomicU64,
    refused: [AtomicU64; REFUSED.len()],
    refused_otherwise: AtomicU64,
    failed_at_nodes: AtomicU64,
    income: AtomicU64,
    input: AtomicU64,
    cached: AtomicU64,
    output: AtomicU64,
    first_bytes: Times,
    /// From a request's arrival to the end of its answer.
    durations: Times,
}

impl Counts {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            requests: AtomicU64::new(0),
            captured: AtomicU64::new(0),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            refused_otherwise: AtomicU64::new(0),
            failed_at_nodes: AtomicU64::new(0),
            income: AtomicU64::new(0),
            input: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            output: AtomicU64::new(0),
            first_bytes: Times::default(),
            durations: Times::default(),
        }
    }

    /// A request came.
    pub(crate) fn came(&self) {
        add(&self.requests, 1);
    }

    /// A request was refused.
    pub(crate) fn refused(&self, status: u16) {
        let place = REFUSED.iter().position(|known| *known == status);
        let counter = place.and_then(|place| self.refused.get(place));
        add(counter.unwrap_or(&self.refused_otherwise), 1);
    }

    /// An attempt failed.
    pub(crate) fn failed_at_node(&self) {
        add(&self.failed_at_nodes, 1);
    }

    /// A request was captured.
    pub(crate) fn earned(&self, cost: NanoUsd, tokens: TokenCounts) {
        add(&self.captured, 1);
        add(&self.income, cost.get());
        add(&self.input, tokens.input);
        add(&self.cached, tokens.cached);
        add(&self.output, tokens.output);
    }

    /// A request is over; `begun` is when the first byte of its answer was there.
    pub(crate) fn over(&self, arrived: Instant, begun: Option<Instant>) {
        if let Some(begun) = begun {
            self.first_bytes
                .note(begun.saturating_duration_since(arrived));
            self.durations.note(arrived.elapsed());
        }
    }
}

/// `GET /gaia/v1/status`, for the operator: nodes by their addresses, a page of them, with `?after=ADDRESS` the next.
///
/// # Errors
/// 400 where `after` is no address.
pub(crate) async fn show(
    shared: &Shared,
    query: Option<&str>,
) -> Result<Response<Reply>, ApiError> {
    let after = reply::after(query)?;
    let (nodes, balancer, waiting) = shared.nodes.seen();
    let counts = &shared.counts;
    let refused = REFUSED.iter().zip(&counts.refused);
    let refused = refused.filter(|(_, count)| get(count) > 0);
    let refused: serde_json::Map<_, _> = refused
        .map(|(status, count)| (status.to_string(), get(count).into()))
        .collect();
    let page = nodes::page(&nodes, after);
    let notices = shared.config.notices.all();
    let notices: Vec<Value> = notices
        .iter()
        .map(|(about, text)| json!({"about": about, "text": text}))
        .collect();
    let shown = json!({
        "notices": notices,
        "upSeconds": counts.started.elapsed().as_secs(),
        "requests": get(&counts.requests),
        "running": running(shared),
        "waiting": waiting,
        "captured": get(&counts.captured),
        "refused": refused,
        "failedAtNodes": get(&counts.failed_at_nodes),
        "retries": balancer.retries,
        "ejections": balancer.ejections,
        "incomeNanoUsd": get(&counts.income),
        "tokens": {
            "input": get(&counts.input),
            "cached": get(&counts.cached),
            "output": get(&counts.output),
        },
        "firstByteMs": quantiles(&counts.first_bytes),
        "durationMs": quantiles(&counts.durations),
        "income": nodes::income(shared).await,
        "nodesKnown": nodes.len(),
        "nodesServing": nodes.iter().filter(|node| nodes::is_serving(node)).count(),
        "hasMoreNodes": page.has_more,
        "nodes": page.nodes,
    });
    Ok(reply::json(StatusCode::OK, &shown))
}

fn quantiles(times: &Times) -> Value {
    json!({
        "p50": times.quantile_ms(0.5),
        "p90": times.quantile_ms(0.9),
        "p95": times.quantile_ms(0.95),
        "p99": times.quantile_ms(0.99),
    })
}

/// `GET /metrics`, as Prometheus reads it.
pub(crate) fn metrics(shared: &Shared) -> Response<Reply> {
    let (nodes, balancer, waiting) = shared.nodes.seen();
    let counts = &shared.counts;
    let mut text = String::new();
    let mut write = |name: &str, kind: &str, rows: &[(String, u64)]| {
        text.push_str(&format!("# TYPE gaia_gateway_{name} {kind}\n"));
        for (labels, value) in rows {
            text.push_str(&format!("gaia_gateway_{name}{labels} {value}\n"));
        }
    };
    let one = |value: u64| vec![(String::new(), value)];
    write("requests_total", "counter", &one(get(&counts.requests)));
    write("captured_total", "counter", &one(get(&counts.captured)));
    let refused = REFUSED.iter().zip(&counts.refused);
    let refused = refused.map(|(status, count)| (format!("{{status=\"{status}\"}}"), get(count)));
    write("refused_total", "counter", &refused.collect::<Vec<_>>());
    write(
        "failed_at_nodes_total",
        "counter",
        &one(get(&counts.failed_at_nodes)),
    );
    write("retries_total", "counter", &one(balancer.retries));
    write("ejections_total", "counter", &one(balancer.ejections));
    write(
        "income_nano_usd_total",
        "counter",
        &one(get(&counts.income)),
    );
    let tokens = [
        ("input", &counts.input),
        ("cached", &counts.cached),
        ("output", &counts.output),
    ];
    let tokens = tokens.map(|(kind, count)| (format!("{{kind=\"{kind}\"}}"), get(count)));
    write("tokens_total", "counter", &tokens);
    write("requests_running", "gauge", &one(running(shared) as u64));
    write("requests_waiting", "gauge", &one(waiting as u64));
    let healthy = nodes.iter().filter(|node| nodes::is_serving(node)).count() as u64;
    write("nodes", "gauge", &one(nodes.len() as u64));
    write("nodes_serving", "gauge", &one(healthy));
    counts.first_bytes.write(&mut text);
    let plain = HeaderValue::from_static("text/plain; version=0.0.4");
    reply::typed(StatusCode::OK, plain, text)
}

fn running(shared: &Shared) -> usize {
    let all = shared.config.limits.requests_running_max;
    all.saturating_sub(shared.places.available_permits())
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
