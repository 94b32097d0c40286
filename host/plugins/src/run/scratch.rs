//! The empty folder that a call may write into, watched while it does; and a place beside it that it may not.

use std::fs;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};

/// How often what was written is added up.
const LOOK: Duration = Duration::from_millis(50);
/// The most files and folders of one call.
const ENTRIES_MAX: usize = 4096;
/// What each of them counts for at least, in bytes.
const ENTRY_BYTES: u64 = 4096;

/// Folders that go away with the value.
pub struct Scratch {
    folder: TempDir,
    own: PathBuf,
}

impl Scratch {
    /// An empty folder.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("gaia-plugin-").tempdir()?;
        let own = folder.path().join("scratch");
        fs::create_dir(&own)?;
        Ok(Self { folder, own })
    }

    /// Where the call may write.
    pub fn path(&self) -> &Path {
        &self.own
    }

    /// Where whoever starts it may leave something for this call.
    pub fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// Comes back when more than `mib` lie in it.
    pub async fn overflows(&self, mib: u32) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if self.is_over(mib) {
                return;
            }
            if !self.own.exists() {
                pending::<()>().await;
            }
        }
    }

    /// Whether more than `mib` lie in it.
    pub fn is_over(&self, mib: u32) -> bool {
        let mut entries = 0;
        match size(&self.own, &mut entries) {
            Some(bytes) => bytes > u64::from(mib) << 20,
            None => true,
        }
    }
}

/// The bytes in `folder`; `None` when there are too many entries to count.
fn size(folder: &Path, entries: &mut usize) -> Option<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        *entries += 1;
        if *entries > ENTRIES_MAX {
            return None;
        }
        // A file may go away while it is looked at; a link is not followed.
        let Ok(facts) = entry.metadata() else {
            continue;
        };
        bytes += facts.len().max(ENTRY_BYTES);
        if facts.is_dir() {
            bytes += size(&entry.path(), entries)?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_counted_in_all_folders() {
        let scratch = Scratch::new().unwrap();
        assert!(!scratch.is_over(1));
        let deep = scratch.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("c"), vec![0; 1 << 20]).unwrap();
        assert!(scratch.is_over(1), "two folders count, too");
        assert!(!scratch.is_over(2));
    }

    #[test]
    fn many_small_files_are_too_much() {
        let scratch = Scratch::new().unwrap();
        for number in 0..=ENTRIES_MAX {
            fs::write(scratch.path().join(number.to_string()), "").unwrap();
        }
        assert!(scratch.is_over(u32::MAX >> 1));
    }
}
