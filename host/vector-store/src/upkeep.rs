//! The threads behind a store: one flushes, one optimises, one removes dropped folders.
//!
//! They are three because an optimisation can take a minute: the flush goes on meanwhile (or the
//! log would grow), and so does the removal of what does not belong to the collection at work.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::collection::Collection;
use crate::error::StoreError;
use crate::options::Upkeep;
use crate::registry::{Registry, sweep};

const FLUSH: &str = "store-flush";
const OPTIMIZE: &str = "store-optimize";
const REAP: &str = "store-reap";

/// The running threads. Dropping it ends them. An optimisation under way cannot be broken off and
/// is not waited for: its thread keeps the registry, and with it the lock on the folder, until it
/// is done or the process ends, which is as safe as a kill.
#[derive(Debug)]
pub(crate) struct Threads {
    stops: Vec<Sender<()>>,
    flush: Option<JoinHandle<()>>,
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
            flush: None,
        };
        let flush = threads.every(
            FLUSH,
            upkeep.flush_interval,
            registry,
            Collection::flush_if_needed,
        )?;
        threads.flush = Some(flush);
        if let Some(interval) = upkeep.optimize_interval {
            threads.every(OPTIMIZE, interval, registry, |collection| {
                collection.optimize_if_needed().map(drop)
            })?;
        }
        // Ends when the registry does, which has the other end of the channel.
        Builder::new()
            .name(REAP.to_owned())
            .spawn(|| reap(dropped))?;
        Ok(threads)
    }

    fn every(
        &mut self,
        name: &'static str,
        interval: Duration,
        registry: &Arc<Registry>,
        job: impl Fn(&Collection) -> Result<(), StoreError> + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let (stop, stopped) = channel();
        // Weak: an idle thread does not keep the store open.
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
        Builder::new().name(name.to_owned()).spawn(run)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stops.clear();
        if let Some(flush) = self.flush.take() {
            // Only a panic in it could be told here, and it has been.
            let _ = flush.join();
        }
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
