//! Who may run now, who waits, who is sent away.
//!
//! Invariant: at most `running_max` passes are out, at most `queue_len_max` requests wait, first come first served.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gaia_openai::Pace;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets a bounded number of requests in at a time.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    running_max: usize,
    waiting: Arc<AtomicUsize>,
    queue_len_max: usize,
    clock: Arc<Clock>,
}

/// The right to run; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    _permit: OwnedSemaphorePermit,
    clock: Arc<Clock>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let at = self.clock.since.elapsed();
        self.clock.pace().ended(at);
    }
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFull {
    /// When there may be room again.
    pub(crate) retry_after_seconds: u32,
}

/// When requests ended.
#[derive(Debug)]
struct Clock {
    since: Instant,
    pace: Mutex<Pace>,
}

impl Clock {
    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    pub(crate) fn new(running_max: usize, queue_len_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(running_max)),
            running_max,
            waiting: Arc::default(),
            queue_len_max,
            clock: Arc::new(Clock {
                since: Instant::now(),
                pace: Mutex::default(),
            }),
        }
    }

    /// Waits for so many places, or for all there are; a request that gives up by dropping this leaves the queue.
    pub(crate) async fn enter(&self, places: u32) -> Result<Pass, QueueFull> {
        let max = u32::try_from(self.running_max).unwrap_or(u32::MAX);
        let places = places.min(max);
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_many_owned(places) {
            return Ok(self.pass(permit));
        }
        let waiting = Waiting::join(&self.waiting, self.queue_len_max);
        let _waiting = waiting.ok_or_else(|| self.full())?;
        let permit = Arc::clone(&self.places).acquire_many_owned(places).await;
        match permit {
            Ok(permit) => Ok(self.pass(permit)),
            Err(_closed) => Err(self.full()),
        }
    }

    fn pass(&self, permit: OwnedSemaphorePermit) -> Pass {
        self.clock.pace().began(self.clock.since.elapsed());
        Pass {
            _permit: permit,
            clock: Arc::clone(&self.clock),
        }
    }

    // One who comes back when all who wait now have had their turn does not wait himself.
    fn full(&self) -> QueueFull {
        let ahead = self.waiting().max(1);
        let now = self.clock.since.elapsed();
        QueueFull {
            retry_after_seconds: self.clock.pace().retry_after(ahead, now),
        }
    }

    /// Requests that run.
    pub(crate) fn running(&self) -> usize {
        self.running_max
            .saturating_sub(self.places.available_permits())
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn join(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let more = |len| (len < max).then_some(len + 1);
        let joined = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        joined.ok().map(|_before| Self(Arc::clone(count)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn places_then_queue_then_nothing() {
        let gate = Gate::new(1, 1);
        let first = poll_once(gate.enter(1)).unwrap().unwrap();
        let mut second = Box::pin(gate.enter(1));
        assert!(poll_once(second.as_mut()).is_none());
        assert_eq!((gate.running(), gate.waiting()), (1, 1));
        assert!(poll_once(gate.enter(1)).unwrap().is_err());
        drop(first);
        let second = poll_once(second.as_mut()).unwrap().unwrap();
        assert_eq!((gate.running(), gate.waiting()), (1, 0));
        drop(second);
        assert_eq!(gate.running(), 0);
    }

    #[test]
    fn several_places_are_taken_together() {
        let gate = Gate::new(3, 2);
        let first = poll_once(gate.enter(2)).unwrap().unwrap();
        assert_eq!(gate.running(), 2);
        let mut all = Box::pin(gate.enter(99));
        assert!(poll_once(all.as_mut()).is_none());
        assert!(
            poll_once(gate.enter(1)).is_none(),
            "first come first served"
        );
        drop(first);
        let all = poll_once(all.as_mut()).unwrap().unwrap();
        assert_eq!(gate.running(), 3);
        drop(all);
        assert_eq!(gate.running(), 0);
    }

    #[test]
    fn giving_up_leaves_the_queue() {
        let gate = Gate::new(1, 1);
        let _first = poll_once(gate.enter(1)).unwrap().unwrap();
        let mut second = Box::pin(gate.enter(1));
        assert!(poll_once(second.as_mut()).is_none());
        drop(second);
        assert_eq!(gate.waiting(), 0);
        assert!(
            poll_once(gate.enter(1)).is_none(),
            "the place in the queue is free"
        );
    }
}
