//! How long to wait before the worker is started again. Pure: the caller tells how long it lived.

use std::time::Duration;

/// The first restart is at once; then the waits double from here.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// No wait is longer.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// A worker that was ready for so long has proved itself: counting starts anew.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// So many failures in a row are a crash loop.
pub const CRASH_LOOP_FAILURES: u32 = 3;

/// Counts failures in a row.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Notes that the worker ended after it was ready for `ready`; gives the wait before the next.
    pub fn failed(&mut self, ready: Duration) -> Duration {
        if ready >= HEALTHY_AFTER {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        match self.failures {
            1 => Duration::ZERO,
            n => FIRST_DELAY
                .saturating_mul(1 << (n - 2).min(16))
                .min(DELAY_MAX),
        }
    }

    /// True from the third failure in a row on.
    pub fn is_crash_loop(&self) -> bool {
        self.failures >= CRASH_LOOP_FAILURES
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ready_seconds: &[u64], expected_ms: &[u128], crash_loop: bool) {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = ready_seconds
            .iter()
            .map(|seconds| backoff.failed(Duration::from_secs(*seconds)).as_millis())
            .collect();
        assert_eq!(waits, expected_ms);
        assert_eq!(backoff.is_crash_loop(), crash_loop);
    }

    #[test]
    fn the_first_restart_is_at_once_then_waits_double() {
        check(&[0], &[0], false);
        check(&[0, 0], &[0, 500], false);
        check(&[0, 0, 0, 0], &[0, 500, 1000, 2000], true);
        check(&[59, 59, 59], &[0, 500, 1000], true);
    }

    #[test]
    fn a_healthy_minute_forgives() {
        check(&[0, 0, 60], &[0, 500, 0], false);
        check(&[600, 600, 600], &[0, 0, 0], false);
    }

    #[test]
    fn the_wait_has_a_maximum() {
        let mut backoff = Backoff::default();
        let longest = (0..100).map(|_| backoff.failed(Duration::ZERO)).max();
        assert_eq!(longest, Some(DELAY_MAX));
        assert_eq!(backoff.failures(), 100);
    }
}
