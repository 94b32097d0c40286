//! How a file looks from outside.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// What tells one state of a file from another. Who changes a file changes one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    changed: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// That of the file or folder at `path`; none where there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let facts = fs::metadata(path).ok()?;
        Some(Self {
            changed: facts.modified().ok()?,
            bytes: facts.len(),
            inode: facts.ino(),
        })
    }
}
