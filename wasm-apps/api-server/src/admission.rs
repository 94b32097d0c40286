//! Who may run now, who waits, who is sent away.
//!
//! Invariant: at most `running_max` passes are out, at most `queue_len_max` requests wait. Who is next is decided in
//! [`gaia_openai::line`]; here it is told those who wait. What runs is never interrupted for something more urgent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gaia_openai::line::{Arrival, Line, Ticket};
use gaia_openai::{Pace, ServiceTier};
use tokio::sync::oneshot;

/// Lets a bounded number of requests in at a time.
#[derive(Debug)]
pub(crate) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    since: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    line: Line,
    /// Of each who waits: how he is told.
    callers: BTreeMap<Ticket, oneshot::Sender<Result<Pass, QueueFull>>>,
    pace: Pace,
}

/// The right to run; given back when dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    shared: Arc<Shared>,
    places: usize,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let at = self.shared.since.elapsed();
        let mut state = self.shared.state();
        state.pace.ended(at);
        state.line.free(self.places);
        drop(state);
        Shared::call(&self.shared);
    }
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueFull {
    /// When there may be room again.
    pub(crate) retry_after_seconds: u32,
}

/// What became of one who arrived.
enum Entry {
    Runs(Pass),
    Waits(Waiting, oneshot::Receiver<Result<Pass, QueueFull>>),
}

/// Leaves the line when dropped.
struct Waiting {
    shared: Arc<Shared>,
    ticket: Ticket,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.line.leave(self.ticket);
        state.callers.remove(&self.ticket);
        drop(state);
        Shared::call(&self.shared);
    }
}

impl Gate {
    pub(crate) fn new(running_max: usize, queue_len_max: usize) -> Self {
        Self(Arc::new(Shared {
            since: Instant::now(),
            state: Mutex::new(State {
                line: Line::new(running_max, queue_len_max),
                callers: BTreeMap::new(),
                pace: Pace::default(),
            }),
        }))
    }

    /// Waits for so many places, or for all there are; a request that gives up by dropping this leaves the queue.
    pub(crate) async fn enter(&self, places: u32, tier: ServiceTier) -> Result<Pass, QueueFull> {
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        let (_waiting, called) = match Shared::arrive(&self.0, tier, places)? {
            Entry::Runs(pass) => return Ok(pass),
            Entry::Waits(waiting, called) => (waiting, called),
        };
        match called.await {
            Ok(outcome) => outcome,
            Err(_closed) => Err(self.0.state().full(self.0.since.elapsed())),
        }
    }

