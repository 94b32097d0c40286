//! Timers: an ordered map from deadline to waker, and the futures on it.
//!
//! Invariant: a [`Sleep`] that is dropped leaves no entry behind.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::executor::with_timers;

#[derive(Default)]
pub(crate) struct Timers {
    entries: BTreeMap<(Instant, u64), Waker>,
    next_id: u64,
}

impl Timers {
    fn insert(&mut self, deadline: Instant, waker: Waker) -> (Instant, u64) {
        let key = (deadline, self.next_id);
        self.next_id += 1;
        self.entries.insert(key, waker);
        key
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.entries.keys().next().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let later = self.entries.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.entries, later)
            .into_values()
            .collect()
    }
}

/// A future that is ready at its deadline. See [`sleep`].
#[derive(Debug)]
pub struct Sleep {
    deadline: Instant,
    key: Option<(Instant, u64)>,
}

/// Waits for `duration`.
#[must_use]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`; one that has passed is ready at once.
#[must_use]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        key: None,
    }
}

impl Sleep {
    fn cancel(&mut self) {
        if let Some(key) = self.key.take() {
            with_timers(|timers| timers.entries.remove(&key));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.cancel();
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let deadline = self.deadline;
        self.key = Some(with_timers(|timers| {
            timers.insert(deadline, cx.waker().clone())
        }));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The time given to [`timeout`] ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl std::fmt::Display for Elapsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the time ran out")
    }
}

impl std::error::Error for Elapsed {}

/// Awaits `future` for at most `duration`; then drops it.
///
/// # Errors
/// [`Elapsed`] when the time ran out first.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut future = std::pin::pin!(future);
    let mut limit = std::pin::pin!(sleep(duration));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        limit.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;

    const SHORT: Duration = Duration::from_millis(5);
    const LONG: Duration = Duration::from_secs(60);

    fn pending_timers() -> usize {
        with_timers(|timers| timers.entries.len())
    }

    /// A lower bound, which no busy machine can break.
    #[test]
    fn sleeps_at_least_as_long_as_asked() {
        let started = Instant::now();
        block_on(sleep(SHORT));
        assert!(started.elapsed() >= SHORT);
    }

    #[test]
    fn timeout_gives_the_value_or_the_error() {
        assert_eq!(block_on(timeout(LONG, async { 3 })), Ok(3));
        assert_eq!(
            block_on(timeout(SHORT, std::future::pending::<()>())),
            Err(Elapsed)
        );
    }

    #[test]
    fn dropped_sleeps_leave_nothing() {
        block_on(async {
            let _ = timeout(SHORT, sleep(LONG)).await;
        });
        assert_eq!(pending_timers(), 0);
    }

    #[test]
    fn equal_deadlines_all_fire() {
        let mut timers = Timers::default();
        let now = Instant::now();
        for _ in 0..3 {
            timers.insert(now, Waker::noop().clone());
        }
        timers.insert(now + LONG, Waker::noop().clone());
        assert_eq!(timers.take_due(now).len(), 3);
        assert_eq!(timers.entries.len(), 1);
    }
}
