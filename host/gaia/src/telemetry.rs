//! Sends the spans of requests to a collector: OTLP over HTTP.
//!
//! One task, one batch at a time, by way of the same egress that tools take: resolved once, pinned, bounded. While the
//! collector is away the batch waits, and what comes meanwhile stays in a queue of fixed length or is lost and counted.
//!
//! Invariant: no request waits for it, and without `otlp_endpoint` nothing of it runs.

use std::sync::Arc;
use std::time::Duration;

use gaia_egress::{Ask, Egress, Limits, Method};
use gaia_ingress::{TraceCounts, Traces};
use gaia_outbound::{AllowList, HeaderTemplate, Target};
use gaia_trace::{Resource, Span, encode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::commands::chain;
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;
use crate::toolbox::{Opener, header_texts, secret_names};

/// Spans of one batch, as far as whole requests allow.
const BATCH_SPANS_MAX: usize = 512;
/// How long the first spans of a batch wait for more.
const BATCH_WAIT: Duration = Duration::from_millis(500);
/// How long the collector may take.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);
/// The longest answer of a collector, in bytes.
const REPLY_BYTES_MAX: usize = 64 << 10;
/// The pauses before a batch is sent again; then it is given up.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];
/// How long a node that stops waits for its last spans to be taken.
const LAST_TIME_MAX: Duration = Duration::from_secs(2);
/// The path of traces at a collector.
const PATH: &str = "/v1/traces";

/// Where spans are sent; none if nowhere.
///
/// # Errors
/// The configuration names no place, in words.
pub fn target(config: &Config) -> Result<Option<Target>, String> {
    let url = config.otlp_endpoint.trim_end_matches('/');
    if url.is_empty() {
        return Ok(None);
    }
    let whole = match url.ends_with(PATH) {
        true => url.to_owned(),
        false => format!("{url}{PATH}"),
    };
    let target = whole.parse::<Target>();
    target
        .map(Some)
        .map_err(|error| format!("`{url}`: {error}"))
}

/// The headers that go along.
///
/// # Errors
/// One of them is none, in words.
pub fn headers(config: &Config) -> Result<Vec<HeaderTemplate>, String> {
    let parse = |text: &String| {
        let (name, value) = text
            .split_once(':')
            .ok_or("must look like \"name: value\"")?;
        HeaderTemplate::parse(name.trim(), value.trim()).map_err(|error| error.to_string())
    };
    config.otlp_headers.iter().map(parse).collect()
}

/// The running exporter.
#[derive(Debug)]
pub struct Telemetry {
    traces: Traces,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Telemetry {
    /// Starts it, if the configuration says where to.
    pub fn start(
        home: &Home,
        config: &Config,
        environment: &Environment,
        node_id: &str,
    ) -> Option<Self> {
        // The configuration was checked.
        let target = target(config).ok()??;
        let (traces, spans) = Traces::new(config.otlp_sample.into());
        let listed = vec![target.origin().clone()];
        let exporter = Exporter {
            egress: Egress::new(AllowList::new(Vec::new(), listed), limits()),
            headers: headers(config).unwrap_or_default(),
            opener: Opener::of(home, environment),
            resource: Resource {
                service: match config.node_name.as_str() {
                    "" => "gaia".to_owned(),
                    name => name.to_owned(),
                },
                version: env!("CARGO_PKG_VERSION").to_owned(),
                instance: node_id.to_owned(),
            },
            counts: traces.counts(),
            target,
            is_away: false,
        };
        let (stop, stopped) = oneshot::channel();
        Some(Self {
            traces,
            stop,
            running: tokio::spawn(exporter.run(spans, stopped)),
        })
    }

    /// Where the spans of requests go.
    pub fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// Sends what there still is, and ends.
    pub async fn close(self) {
        // If it has ended, there is nothing to be told.
        let _ended = self.stop.send(());
        let _enough_waited = timeout(LAST_TIME_MAX, self.running).await;
    }
}

fn limits() -> Limits {
    Limits {
        time_max: SEND_TIME_MAX,
        reply_bytes_max: REPLY_BYTES_MAX,
        redirects_max: 0,
        running_max: 1,
        ..Limits::default()
    }
}

struct Exporter {
    egress: Egress,
    target: Target,
    headers: Vec<HeaderTemplate>,
    opener: Opener,
    resource: Resource,
    counts: Arc<TraceCounts>,
    /// Whether the last batch was not taken, so that the log says it once.
    is_away: bool,
}

/// Why a batch was not taken.
struct NotTaken {
    why: String,
    /// Whether it may be taken later.
    later: bool,
}

impl Exporter {
    async fn run(mut self, mut spans: mpsc::Receiver<Vec<Span>>, stopped: oneshot::Receiver<()>) {
        let mut stopped = std::pin::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                batch = gather(&mut spans) => match batch {
                    Some(batch) => tokio::select! {
                        () = self.deliver(&batch) => {}
                        _ = &mut stopped => {
                            self.last(&batch).await;
                            break;
                        }
                    },
                    None => return,
                }
            }
        }
        spans.close();
        while let Some(batch) = gather(&mut spans).await {
            self.last(&batch).await;
        }
    }

    /// Sends a batch until it is taken or given up.
    async fn deliver(&mut self, batch: &[Span]) {
        for pause in PAUSES.iter().map(Some).chain([None]) {
            match self.send(batch).await {
                Ok(()) => return self.taken(batch.len()),
                Err(NotTaken { why, later }) => {
                    self.not_taken(&why);
                    match pause.filter(|_| later) {
                        Some(pause) => sleep(*pause).await,
                        None => return self.counts.dropped(batch.len()),
                    }
                }
            }
        }
    }

    /// Sends a batch once.
    async fn last(&mut self, batch: &[Span]) {
        match self.send(batch).await {
            Ok(()) => self.taken(batch.len()),
            Err(_) => self.counts.dropped(batch.len()),
        }
    }

    fn taken(&mut self, spans: usize) {
        self.counts.exported(spans);
        if std::mem::take(&mut self.is_away) {
            info!(endpoint = %self.target.origin(), "the collector takes spans again");
        }
    }

    fn not_taken(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_away, true) {
            warn!(endpoint = %self.target.origin(), error = why, "the collector takes no spans");
        }
    }

    async fn send(&self, batch: &[Span]) -> Result<(), NotTaken> {
        let later = |why: String| NotTaken { why, later: true };
        let mut ask = Ask::new(Method::POST, self.target.clone());
        let secrets = self.opener.open(&secret_names(&self.headers)).await;
        let texts = header_texts(&self.headers, &secrets.map_err(later)?);
        for (name, value) in texts.map_err(|error| later(chain(&error)))? {
            ask.header(&name, value);
        }
        ask.protobuf(encode(&self.resource, batch));
        let got = self.egress.fetch(&self.egress.turn(), ask).await;
        match got.map_err(|error| later(chain(&error)))?.status {
            200..300 => Ok(()),
            status => Err(NotTaken {
                why: format!("it answers {status}"),
                later: matches!(status, 429 | 502 | 503 | 504),
            }),
        }
    }
}

