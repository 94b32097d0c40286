//! How much one call, one turn and the whole node may ask for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The maxima. A request may ask for less, never for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a reply's body.
    pub reply_bytes_max: usize,
    /// From the first look at a name to the last byte of the reply, redirections included.
    pub time_max: Duration,
    /// Calls at the same time. One more is refused, not queued.
    pub running_max: usize,
    /// Replies that are read piece by piece at the same time. One more is refused, not queued.
    pub streams_max: usize,
    /// Calls of one turn.
    pub calls_per_turn_max: u32,
    /// Redirections of one call.
    pub redirects_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            reply_bytes_max: 1 << 20,
            time_max: Duration::from_secs(20),
            running_max: 16,
            streams_max: 64,
            calls_per_turn_max: 16,
            redirects_max: 3,
        }
    }
}

/// The calls that a turn has left.
#[derive(Debug)]
pub struct Turn {
    left: AtomicU32,
}

impl Turn {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            left: AtomicU32::new(limits.calls_per_turn_max),
        }
    }

    /// Takes one call; false if none is left.
    pub fn take(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}
