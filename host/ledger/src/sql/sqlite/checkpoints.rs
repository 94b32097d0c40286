//! Takes SQLite's log over into its file, beside the connection that writes.
//!
//! A log that is written all the time never ends by itself: once it is long, the writer begins it anew between two
//! transactions, which is quick, because most of it was taken over before.

use super::{BUSY, SqlError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the log is taken over while it is written.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest log, in pages of 4 KiB, before the writer begins it anew.
const PAGES_MAX: i64 = 16_384;

/// The thread that does it; it ends when this is dropped.
pub(super) struct Checkpoints {
    wanted: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    woken: Instant,
    /// How long the log was when it was taken over last.
    pages: Arc<AtomicI64>,
}

impl Checkpoints {
    /// Begins with the database at `path`.
    pub(super) fn begin(path: PathBuf) -> Result<Self, SqlError> {
        let (wanted, wakes) = sync_channel(1);
        let pages = Arc::new(AtomicI64::new(0));
        let kept = Arc::clone(&pages);
        let thread = std::thread::Builder::new().name("ledger-log".to_owned());
        let thread = thread.spawn(move || keep(&path, &wakes, &kept));
        let thread = thread.map_err(|error| SqlError::Database(error.to_string()))?;
        Ok(Self {
            wanted: Some(wanted),
            thread: Some(thread),
            woken: Instant::now(),
            pages,
        })
    }

    /// Something was committed.
    pub(super) fn wake(&mut self) {
        if self.woken.elapsed() < INTERVAL {
            return;
        }
        self.woken = Instant::now();
        if let Some(wanted) = &self.wanted {
            // It is at work: then it is asked again a second later.
            wanted.try_send(()).ok();
        }
    }

    /// Begins a long log anew. To be called outside of a transaction.
    pub(super) fn make_room(&self, connection: &rusqlite::Connection) -> Result<(), SqlError> {
        if self.pages.load(Ordering::Relaxed) < PAGES_MAX {
            return Ok(());
        }
        self.pages.store(0, Ordering::Relaxed);
        // Where somebody reads just now it is tried again later.
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
        Ok(())
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.wanted.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn keep(path: &std::path::Path, wakes: &Receiver<()>, pages: &AtomicI64) {
    let mut connection = None;
    while wakes.recv().is_ok() {
        match take_over(&mut connection, path) {
            Ok(found) => pages.store(found, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, "the ledger's log was not taken over, and will be")
            }
        }
    }
}

/// How many pages the log has.
fn take_over(
    connection: &mut Option<rusqlite::Connection>,
    path: &std::path::Path,
) -> Result<i64, rusqlite::Error> {
    let connection = match connection {
        Some(open) => open,
        none => {
            let opened = rusqlite::Connection::open(path)?;
            opened.busy_timeout(BUSY)?;
            opened.pragma_update(None, "synchronous", "normal")?;
            none.insert(opened)
        }
    };
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))
}

#[cfg(test)]
mod tests {
    use super::super::Sqlite;
    use super::*;
    use crate::sql::{Connection as _, Value};

    #[test]
    fn a_log_that_is_always_written_stays_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let mut connection = Sqlite::open(&path).unwrap();
        connection
            .script("CREATE TABLE pages (bytes BYTEA)")
            .unwrap();
        let mut largest = 0;
        for _ in 0..12 {
            for _ in 0..PAGES_MAX / 4 / 64 {
                connection.begin().unwrap();
                for _ in 0..64 {
                    let page = Value::Bytes(vec![7; 4000]);
                    connection
                        .execute("INSERT INTO pages VALUES ($1)", &[page])
                        .unwrap();
                }
                connection.commit_soon().unwrap();
            }
            // As if a second had passed.
            let mut other = None;
            let pages = take_over(&mut other, &path).unwrap();
            connection.checkpoints.pages.store(pages, Ordering::Relaxed);
            largest = largest.max(pages);
        }
        assert!(largest < PAGES_MAX * 2, "{largest}");
    }
}
