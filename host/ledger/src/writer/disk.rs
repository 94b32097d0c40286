//! The thread that waits for the disk, and replies to all whose commands are on it then.

use super::{Done, refuse};
use crate::sql::{Flush, SqlError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Batches that wait for the disk; then the next one waits to be carried out.
pub(super) const BATCHES_WAITING_MAX: usize = 64;

/// The thread's other end. When it is dropped, all that wait have got their reply.
pub(super) struct Disk {
    waiting: Option<SyncSender<Vec<Done>>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<AtomicBool>,
}

impl Disk {
    /// Begins to wait.
    pub(super) fn begin(flush: Box<dyn Flush>) -> Result<Self, SqlError> {
        let (waiting, batches) = sync_channel(BATCHES_WAITING_MAX);
        let failed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&failed);
        let thread = std::thread::Builder::new().name("ledger-disk".to_owned());
        let thread = thread.spawn(move || run(flush, &batches, &told));
        Ok(Self {
            waiting: Some(waiting),
            thread: Some(thread.map_err(|error| SqlError::Database(error.to_string()))?),
            failed,
        })
    }

    /// Has these replied to once what was committed is on the disk.
    pub(super) fn wait(&self, done: Vec<Done>) {
        if done.is_empty() {
            return;
        }
        let Some(waiting) = &self.waiting else { return };
        if let Err(refused) = waiting.send(done) {
            refuse_all(refused.0, &closed());
        }
    }

    /// Whether the disk has failed. From then on nothing is known of it.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.waiting.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(mut flush: Box<dyn Flush>, batches: &Receiver<Vec<Done>>, failed: &AtomicBool) {
    while let Ok(mut done) = batches.recv() {
        done.extend(batches.try_iter().flatten());
        // A second try would succeed, and prove nothing: the system forgets what it could not write.
        let flushed = match failed.load(Ordering::Acquire) {
            true => Err(closed()),
            false => flush.flush(),
        };
        match flushed {
            Ok(()) => done.into_iter().for_each(Done::reply),
            Err(error) => {
                failed.store(true, Ordering::Release);
                tracing::error!(%error, "the ledger's disk has failed");
                refuse_all(done, &error);
            }
        }
    }
}

fn refuse_all(done: Vec<Done>, error: &SqlError) {
    refuse(done.into_iter().map(|done| done.job).collect(), error);
}

fn closed() -> SqlError {
    SqlError::Database("the ledger's disk has failed".to_owned())
}

#[cfg(test)]
mod maxima;

#[cfg(test)]
mod tests {
    use super::super::{ExecuteError, Job, Order};
    use super::*;
    use gaia_ledger::account::Timestamp;
    use gaia_ledger::{Command, IdempotencyKey, NanoUsd, Outcome};
    use tokio::sync::oneshot;

    /// Fails once: what comes after must be refused all the same.
    struct Fails(u32);

    impl Flush for Fails {
        fn flush(&mut self) -> Result<(), SqlError> {
            self.0 += 1;
            match self.0 {
                2 => Err(SqlError::Database("gone".to_owned())),
                _ => Ok(()),
            }
        }
    }

    pub(super) fn done() -> (Done, oneshot::Receiver<Result<Outcome, ExecuteError>>) {
        let (reply, replied) = oneshot::channel();
        let order = Order {
            key: IdempotencyKey::new("key").unwrap(),
            command: Command::Release {
                reservation: alloy_primitives::B256::ZERO,
            },
            now: Timestamp(0),
            receipt: None,
        };
        let result = Ok(Outcome::Released {
            amount: NanoUsd::ZERO,
        });
        let job = Job { order, reply };
        (Done { job, result }, replied)
    }

    #[test]
    fn after_a_failure_of_the_disk_nothing_is_confirmed_any_more() {
        let disk = Disk::begin(Box::new(Fails(0))).unwrap();
        let mut results = Vec::new();
        for _ in 0..3 {
            let (done, replied) = done();
            disk.wait(vec![done]);
            results.push(replied.blocking_recv().unwrap().is_ok());
        }
        assert_eq!(results, [true, false, false]);
        assert!(disk.has_failed());
    }
}
