//! How long a caller should stay away: measured, not guessed.
//!
//! Pure: the caller says when requests begin and end, as the time since any fixed moment. Invariant: what
//! is told lies between [`RETRY_SECONDS_MIN`] and [`RETRY_SECONDS_MAX`], and time in which nothing ran
//! does not count.

use std::collections::VecDeque;
use std::time::Duration;

/// How many of the last ends the rate is measured over.
const ENDS_MAX: usize = 32;

/// The shortest time that can be told.
pub const RETRY_SECONDS_MIN: u32 = 1;

/// The longest: nobody knows what the load will be later than that.
pub const RETRY_SECONDS_MAX: u32 = 60;

/// What is told before anything could be measured.
const RETRY_SECONDS_UNKNOWN: u32 = 2;

/// The pace at which requests come to their end.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    running: usize,
    /// When the first of `ends` had still to come and something ran.
    since: Duration,
    ends: VecDeque<Duration>,
}

impl Pace {
    /// A request began `at` this time.
    pub fn began(&mut self, at: Duration) {
        if self.running == 0 {
            self.ends.clear();
            self.since = at;
        }
        self.running += 1;
    }

    /// A request ended `at` this time.
    pub fn ended(&mut self, at: Duration) {
        self.running = self.running.saturating_sub(1);
        if self.ends.len() == ENDS_MAX
            && let Some(first) = self.ends.pop_front()
        {
            self.since = first;
        }
        self.ends.push_back(at);
    }

    /// Seconds until `ahead` requests will have ended, if they go on ending as they did up to `now`.
    pub fn retry_after(&self, ahead: usize, now: Duration) -> u32 {
        if self.ends.is_empty() {
            return RETRY_SECONDS_UNKNOWN;
        }
        let one = now.saturating_sub(self.since).as_secs_f64() / self.ends.len() as f64;
        let seconds = (one * ahead as f64).ceil();
        // A float that is too large becomes the largest integer.
        (seconds as u32).clamp(RETRY_SECONDS_MIN, RETRY_SECONDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that all run from second 0 on and end at `ends`; one more runs on.
    #[track_caller]
    fn check(ends: &[u64], ahead: usize, now: u64, expected: u32) {
        let mut pace = Pace::default();
        for _ in 0..=ends.len() {
            pace.began(Duration::ZERO);
        }
        for end in ends {
            pace.ended(Duration::from_secs(*end));
        }
        assert_eq!(pace.retry_after(ahead, Duration::from_secs(now)), expected);
    }

    #[test]
    fn the_wait_is_the_queue_over_the_rate() {
        check(&[], 10, 100, RETRY_SECONDS_UNKNOWN);
        check(&[2, 4, 6, 8], 10, 8, 20);
        check(&[1, 1, 1, 1, 2, 2, 2, 2], 4, 2, 1);
        check(&[5], 0, 5, RETRY_SECONDS_MIN);
        check(&[5], usize::MAX, 5, RETRY_SECONDS_MAX);
        // Clocks that seem to go back change nothing.
        check(&[9], 3, 0, RETRY_SECONDS_MIN);
    }

    #[test]
    fn only_the_last_ends_count() {
        let mut pace = Pace::default();
        pace.began(Duration::ZERO);
        for second in 0..10 * ENDS_MAX as u64 {
            pace.began(Duration::from_secs(second));
            pace.ended(Duration::from_secs(second));
        }
        assert_eq!(pace.ends.len(), ENDS_MAX);
        let now = Duration::from_secs(10 * ENDS_MAX as u64 - 1);
        assert_eq!(pace.retry_after(7, now), 7);
    }

    #[test]
    fn an_idle_night_is_no_slow_request() {
        let mut pace = Pace::default();
        let night = Duration::from_secs(30_000);
        pace.began(Duration::ZERO);
        pace.ended(Duration::from_secs(1));
        for _ in 0..3 {
            pace.began(night);
        }
        pace.ended(night + Duration::from_secs(2));
        assert_eq!(pace.retry_after(2, night + Duration::from_secs(2)), 4);
    }
}
