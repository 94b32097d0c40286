//! Places for requests that run: a fixed number, and a measured word for those who find none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gaia_openai::{ApiError, Pace};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    clock: Arc<Clock>,
    count: usize,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    clock: Arc<Clock>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let at = self.clock.since.elapsed();
        self.clock.pace().ended(at);
    }
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

impl Places {
    /// So many places.
    pub(crate) fn new(count: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(count)),
            clock: Arc::new(Clock {
                since: Instant::now(),
                pace: Mutex::default(),
            }),
            count,
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.count.saturating_sub(self.free.available_permits())
    }

    /// A place, if one is free; else 429 with the time in which all who are here will have gone.
    pub(crate) fn take(&self) -> Result<Place, ApiError> {
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => {
                self.clock.pace().began(self.clock.since.elapsed());
                Ok(Place {
                    _permit: permit,
                    clock: Arc::clone(&self.clock),
                })
            }
            Err(_) => {
                let now = self.clock.since.elapsed();
                let seconds = self.clock.pace().retry_after(self.count, now);
                Err(ApiError::too_many_requests(seconds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_request_ends() {
        let places = Places::new(1);
        let place = places.take().unwrap();
        let refused = places.take().unwrap_err();
        assert_eq!(refused.status, 429);
        assert!(refused.retry_after_seconds.is_some());
        drop(place);
        assert!(places.take().is_ok());
    }
}
