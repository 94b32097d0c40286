//! Where a connection stands, and until when its peer may keep it waiting.
//!
//! Pure: the caller supplies `now`. A connection is idle between requests, in the head from the first byte on,
//! and busy while a request is answered. Busy has no deadline here: the application bounds its own work and
//! the time a body may take.

#![cfg_attr(not(target_os = "wasi"), allow(dead_code))]

use std::task::Waker;
use std::time::{Duration, Instant};

/// The limits of [`crate::serve`](crate).
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// How long a request's head may take from its first byte; then 408 and close.
    pub header_timeout: Duration,
    /// How long a connection may stay without a request, and a write without progress; then close.
    pub idle_timeout: Duration,
    /// Open connections; further ones are answered 503 and closed.
    pub connections_max: usize,
    /// Bytes that are buffered for one connection. At least 8192. A head that has not ended by then is refused
    /// with 431 and no more; one that comes in large pieces may pass, so that the application has to count.
    pub buffer_bytes_max: usize,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            connections_max: 2048,
            buffer_bytes_max: 64 * 1024,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle { since: Instant },
    Head { since: Instant },
    Busy,
    Answered,
}

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Nothing was asked for a while.
    Idle,
    /// A head began and did not end.
    Head,
}

#[derive(Debug)]
pub(crate) struct Phase {
    stage: Stage,
    limits: ServeLimits,
    waiting: Option<Waker>,
}

impl Phase {
    pub(crate) fn new(limits: ServeLimits, now: Instant) -> Self {
        Self {
            stage: Stage::Idle { since: now },
            limits,
            waiting: None,
        }
    }

    /// Bytes came in.
    pub(crate) fn received(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Idle { .. } | Stage::Answered) {
            self.stage = Stage::Head { since: now };
        }
    }

    /// A whole head was read and the request is being answered.
    pub(crate) fn requested(&mut self) {
        self.stage = Stage::Busy;
    }

    /// The answer's body is done with. Who waits for bytes is woken: from now on the wait has a deadline.
    pub(crate) fn answered(&mut self) {
        self.stage = Stage::Answered;
        self.waiting.take().inspect(Waker::wake_by_ref);
    }

    /// The connection waits for bytes: until when. `waker` is called when a deadline comes to be.
    pub(crate) fn wait(&mut self, now: Instant, waker: &Waker) -> Option<Instant> {
        let deadline = self.deadline(now);
        self.waiting = deadline.is_none().then(|| waker.clone());
        deadline
    }

    fn deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.stage == Stage::Answered {
            self.stage = Stage::Idle { since: now };
        }
        match self.stage {
            Stage::Idle { since } => Some(since + self.limits.idle_timeout),
            Stage::Head { since } => Some(since + self.limits.header_timeout),
            Stage::Busy | Stage::Answered => None,
        }
    }

    /// The wait ended without bytes.
    pub(crate) fn expired(&self) -> Expired {
        match self.stage {
            Stage::Head { .. } => Expired::Head,
            _ => Expired::Idle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    fn phase(now: Instant) -> Phase {
        Phase::new(ServeLimits::default(), now)
    }

    #[test]
    fn a_silent_connection_ends_by_the_idle_time() {
        let now = Instant::now();
        let mut phase = phase(now);
        assert_eq!(phase.deadline(now), Some(now + IDLE));
        assert_eq!(phase.expired(), Expired::Idle);
    }

    #[test]
    fn dripping_bytes_do_not_prolong_a_head() {
        let now = Instant::now();
        let mut phase = phase(now);
        phase.received(now);
        phase.received(now + HEADER / 2);
        assert_eq!(phase.deadline(now + HEADER / 2), Some(now + HEADER));
        assert_eq!(phase.expired(), Expired::Head);
    }

    #[test]
    fn an_answer_has_no_deadline_and_the_next_wait_is_idle() {
        let now = Instant::now();
        let mut phase = phase(now);
        phase.received(now);
        phase.requested();
        phase.received(now);
        assert_eq!(phase.deadline(now), None);
        phase.answered();
        let later = now + IDLE * 3;
        assert_eq!(phase.deadline(later), Some(later + IDLE));
    }
}
