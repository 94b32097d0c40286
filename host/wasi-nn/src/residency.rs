//! Whether a model is in memory, who uses it, and when it may go or must come back.
//!
//! Only decides; whoever holds it loads, frees and waits. Times are given, so that it has no clock.
//!
//! Invariant: a model that somebody uses stays; and whoever waits for one that is out either gets it or
//! learns that the attempt made for it failed, never of one that failed before it asked.

use std::time::{Duration, Instant};

use crate::errno::Errno;

/// A model that has been loaded once; `V` is what stays of it when it is out.
#[derive(Debug)]
pub(crate) enum Residency<M, V> {
    /// It is in memory.
    In(Resident<M>),
    /// It is not.
    Out(Absent<V>),
}

#[derive(Debug)]
pub(crate) struct Resident<M> {
    model: M,
    uses: usize,
    idle_since: Instant,
    attempts: u64,
}

#[derive(Debug)]
pub(crate) struct Absent<V> {
    kept: V,
    wanted: bool,
    attempts: u64,
    /// The last attempt that failed; they count from 1.
    failed: u64,
}

/// What is to be done next for a model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Take it out of memory.
    Unload,
    /// Bring it back.
    Load,
    /// Look again when something changed, or after this time.
    Wait(Option<Duration>),
}

/// The attempt that a request waits for.
pub(crate) type Attempt = Option<u64>;

impl<M: Clone, V> Residency<M, V> {
    /// A model that has just been loaded for the first time.
    pub fn new(model: M, now: Instant) -> Self {
        Self::In(Resident {
            model,
            uses: 0,
            idle_since: now,
            attempts: 0,
        })
    }

    /// The model for a request, to be given back by [`Self::release`]. `None` while it is out; it is
    /// wanted then. An error if the attempt for `waiting` failed.
    pub fn lease(&mut self, waiting: &mut Attempt) -> Result<Option<M>, Errno> {
        match self {
            Self::In(resident) => {
                *waiting = None;
                resident.uses += 1;
                Ok(Some(resident.model.clone()))
            }
            Self::Out(absent) => {
                if waiting
                    .take_if(|attempt| *attempt <= absent.failed)
                    .is_some()
                {
                    return Err(Errno::RuntimeError);
                }
                if !absent.wanted {
                    absent.wanted = true;
                    absent.attempts += 1;
                    *waiting = None;
                }
                waiting.get_or_insert(absent.attempts);
                Ok(None)
            }
        }
    }

    /// A request does not need the model any more.
    pub fn release(&mut self, now: Instant) {
        if let Self::In(resident) = self {
            resident.uses = resident.uses.saturating_sub(1);
            resident.idle_since = now;
        }
    }

    /// Since when nobody has used the model that is in memory.
    pub fn idle_since(&self) -> Option<Instant> {
        match self {
            Self::In(resident) if resident.uses == 0 => Some(resident.idle_since),
            Self::In(_) | Self::Out(_) => None,
        }
    }

    /// What is to be done, where a model goes after `limit` without a request.
    pub fn next(&self, limit: Duration, now: Instant) -> Next {
        match (self, self.idle_since()) {
            (Self::Out(absent), _) if absent.wanted => Next::Load,
            (_, None) => Next::Wait(None),
            (_, Some(since)) => match limit.saturating_sub(now.saturating_duration_since(since)) {
                Duration::ZERO => Next::Unload,
                left => Next::Wait(Some(left)),
            },
        }
    }

    /// Takes the model out, if nobody uses it; `kept` stays for it.
    pub fn take_out(&mut self, kept: V) -> Option<M> {
        self.idle_since()?;
        let attempts = match self {
            Self::In(resident) => resident.attempts,
            Self::Out(_) => return None,
        };
        let absent = Self::Out(Absent {
            kept,
            wanted: false,
            attempts,
            failed: 0,
        });
        match std::mem::replace(self, absent) {
            Self::In(resident) => Some(resident.model),
            Self::Out(_) => None,
        }
    }

    /// It could not be taken out; it will be due again as if it had been used now.
    pub fn put_off(&mut self, now: Instant) {
        if let Self::In(resident) = self {
            resident.idle_since = now;
        }
    }

