//! What the server counts, and how Prometheus reads it.
//!
//! Names follow vLLM's where it has one, with `gaia_` for `vllm:`. Counting is a few integer additions: nothing is
//! allocated and no label comes from a request, so no caller can grow this; those of tools are bounded.

mod tools;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gaia_prompt::prompt::ChosenBy;

use self::tools::ToolCounts;
use crate::inference::Cells;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const BUCKETS_SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Durations in buckets.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Counter; BUCKETS_SECONDS.len()],
    count: Counter,
    sum_micros: Counter,
}

impl Histogram {
    pub(crate) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        if let Some(at) = BUCKETS_SECONDS.iter().position(|limit| seconds <= *limit) {
            self.buckets[at].add(1);
        }
        self.count.add(1);
        self.sum_micros
            .add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, "histogram", help);
        let mut total = 0;
        for (limit, bucket) in BUCKETS_SECONDS.iter().zip(&self.buckets) {
            total += bucket.get();
            line(out, &format!("{name}_bucket{{le=\"{limit}\"}}"), total);
        }
        line(
            out,
            &format!("{name}_bucket{{le=\"+Inf\"}}"),
            self.count.get(),
        );
        let sum = Duration::from_micros(self.sum_micros.get()).as_secs_f64();
        line(out, &format!("{name}_sum"), sum);
        line(out, &format!("{name}_count"), self.count.get());
    }
}

/// What became of a look-up in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retrieval {
    Hits,
    Nothing,
    Failed,
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Responses by the first digit of their status, 1 to 5.
    responses: [Counter; 5],
    retrievals: [Counter; 3],
    prompted: [Counter; 3],
    pub(crate) tools: ToolCounts,
    pub(crate) refused_queue_full: Counter,
    pub(crate) aborted: Counter,
    pub(crate) prompt_tokens: Counter,
    pub(crate) cached_tokens: Counter,
    pub(crate) generation_tokens: Counter,
    pub(crate) embedding_tokens: Counter,
    pub(crate) reranking_tokens: Counter,
    pub(crate) queue: Histogram,
    pub(crate) query_embedding: Histogram,
    pub(crate) retrieval: Histogram,
    pub(crate) time_to_first_token: Histogram,
    pub(crate) inter_token: Histogram,
    pub(crate) prefill: Histogram,
    pub(crate) decode: Histogram,
    pub(crate) end_to_end: Histogram,
}

/// What is read off at the moment of asking.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    pub(crate) running: usize,
    pub(crate) waiting: usize,
    pub(crate) ready: bool,
    /// Of the chat model, where the engine tells.
    pub(crate) cells: Option<Cells>,
    pub(crate) uptime: Duration,
}

impl Metrics {
    pub(crate) fn responded(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.responses[class].add(1);
    }

    pub(crate) fn retrieved(&self, outcome: Retrieval) {
        self.retrievals[outcome as usize].add(1);
    }

    pub(crate) fn prompted(&self, by: ChosenBy) {
        self.prompted[by as usize].add(1);
    }

    /// The text that `/metrics` answers, in Prometheus' format 0.0.4.
    pub(crate) fn text(&self, gauges: Gauges) -> String {
        let mut out = String::new();
        self.write_gauges(&mut out, gauges);
        self.write_counters(&mut out);
        self.tools.write(&mut out);
        self.write_histograms(&mut out);
        out
    }

    fn write_gauges(&self, out: &mut String, gauges: Gauges) {
        let mut gauge = |name: &str, help: &str, value: f64| {
            head(out, name, "gauge", help);
            line(out, name, value);
        };
        gauge(
            "gaia_requests_running",
            "Requests the models work on.",
            gauges.running as f64,
        );
        gauge(
            "gaia_requests_waiting",
            "Requests in the queue.",
            gauges.waiting as f64,
        );
        gauge(
            "gaia_ready",
            "1 when the models are loaded.",
            f64::from(u8::from(gauges.ready)),
        );
        gauge(
            "gaia_uptime_seconds",
            "Seconds since the start.",
            gauges.uptime.as_secs_f64().round(),
        );
        if let Some(Cells { used, cells }) = gauges.cells {
            gauge(
                "gaia_kv_cells_used",
                "Tokens in the chat model's cache of conversations.",
                used as f64,
            );
            gauge(
                "gaia_kv_cells",
                "Tokens that the chat model's cache of conversations has room for.",
                cells as f64,
            );
        }
    }

