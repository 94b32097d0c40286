//! How many requests the ingress sent away, by reason, for Prometheus.
//!
//! The reasons are a fixed list: nothing that a caller sends becomes a label.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use gaia_openai::ApiError;

/// Codes of the API's errors that the ingress gives; the last one stands for all others.
const REASONS: [&str; 12] = [
    "invalid_api_key",
    "insufficient_scope",
    "requests_per_minute_exceeded",
    "tokens_per_day_exceeded",
    "rate_limit_exceeded",
    "forbidden",
    "request_too_large",
    "headers_too_large",
    "request_timeout",
    "unavailable",
    "bad_gateway",
    "other",
];

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Refused([AtomicU64; REASONS.len()]);

impl Refused {
    pub(crate) fn count(&self, error: &ApiError) {
        let code = error.code.as_deref().unwrap_or_default();
        let at = REASONS.iter().position(|reason| *reason == code);
        self.0[at.unwrap_or(REASONS.len() - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// In Prometheus' format 0.0.4.
    pub(crate) fn text(&self) -> String {
        let mut text = "# HELP gaia_ingress_refused_total Requests that the ingress did not let through, or got no answer for.\n\
             # TYPE gaia_ingress_refused_total counter\n"
            .to_owned();
        for (reason, count) in REASONS.iter().zip(&self.0) {
            let count = count.load(Ordering::Relaxed);
            // Writing to a String cannot fail.
            let _written = writeln!(
                text,
                "gaia_ingress_refused_total{{reason=\"{reason}\"}} {count}"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_reason() {
        let refused = Refused::default();
        refused.count(&ApiError::invalid_api_key());
        refused.count(&ApiError::invalid_api_key());
        refused.count(&ApiError::body_too_large(1));
        refused.count(&ApiError::missing("a\"} 1\nforged"));
        let text = refused.text();
        for (reason, count) in [
            ("invalid_api_key", 2),
            ("request_too_large", 1),
            ("other", 1),
            ("forbidden", 0),
        ] {
            let line = format!("gaia_ingress_refused_total{{reason=\"{reason}\"}} {count}\n");
            assert!(text.contains(&line), "{line} not in {text}");
        }
        assert!(!text.contains("forged"));
    }
}
