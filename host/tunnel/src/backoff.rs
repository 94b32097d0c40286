//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// The wait after the first failure, at most.
pub const WAIT_FIRST: Duration = Duration::from_millis(500);

/// The wait after many, at most.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// A connection that held so long was good: the next failure is a first one.
pub const GOOD_AFTER: Duration = Duration::from_secs(10);

/// How long to wait after so many `failures` in a row (1 is the first). `chance` is a new random number each time.
///
/// Between half and all of a span that doubles up to [`WAIT_MAX`]: a thousand nodes whose gateway restarts do not
/// come back in the same moment.
#[must_use]
pub fn wait(failures: u32, chance: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let span = WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX);
    let half = span / 2;
    let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(below(chance, nanos))
}

/// Spreads a random number evenly over 0..=bound.
fn below(chance: u64, bound: u64) -> u64 {
    ((u128::from(chance) * (u128::from(bound) + 1)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failures: u32, least: u64, most: u64) {
        let millis = |chance| wait(failures, chance).as_millis();
        assert_eq!(millis(0), u128::from(least), "{failures}");
        assert_eq!(millis(u64::MAX), u128::from(most), "{failures}");
        assert!((least..=most).contains(&u64::try_from(millis(1 << 62)).unwrap()));
    }

    #[test]
    fn waits_double_and_end_at_the_longest() {
        check(0, 250, 500);
        check(1, 250, 500);
        check(2, 500, 1_000);
        check(5, 4_000, 8_000);
        check(7, 15_000, 30_000);
        check(u32::MAX, 15_000, 30_000);
    }

    #[test]
    fn chance_spreads_the_waits() {
        let waits: std::collections::BTreeSet<_> =
            (0..64).map(|chance: u64| wait(3, chance << 58)).collect();
        assert_eq!(waits.len(), 64);
    }
}
