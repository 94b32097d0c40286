//! Tells somebody that a model's thread has put something new for its readers.
//!
//! A caller with one thread and many handles cannot wait on each of them. It leaves one callback
//! here, is called after every step that gave some reader something, and looks at all of them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What is called. It runs on the model's thread: it must not wait.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// The callback of one model, if anybody left one.
#[derive(Default)]
pub(crate) struct Bell(Mutex<Option<Ring>>);

impl Bell {
    pub fn set(&self, ring: Option<Ring>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ring;
    }

    pub fn ring(&self) {
        let ring = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(ring) = ring {
            ring();
        }
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}