/// The next spans, and what comes shortly after them; none when no more can come.
async fn gather(spans: &mut mpsc::Receiver<Vec<Span>>) -> Option<Vec<Span>> {
    let mut batch = spans.recv().await?;
    let mut wait = std::pin::pin!(sleep(BATCH_WAIT));
    while batch.len() < BATCH_SPANS_MAX {
        tokio::select! {
            () = &mut wait => break,
            more = spans.recv() => match more {
                Some(more) => batch.extend(more),
                None => break,
            }
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(endpoint: &str, header: &str) -> Config {
        Config {
            otlp_endpoint: endpoint.to_owned(),
            otlp_headers: vec![header.to_owned()],
            ..Config::default()
        }
    }

    #[test]
    fn endpoints_are_completed_and_checked() {
        let check = |endpoint: &str, expected: Option<&str>| {
            let target = target(&with(endpoint, "a: b")).unwrap();
            let path = target.as_ref().map(Target::path_and_query);
            assert_eq!(path, expected, "{endpoint}");
        };
        check("", None);
        check("http://127.0.0.1:4318", Some("/v1/traces"));
        check("https://otel.example.org/x/", Some("/x/v1/traces"));
        check("https://otel.example.org/v1/traces", Some("/v1/traces"));
        assert!(target(&with("not a place", "a: b")).is_err());
        assert!(headers(&with("", "no header")).is_err());
        let secrets = headers(&with("", "authorization: Bearer {secret:otlp}")).unwrap();
        assert_eq!(secret_names(&secrets), ["otlp"]);
    }

    #[tokio::test]
    async fn spans_are_gathered_up_to_the_maximum() {
        let span = || Span {
            trace: gaia_trace::TraceId::from_random(1),
            id: gaia_trace::SpanId::from_random(1),
            parent: None,
            name: String::new(),
            kind: gaia_trace::Kind::Internal,
            start: 0,
            end: 0,
            attributes: Vec::new(),
            failed: None,
        };
        let (sender, mut spans) = mpsc::channel(8);
        for _ in 0..3 {
            sender.try_send(vec![span(); BATCH_SPANS_MAX / 2]).unwrap();
        }
        let first = gather(&mut spans).await.unwrap();
        assert_eq!(first.len(), BATCH_SPANS_MAX);
        assert_eq!(gather(&mut spans).await.unwrap().len(), BATCH_SPANS_MAX / 2);
        drop(sender);
        assert!(gather(&mut spans).await.is_none());
    }
}
