//! One flush for everybody who waits for one.
//!
//! A flush costs milliseconds whatever it carries. Writers that wait for the disk at the same time
//! share one: whoever comes while a flush runs waits for the next, because the running one may
//! have started before the write.
//!
//! Invariant: [`GroupCommit::sync`] returns `Ok` only after a flush that started later than the call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Counts flushes and lets callers share them.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    ended: u64,
    running: bool,
    /// The last flush that failed, and how.
    failed: Option<(u64, String)>,
}

impl GroupCommit {
    /// Returns after a flush that began after this call. Runs `flush` itself when nobody else does.
    /// Gives the message of the flush that failed, if it did.
    pub(crate) fn sync(&self, flush: impl Fn() -> Result<(), String>) -> Result<(), String> {
        let mut state = self.lock();
        let wanted = state.started + 1;
        while state.ended < wanted {
            if state.running {
                state = self
                    .ended
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.running = true;
            state.started += 1;
            let number = state.started;
            drop(state);
            // A panic must not leave `running` set: everybody else would wait for ever.
            let result = catch_unwind(AssertUnwindSafe(&flush))
                .unwrap_or_else(|_| Err("the flush panicked".to_owned()));
            state = self.lock();
            state.running = false;
            state.ended = number;
            if let Err(message) = result {
                state.failed = Some((number, message));
            }
            self.ended.notify_all();
        }
        match &state.failed {
            // A later flush that succeeded has brought our write to disk as well.
            Some((number, message)) if *number == state.ended => Err(message.clone()),
            _ => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn waiting_writers_share_flushes() {
        let commit = GroupCommit::default();
        let flushes = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    commit
                        .sync(|| {
                            flushes.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(30));
                            Ok(())
                        })
                        .unwrap();
                });
            }
        });
        let flushes = flushes.into_inner();
        assert!(
            (1..8).contains(&flushes),
            "{flushes} flushes for 16 writers"
        );
    }

    #[test]
    fn a_flush_that_began_earlier_does_not_count() {
        let commit = GroupCommit::default();
        let flushes = AtomicU64::new(0);
        for expected in 1..=3 {
            commit
                .sync(|| {
                    flushes.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                })
                .unwrap();
            assert_eq!(flushes.load(Ordering::SeqCst), expected);
        }
    }

    #[test]
    fn a_failed_flush_is_told_and_forgotten_by_the_next() {
        let commit = GroupCommit::default();
        assert_eq!(
            commit.sync(|| Err("disk full".into())),
            Err("disk full".into())
        );
        assert_eq!(commit.sync(|| Ok(())), Ok(()));
        assert!(commit.sync(|| panic!("in a test")).is_err());
        assert_eq!(commit.sync(|| Ok(())), Ok(()));
    }
}
