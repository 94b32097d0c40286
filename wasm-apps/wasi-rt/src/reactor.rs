//! Waits for sockets and time: one `poll_oneoff` for everything that tasks wait on.
//!
//! Interests are one-shot: an event wakes the task and forgets the interest, so a socket that stays readable
//! while nobody reads costs nothing. Natively there are no sockets and the reactor only sleeps.

#[cfg(not(target_os = "wasi"))]
use std::{task::Waker, time::Duration};

#[cfg(target_os = "wasi")]
pub(crate) use wasi::{Direction, Reactor};

/// Natively the reactor is a nap: long enough to be cheap, short enough for wakers of other threads.
#[cfg(not(target_os = "wasi"))]
#[derive(Default)]
pub(crate) struct Reactor;

#[cfg(not(target_os = "wasi"))]
impl Reactor {
    pub(crate) fn poll(&mut self, timeout: Option<Duration>) -> Vec<Waker> {
        const NAP_MAX: Duration = Duration::from_millis(1);
        std::thread::sleep(timeout.unwrap_or(NAP_MAX).min(NAP_MAX));
        Vec::new()
    }
}

#[cfg(target_os = "wasi")]
mod wasi {
    use std::collections::BTreeMap;
    use std::os::fd::RawFd;
    use std::task::Waker;
    use std::time::Duration;

    use wasmedge_wasi_socket::wasi_poll as abi;

    /// What is waited for on a socket.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Direction {
        Read,
        Write,
    }

    #[derive(Default)]
    struct Interest {
        read: Option<Waker>,
        write: Option<Waker>,
    }

    #[derive(Default)]
    pub(crate) struct Reactor {
        interests: BTreeMap<RawFd, Interest>,
        // Kept between polls so that a turn allocates nothing.
        subscriptions: Vec<abi::Subscription>,
        events: Vec<abi::Event>,
    }

    const CLOCK: u64 = u64::MAX;

    impl Reactor {
        pub(crate) fn register(&mut self, fd: RawFd, direction: Direction, waker: &Waker) {
            let interest = self.interests.entry(fd).or_default();
            let slot = match direction {
                Direction::Read => &mut interest.read,
                Direction::Write => &mut interest.write,
            };
            match slot {
                Some(known) => known.clone_from(waker),
                None => *slot = Some(waker.clone()),
            }
        }

        /// Whether somebody waits on the socket and has not been woken.
        pub(crate) fn is_registered(&self, fd: RawFd, direction: Direction) -> bool {
            let interest = self.interests.get(&fd);
            interest.is_some_and(|interest| match direction {
                Direction::Read => interest.read.is_some(),
                Direction::Write => interest.write.is_some(),
            })
        }

        /// Forgets a socket that is about to be closed; its number may come back for another.
        pub(crate) fn forget(&mut self, fd: RawFd) {
            self.interests.remove(&fd);
        }

        /// Waits for the first event, at most `timeout` (`None`: for ever), and returns whom to wake.
        pub(crate) fn poll(&mut self, timeout: Option<Duration>) -> Vec<Waker> {
            if self.interests.is_empty() && timeout == Some(Duration::ZERO) {
                return Vec::new();
            }
            self.subscribe(timeout);
            self.events
                .resize(self.subscriptions.len(), abi::Event::empty());
            // SAFETY: both buffers hold `subscriptions.len()` elements of the types the call reads and fills.
            let polled = unsafe {
                abi::poll(
                    self.subscriptions.as_ptr(),
                    self.events.as_mut_ptr(),
                    self.subscriptions.len(),
                )
            };
            match polled {
                Ok(count) => self.take_woken(count),
                Err(_) => self.take_all(),
            }
        }

        fn subscribe(&mut self, timeout: Option<Duration>) {
            self.subscriptions.clear();
            for (fd, interest) in &self.interests {
                if interest.read.is_some() {
                    self.subscriptions.push(on_socket(*fd, Direction::Read));
                }
                if interest.write.is_some() {
                    self.subscriptions.push(on_socket(*fd, Direction::Write));
                }
            }
            if let Some(timeout) = timeout {
                self.subscriptions.push(after(timeout));
            }
        }

        fn take_woken(&mut self, count: usize) -> Vec<Waker> {
            let mut woken = Vec::with_capacity(count);
            for event in self.events.iter().take(count) {
                if event.userdata == CLOCK {
                    continue;
                }
                let fd = (event.userdata >> 1) as RawFd;
                let Some(interest) = self.interests.get_mut(&fd) else {
                    continue;
                };
                let slot = if event.userdata & 1 == 0 {
                    &mut interest.read
                } else {
                    &mut interest.write
                };
                woken.extend(slot.take());
                if interest.read.is_none() && interest.write.is_none() {
                    self.interests.remove(&fd);
                }
            }
            woken
        }

        // The poll itself failed (a socket gone bad): everybody looks for himself, and whose socket it was
        // gets the error from his own call.
        fn take_all(&mut self) -> Vec<Waker> {
            std::mem::take(&mut self.interests)
                .into_values()
                .flat_map(|interest| [interest.read, interest.write])
                .flatten()
                .collect()
        }
    }

    fn on_socket(fd: RawFd, direction: Direction) -> abi::Subscription {
        let file = abi::SubscriptionFdReadwrite {
            file_descriptor: fd as u32,
        };
        let (tag, bit) = match direction {
            Direction::Read => (abi::EVENTTYPE_FD_READ, 0),
            Direction::Write => (abi::EVENTTYPE_FD_WRITE, 1),
        };
        abi::Subscription {
            userdata: ((fd as u64) << 1) | bit,
            u: abi::SubscriptionU {
                tag,
                u: abi::SubscriptionUU { fd_read: file },
            },
        }
    }

    fn after(timeout: Duration) -> abi::Subscription {
        let clock = abi::SubscriptionClock {
            id: abi::CLOCKID_MONOTONIC,
            // Zero would disarm the timer behind this clock instead of firing it.
            timeout: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1),
            precision: 0,
            flags: 0,
        };
        abi::Subscription {
            userdata: CLOCK,
            u: abi::SubscriptionU {
                tag: abi::EVENTTYPE_CLOCK,
                u: abi::SubscriptionUU { clock },
            },
        }
    }
}
