//! Times in buckets that grow by a fifth: quantiles to a fifth, in a kilobyte, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// 0.1 ms times 1.2⁷⁹ is three minutes; what takes longer is in the last one.
const BUCKETS: usize = 80;

const FIRST_MS: f64 = 0.1;
const GROWTH: f64 = 1.2;

/// Bounds that Prometheus is told of: so many of ours each.
const STEP: usize = 4;

#[derive(Debug)]
pub(crate) struct Times {
    buckets: [AtomicU64; BUCKETS],
    sum_micros: AtomicU64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_micros: AtomicU64::new(0),
        }
    }
}

impl Times {
    pub(crate) fn note(&self, time: Duration) {
        let ms = time.as_secs_f64() * 1000.0;
        let place = (ms / FIRST_MS).max(1.0).log(GROWTH).ceil() as usize;
        if let Some(bucket) = self.buckets.get(place.min(BUCKETS - 1)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The upper bound of the bucket in which the quantile is; `None` where nothing was noted.
    pub(crate) fn quantile_ms(&self, part: f64) -> Option<f64> {
        let counts = self.counts();
        let all: u64 = counts.iter().sum();
        let wanted = (all as f64 * part).ceil().max(1.0) as u64;
        let mut below = 0;
        counts.iter().enumerate().find_map(|(place, count)| {
            below += count;
            (below >= wanted && all > 0).then(|| bound_ms(place))
        })
    }

    /// As a histogram of Prometheus.
    pub(crate) fn write(&self, text: &mut String) {
        text.push_str("# TYPE gaia_gateway_first_byte_seconds histogram\n");
        let counts = self.counts();
        let mut below = 0;
        for (place, count) in counts.iter().enumerate() {
            below += count;
            if place % STEP == STEP - 1 && place + 1 < BUCKETS {
                let bound = bound_ms(place) / 1000.0;
                text.push_str(&format!(
                    "gaia_gateway_first_byte_seconds_bucket{{le=\"{bound:.6}\"}} {below}\n"
                ));
            }
        }
        let sum = self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6;
        text.push_str(&format!(
            "gaia_gateway_first_byte_seconds_bucket{{le=\"+Inf\"}} {below}\ngaia_gateway_first_byte_seconds_sum {sum}\ngaia_gateway_first_byte_seconds_count {below}\n"
        ));
    }

    fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|place| {
            let bucket = self.buckets.get(place);
            bucket.map_or(0, |bucket| bucket.load(Ordering::Relaxed))
        })
    }
}

fn bound_ms(place: usize) -> f64 {
    FIRST_MS * GROWTH.powi(i32::try_from(place).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_fifth() {
        let times = Times::default();
        assert_eq!(times.quantile_ms(0.5), None);
        for ms in 1..=1000 {
            times.note(Duration::from_millis(ms));
        }
        for (part, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
            let found = times.quantile_ms(part).unwrap();
            assert!(
                (expected..=expected * GROWTH).contains(&found),
                "{part}: {found}"
            );
        }
    }

    #[test]
    fn no_time_is_too_short_or_too_long() {
        let times = Times::default();
        times.note(Duration::ZERO);
        times.note(Duration::MAX);
        let mut text = String::new();
        times.write(&mut text);
        assert!(text.contains("_count 2\n"), "{text}");
    }
}