    fn write_counters(&self, out: &mut String) {
        head(
            out,
            "gaia_http_responses_total",
            "counter",
            "Responses by class of status.",
        );
        for (class, counter) in self.responses.iter().enumerate() {
            let name = format!("gaia_http_responses_total{{class=\"{}xx\"}}", class + 1);
            line(out, &name, counter.get());
        }
        head(
            out,
            "gaia_retrievals_total",
            "counter",
            "Look-ups in the store by outcome.",
        );
        for (outcome, counter) in ["hits", "nothing", "failed"].iter().zip(&self.retrievals) {
            let name = format!("gaia_retrievals_total{{outcome=\"{outcome}\"}}");
            line(out, &name, counter.get());
        }
        head(
            out,
            "gaia_prompts_total",
            "counter",
            "Answers by a named prompt, by what chose it.",
        );
        for (by, counter) in ["request", "rule", "config"].iter().zip(&self.prompted) {
            let name = format!("gaia_prompts_total{{by=\"{by}\"}}");
            line(out, &name, counter.get());
        }
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            head(out, name, "counter", help);
            line(out, name, counter.get());
        };
        counter(
            "gaia_refused_total",
            "Requests refused because the queue was full.",
            &self.refused_queue_full,
        );
        counter(
            "gaia_aborted_total",
            "Answers whose client went away.",
            &self.aborted,
        );
        counter(
            "gaia_prompt_tokens_total",
            "Tokens of prompts.",
            &self.prompt_tokens,
        );
        counter(
            "gaia_prompt_tokens_cached_total",
            "Prompt tokens found in the cache.",
            &self.cached_tokens,
        );
        counter(
            "gaia_generation_tokens_total",
            "Tokens generated.",
            &self.generation_tokens,
        );
        counter(
            "gaia_embedding_tokens_total",
            "Tokens embedded.",
            &self.embedding_tokens,
        );
        counter(
            "gaia_reranking_tokens_total",
            "Tokens read to rank texts.",
            &self.reranking_tokens,
        );
    }

    fn write_histograms(&self, out: &mut String) {
        let mut histogram = |name: &str, help: &str, histogram: &Histogram| {
            histogram.write(out, name, help);
        };
        histogram(
            "gaia_request_queue_time_seconds",
            "Waiting for a place.",
            &self.queue,
        );
        histogram(
            "gaia_query_embedding_time_seconds",
            "Embedding a query.",
            &self.query_embedding,
        );
        histogram(
            "gaia_retrieval_time_seconds",
            "Asking the store.",
            &self.retrieval,
        );
        histogram(
            "gaia_time_to_first_token_seconds",
            "From the request to its first token.",
            &self.time_to_first_token,
        );
        histogram(
            "gaia_inter_token_latency_seconds",
            "Between two pieces of an answer.",
            &self.inter_token,
        );
        histogram(
            "gaia_request_prefill_time_seconds",
            "Reading the prompt.",
            &self.prefill,
        );
        histogram(
            "gaia_request_decode_time_seconds",
            "From the first token to the last.",
            &self.decode,
        );
        histogram(
            "gaia_e2e_request_latency_seconds",
            "From the request to the end of its answer.",
            &self.end_to_end,
        );
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _written = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _written = writeln!(out, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let metrics = Metrics::default();
        for seconds in [0.0005, 0.002, 0.002, 1_000.0] {
            metrics.queue.observe(Duration::from_secs_f64(seconds));
        }
        let text = metrics.text(Gauges::default());
        for expected in [
            "gaia_request_queue_time_seconds_bucket{le=\"0.001\"} 1\n",
            "gaia_request_queue_time_seconds_bucket{le=\"0.0025\"} 3\n",
            "gaia_request_queue_time_seconds_bucket{le=\"300\"} 3\n",
            "gaia_request_queue_time_seconds_bucket{le=\"+Inf\"} 4\n",
            "gaia_request_queue_time_seconds_count 4\n",
            "gaia_request_queue_time_seconds_sum 1000.0045\n",
        ] {
            assert!(text.contains(expected), "{expected} not in\n{text}");
        }
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        let metrics = Metrics::default();
        metrics.responded(200);
        metrics.responded(999);
        metrics.retrieved(Retrieval::Failed);
        let text = metrics.text(Gauges::default());
        assert!(text.contains("gaia_http_responses_total{class=\"2xx\"} 1\n"));
        assert!(text.contains("gaia_retrievals_total{outcome=\"failed\"} 1\n"));
        for line in text.lines() {
            let sample = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
            assert!(
                line.starts_with("# ") || matches!(sample, Some(Ok(_))),
                "{line}"
            );
        }
    }
}
