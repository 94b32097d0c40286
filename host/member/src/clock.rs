//! The time as statements have it, and numbers that only rise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    since_1970().as_secs()
}

/// A number above all that this process, and earlier ones on this machine, have given: for nonces and sequences.
///
/// It is the time in milliseconds, or one more than the last. A clock that is set back further than a node was down is
/// noticed by the domain, which refuses heartbeats of the past anyway.
pub(crate) fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX);
    let rise = |last: u64| Some(now.max(last.saturating_add(1)));
    let before = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rise);
    let before = before.unwrap_or_else(|last| last);
    now.max(before.saturating_add(1))
}

fn since_1970() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_only_rise() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1000).map(|_| next_number()).collect::<Vec<_>>()))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let numbers = thread.join().unwrap();
            assert!(numbers.is_sorted_by(|a, b| a < b));
            all.extend(numbers);
        }
        all.sort_unstable();
        assert!(all.is_sorted_by(|a, b| a < b), "none twice");
    }
}