    /// How the attempt ended to bring it back.
    pub fn brought(&mut self, model: Option<M>, now: Instant) {
        let Self::Out(absent) = self else { return };
        let attempts = absent.attempts;
        match model {
            Some(model) => {
                *self = Self::In(Resident {
                    model,
                    uses: 0,
                    idle_since: now,
                    attempts,
                });
            }
            None => {
                absent.wanted = false;
                absent.failed = attempts;
            }
        }
    }

    /// The model, or what stays of it.
    pub fn either<T>(&self, of_model: impl Fn(&M) -> T, of_kept: impl Fn(&V) -> T) -> T {
        match self {
            Self::In(resident) => of_model(&resident.model),
            Self::Out(absent) => of_kept(&absent.kept),
        }
    }

    /// Whether it is in memory.
    pub fn is_in(&self) -> bool {
        matches!(self, Self::In(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_model_goes_only_when_nobody_has_used_it_for_long_enough() {
        let start = Instant::now();
        let mut model = Residency::<_, ()>::new("model", start);
        let left = |seconds| Next::Wait(Some(Duration::from_secs(seconds)));
        assert_eq!(model.next(LIMIT, after(start, 59)), left(1));
        assert_eq!(model.next(LIMIT, after(start, 60)), Next::Unload);
        let mut waiting = [None; 2];
        for waiting in &mut waiting {
            assert_eq!(model.lease(waiting), Ok(Some("model")));
        }
        assert_eq!(model.next(LIMIT, after(start, 900)), Next::Wait(None));
        assert_eq!(model.take_out(()), None);
        model.release(after(start, 1000));
        assert_eq!(model.next(LIMIT, after(start, 5000)), Next::Wait(None));
        model.release(after(start, 2000));
        assert_eq!(model.next(LIMIT, after(start, 2059)), left(1));
        model.put_off(after(start, 2050));
        assert_eq!(model.next(LIMIT, after(start, 2060)), left(50));
        assert_eq!(model.take_out(()), Some("model"));
        assert_eq!(model.next(LIMIT, after(start, 9000)), Next::Wait(None));
    }

    #[test]
    fn all_who_ask_meanwhile_wait_for_the_same_attempt() {
        let start = Instant::now();
        let mut model = Residency::new("model", start);
        model.take_out("facts");
        let (mut first, mut second) = (None, None);
        assert_eq!(model.lease(&mut first), Ok(None));
        assert_eq!(model.next(LIMIT, start), Next::Load);
        assert_eq!(model.lease(&mut second), Ok(None));
        assert_eq!(model.lease(&mut first), Ok(None));
        assert_eq!((first, second), (Some(1), Some(1)));
        assert_eq!(model.either(|_| "weights", |kept| *kept), "facts");
        model.brought(Some("model again"), start);
        assert_eq!(model.lease(&mut first), Ok(Some("model again")));
        assert_eq!(model.lease(&mut second), Ok(Some("model again")));
        assert_eq!((first, second), (None, None));
    }

    #[test]
    fn a_failure_is_told_to_those_who_waited_and_the_next_tries_again() {
        let start = Instant::now();
        let mut model = Residency::new("model", start);
        model.take_out("facts");
        let (mut first, mut second, mut third) = (None, None, None);
        assert_eq!(model.lease(&mut first), Ok(None));
        assert_eq!(model.lease(&mut second), Ok(None));
        model.brought(None, start);
        assert_eq!(model.next(LIMIT, start), Next::Wait(None));
        assert_eq!(model.lease(&mut first), Err(Errno::RuntimeError));
        assert_eq!(model.lease(&mut third), Ok(None));
        // It looks only now, while the next attempt is under way.
        assert_eq!(model.lease(&mut second), Err(Errno::RuntimeError));
        assert_eq!(model.next(LIMIT, start), Next::Load);
        assert_eq!(model.lease(&mut third), Ok(None));
        model.brought(Some("model again"), start);
        assert_eq!(model.lease(&mut third), Ok(Some("model again")));
    }

    #[test]
    fn who_looks_only_after_it_went_again_has_it_brought_again() {
        let start = Instant::now();
        let mut model = Residency::new("model", start);
        model.take_out("facts");
        let mut slow = None;
        assert_eq!(model.lease(&mut slow), Ok(None));
        model.brought(Some("model"), start);
        assert_eq!(model.take_out("facts"), Some("model"));
        assert_eq!(model.next(LIMIT, start), Next::Wait(None));
        assert_eq!(model.lease(&mut slow), Ok(None));
        assert_eq!((model.next(LIMIT, start), slow), (Next::Load, Some(2)));
    }
}
