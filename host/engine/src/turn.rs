//! Lets the models of one process compute one after the other.
//!
//! Each model computes with a thread on every core, and llama.cpp's threads wait for each other by
//! spinning. Two models at once would spin against each other and both be many times slower than one
//! after the other. Turns are taken in order of arrival, so that a model that always has work does
//! not keep another out for longer than one step.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Whether this build computes on the CPU, where turns pay.
pub(crate) const TURNS_PAY: bool =
    !cfg!(any(feature = "cuda", feature = "vulkan", feature = "metal"));

static TURNS: Turns = Turns::new();

struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    next: u64,
    served: u64,
}

/// Held while computing; the next one comes when it is dropped.
pub(crate) struct Turn(&'static Turns);

/// Waits for a turn to compute.
pub(crate) fn take() -> Turn {
    TURNS.take()
}

impl Turns {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State { next: 0, served: 0 }),
            changed: Condvar::new(),
        }
    }

    fn take(&'static self) -> Turn {
        let mut state = self.lock();
        let own = state.next;
        state.next += 1;
        while state.served != own {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Turn(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().served += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn one_at_a_time_and_nobody_starves() {
        static TESTED: Turns = Turns::new();
        static INSIDE: AtomicUsize = AtomicUsize::new(0);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(|| {
                    for _ in 0..200 {
                        let _turn = TESTED.take();
                        assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0);
                        INSIDE.fetch_sub(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(TESTED.lock().served, 800);
    }
}