    /// Places that are taken.
    pub(crate) fn running(&self) -> usize {
        self.0.state().line.taken()
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.state().line.waiting()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the line, and tells whoever had to leave it for that.
    fn arrive(shared: &Arc<Self>, tier: ServiceTier, places: usize) -> Result<Entry, QueueFull> {
        let now = shared.since.elapsed();
        let mut state = shared.state();
        let (ticket, displaced) = match state.line.arrive(tier, places) {
            Arrival::Runs => {
                drop(state);
                return Ok(Entry::Runs(Self::pass(shared, places)));
            }
            Arrival::Full => return Err(state.full(now)),
            Arrival::Waits { ticket, displaced } => (ticket, displaced),
        };
        let (caller, called) = oneshot::channel();
        state.callers.insert(ticket, caller);
        if let Some(caller) = displaced.and_then(|ticket| state.callers.remove(&ticket)) {
            // One who has gone meanwhile need not be told.
            let _gone = caller.send(Err(state.full(now)));
        }
        let shared = Arc::clone(shared);
        Ok(Entry::Waits(Waiting { shared, ticket }, called))
    }

    /// For places that are taken already.
    fn pass(shared: &Arc<Self>, places: usize) -> Pass {
        let at = shared.since.elapsed();
        shared.state().pace.began(at);
        Pass {
            shared: Arc::clone(shared),
            places,
        }
    }

    /// Lets in whose turn has come. A pass nobody takes any more is given back, and calls the next one itself: it
    /// must not be dropped under the lock.
    fn call(shared: &Arc<Self>) {
        loop {
            let mut state = shared.state();
            let Some((ticket, places)) = state.line.call() else {
                return;
            };
            let caller = state.callers.remove(&ticket);
            drop(state);
            let pass = Self::pass(shared, places);
            if let Some(caller) = caller {
                drop(caller.send(Ok(pass)));
            }
        }
    }
}

impl State {
    // One who comes back when all who wait now have had their turn does not wait himself.
    fn full(&self, now: Duration) -> QueueFull {
        let ahead = self.line.waiting().max(1);
        QueueFull {
            retry_after_seconds: self.pace.retry_after(ahead, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use gaia_openai::ServiceTier::{Default, Flex, Priority};

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
        let first = poll_once(gate.enter(1, Default)).unwrap().unwrap();
        let mut second = Box::pin(gate.enter(1, Default));
        assert!(poll_once(second.as_mut()).is_none());
        assert_eq!((gate.running(), gate.waiting()), (1, 1));
        assert!(poll_once(gate.enter(1, Default)).unwrap().is_err());
        drop(first);
        let second = poll_once(second.as_mut()).unwrap().unwrap();
        assert_eq!((gate.running(), gate.waiting()), (1, 0));
        drop(second);
        assert_eq!(gate.running(), 0);
    }

    #[test]
    fn several_places_are_taken_together() {
        let gate = Gate::new(3, 2);
        let first = poll_once(gate.enter(2, Default)).unwrap().unwrap();
        assert_eq!(gate.running(), 2);
        let mut all = Box::pin(gate.enter(99, Default));
        assert!(poll_once(all.as_mut()).is_none());
        assert!(
            poll_once(gate.enter(1, Default)).is_none(),
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
        let _first = poll_once(gate.enter(1, Default)).unwrap().unwrap();
        let mut second = Box::pin(gate.enter(1, Default));
        assert!(poll_once(second.as_mut()).is_none());
        drop(second);
        assert_eq!(gate.waiting(), 0);
        assert!(
            poll_once(gate.enter(1, Default)).is_none(),
            "the place in the queue is free"
        );
    }

    #[test]
    fn the_urgent_pass_and_in_a_full_queue_displace() {
        let gate = Gate::new(1, 2);
        let first = poll_once(gate.enter(1, Default)).unwrap().unwrap();
        let mut usual = Box::pin(gate.enter(1, Default));
        let mut flex = Box::pin(gate.enter(1, Flex));
        assert!(poll_once(usual.as_mut()).is_none());
        assert!(poll_once(flex.as_mut()).is_none());
        let mut urgent = Box::pin(gate.enter(1, Priority));
        assert!(poll_once(urgent.as_mut()).is_none());
        let refused = poll_once(flex.as_mut()).unwrap().unwrap_err();
        assert!(refused.retry_after_seconds >= 1);
        assert_eq!((gate.running(), gate.waiting()), (1, 2));
        drop(first);
        assert!(poll_once(usual.as_mut()).is_none());
        let urgent = poll_once(urgent.as_mut()).unwrap().unwrap();
        drop(urgent);
        let usual = poll_once(usual.as_mut()).unwrap().unwrap();
        drop(usual);
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
    }

    #[test]
    fn a_turn_that_nobody_takes_goes_to_the_next() {
        let gate = Gate::new(1, 2);
        let first = poll_once(gate.enter(1, Default)).unwrap().unwrap();
        let mut second = Box::pin(gate.enter(1, Default));
        let mut third = Box::pin(gate.enter(1, Default));
        assert!(poll_once(second.as_mut()).is_none());
        assert!(poll_once(third.as_mut()).is_none());
        drop(first);
        drop(second);
        assert!(poll_once(third.as_mut()).unwrap().is_ok());
        drop(third);
        assert_eq!((gate.running(), gate.waiting()), (0, 0));
    }
}
