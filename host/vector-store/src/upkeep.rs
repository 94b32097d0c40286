//! The threads behind a store: one flushes, one optimises, one removes dropped folders.
//!
//! They are three because an optimisation can take a minute: the flush goes on meanwhile (or the
//! log would grow), and so does the removal of what does not belong to the collection at work.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::collection::Collection;
use crate::error::StoreError;
use crate::options::Upkeep;
use crate::registry::{Registry, sweep};

/// The running threads. Dropping it ends them and waits for them.
#[derive(Debug)]
pub(crate) struct Threads {
    stops: Vec<Sender<()>>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts them for `registry`; `dropped` is where it sends dropped collections.
    pub(crate) fn start(
        registry: &Arc<Registry>,
        dropped: Receiver<Arc<Collection>>,
        upkeep: &Upkeep,
    ) -> io::Result<Self> {
        let mut threads = Self {
            stops: Vec::new(),
            handles: Mutex::default(),
        };
        threads.every(
            "store-flush",
            upkeep.flush_interval,
            registry,
            Collection::flush_if_needed,
        )?;
        if let Some(interval) = upkeep.optimize_interval {
            threads.every("store-optimize", interval, registry, |collection| {
                collection.optimize_if_needed().map(drop)
            })?;
        }
        threads.keep(
            Builder::new()
                .name("store-reaper".to_owned())
                .spawn(|| reap(dropped))?,
        );
        Ok(threads)
    }

    fn every(
        &mut self,
        name: &'static str,
        interval: Duration,
        registry: &Arc<Registry>,
        job: impl Fn(&Collection) -> Result<(), StoreError> + Send + 'static,
    ) -> io::Result<()> {
        let (stop, stopped) = channel();
        // Weak: the registry's end is the threads' end, not the other way round.
        let registry = Arc::downgrade(registry);
        let run = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let Some(registry) = registry.upgrade() else {
                    return;
                };
                for (collection, shard) in registry.all() {
                    if let Err(error) = job(&shard) {
                        tracing::warn!(thread = name, collection, %error, "upkeep failed");
                    }
                }
            }
        };
        self.stops.push(stop);
        self.keep(Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    fn keep(&self, handle: JoinHandle<()>) {
        self.handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(handle);
    }

    /// Ends the threads. Waits for an optimisation under way: it cannot be broken off.
    pub(crate) fn stop(&mut self) {
        self.stops.clear();
        for handle in self
            .handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            // The reaper ends with the registry's sender; waiting here for it could wait for ever.
            if handle.thread().name() != Some("store-reaper") {
                let _ = handle.join();
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Removes folders of dropped collections: after the last optimisation in them has ended and the
/// last reader has let go, because the engine writes when it closes.
fn reap(dropped: Receiver<Arc<Collection>>) {
    const PAUSE: Duration = Duration::from_millis(20);
    for mut collection in dropped {
        let dir = collection.dir().to_owned();
        drop(collection.lock_upkeep());
        loop {
            match Arc::try_unwrap(collection) {
                Ok(last) => break drop(last),
                Err(shared) => collection = shared,
            }
            std::thread::sleep(PAUSE);
        }
        sweep(&dir);
    }
}
