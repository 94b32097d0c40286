//! The lock of a home: held by the running node, and nobody else.
//!
//! The kernel drops it with the process, however that ends, so a stale lock does not exist. The
//! file holds the holder's pid, which is only believed while the lock is held.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How often to look again when the lock is in between two states.
const LOOKS_MAX: u32 = 20;

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A node runs in this home.
    #[error("a node is running in this home already{}", pid_hint(*pid))]
    Held {
        /// Its process, where known.
        pid: Option<i32>,
    },
    /// The lock file is unusable.
    #[error("failed to lock `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn pid_hint(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (process {pid})"))
        .unwrap_or_default()
}

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Takes the lock at `path`, or says who has it.
pub fn take(path: &Path) -> Result<Lock, LockError> {
    let failed = |source| LockError::File {
        path: path.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    for attempt in 1.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) => match holder(path) {
                // Nobody holds it: somebody was only looking, for an instant.
                None if attempt < LOOKS_MAX => continue,
                pid => return Err(LockError::Held { pid }),
            },
        }
    }
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{}", std::process::id())?;
        file.sync_all()
    };
    write_pid(&mut file).map_err(failed)?;
    Ok(Lock { _file: file })
}

/// Takes the lock at `path` until this process ends: whoever sees it free knows that.
pub fn take_for_life(path: &Path) -> Result<(), LockError> {
    std::mem::forget(take(path)?);
    Ok(())
}

/// The process that holds the lock at `path`, if any does.
pub fn holder(path: &Path) -> Option<i32> {
    // Between taking the lock and writing the pid lies a moment; so look again a few times.
    for _ in 0..LOOKS_MAX {
        let mut file = File::open(path).ok()?;
        // A shared lock: two that look do not disturb each other.
        match file.try_lock_shared() {
            Ok(()) => return None,
            Err(TryLockError::Error(_)) => return None,
            Err(TryLockError::WouldBlock) => {}
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        if let Ok(pid) = text.trim().parse() {
            return Some(pid);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Waits until nobody holds the lock at `path`; false if `timeout` passes first.
pub fn wait_free(path: &Path, timeout: Duration) -> bool {
    let end = Instant::now() + timeout;
    while holder(path).is_some() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(holder(&path), None);
        let lock = take(&path).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(holder(&path), Some(own));
        let refused = take(&path).unwrap_err();
        assert!(matches!(refused, LockError::Held { pid: Some(pid) } if pid == own));
        assert!(!wait_free(&path, Duration::from_millis(30)));
        drop(lock);
        assert_eq!(holder(&path), None);
        assert!(wait_free(&path, Duration::ZERO));
        take(&path).unwrap();
    }

    #[test]
    fn an_old_pid_without_a_lock_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "1").unwrap();
        assert_eq!(holder(&path), None);
    }
}
