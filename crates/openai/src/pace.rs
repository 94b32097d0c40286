//! How long a caller should stay away: measured, not guessed.
//!
//! Pure: the caller says when requests ended, as the time since any fixed moment. Invariant: what is
//! told lies between [`RETRY_SECONDS_MIN`] and [`RETRY_SECONDS_MAX`].

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
    ends: VecDeque<Duration>,
}

impl Pace {
    /// A request ended `at` this time.
    pub fn ended(&mut self, at: Duration) {
        if self.ends.len() == ENDS_MAX {
            self.ends.pop_front();
        }
        self.ends.push_back(at);
    }

    /// Seconds until `ahead` requests will have ended, if they go on ending as they did up to `now`.
    pub fn retry_after(&self, ahead: usize, now: Duration) -> u32 {
        let Some(first) = self.ends.front() else {
            return RETRY_SECONDS_UNKNOWN;
        };
        let one = now.saturating_sub(*first).as_secs_f64() / self.ends.len() as f64;
        let seconds = (one * ahead as f64).ceil();
        // A float that is too large becomes the largest integer.
        (seconds as u32).clamp(RETRY_SECONDS_MIN, RETRY_SECONDS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ends: &[u64], ahead: usize, now: u64, expected: u32) {
        let mut pace = Pace::default();
        for end in ends {
            pace.ended(Duration::from_secs(*end));
        }
        assert_eq!(pace.retry_after(ahead, Duration::from_secs(now)), expected);
    }

    #[test]
    fn the_wait_is_the_queue_over_the_rate() {
        check(&[], 10, 100, RETRY_SECONDS_UNKNOWN);
        check(&[0, 2, 4, 6], 10, 8, 20);
        check(&[0, 0, 0, 0, 1, 1, 1, 1], 4, 2, 1);
        check(&[0], 0, 5, RETRY_SECONDS_MIN);
        check(&[0], usize::MAX, 5, RETRY_SECONDS_MAX);
        // Clocks that seem to go back change nothing.
        check(&[9], 3, 5, RETRY_SECONDS_MIN);
    }

    #[test]
    fn only_the_last_ends_count() {
        let mut pace = Pace::default();
        for end in 0..10 * ENDS_MAX as u64 {
            pace.ended(Duration::from_secs(end));
        }
        assert_eq!(pace.ends.len(), ENDS_MAX);
        let now = Duration::from_secs(10 * ENDS_MAX as u64);
        assert_eq!(pace.retry_after(7, now), 7);
    }
}
