//! The records of a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::file;
use crate::index::{Excess, Index};
use crate::{Id, Owner};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records_max: usize,
    /// Bytes of all records.
    pub bytes_max: u64,
    /// Bytes of one record; a larger one is refused.
    pub record_bytes_max: usize,
    /// What happens past the first two.
    pub when_full: WhenFull,
}

/// What happens when there is no room for another record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest of the owner who has most go.
    OldestGo,
    /// The new one is refused.
    Refuse,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records_max: 10_000,
            bytes_max: 1 << 30,
            record_bytes_max: 4 << 20,
            when_full: WhenFull::OldestGo,
        }
    }
}

/// Why a folder of records cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the records in `{path}`")]
pub struct OpenRecordsError {
    /// The folder or file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Why a record was not kept. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It is too large.
    #[error("a record of {bytes} bytes is over the limit of {bytes_max}")]
    TooLarge {
        /// How large.
        bytes: usize,
        /// How large it may be.
        bytes_max: usize,
    },
    /// There is no room for it.
    #[error("there is no room for another record: delete some")]
    Full,
    /// The id is somebody else's.
    #[error("the id `{0}` is taken")]
    Taken(Id),
    /// The disk refuses.
    #[error("failed to write the record `{id}`")]
    Write {
        /// Which.
        id: Id,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A record is there and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the record `{id}`")]
pub struct ReadError {
    /// Which.
    pub id: Id,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// A record is there and cannot be removed.
#[derive(Debug, thiserror::Error)]
#[error("failed to remove the record `{id}`")]
pub struct DeleteError {
    /// Which.
    pub id: Id,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The records of a folder. Only one process may have it open.
#[derive(Debug)]
pub struct Records {
    folder: PathBuf,
    limits: Limits,
    /// Held while a file changes: files and index never tell different stories.
    index: Mutex<Index>,
}

impl Records {
    /// Opens a folder, which need not be there yet. What a crash left half written is removed.
    ///
    /// # Errors
    /// The folder cannot be read or made.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, OpenRecordsError> {
        let failed = |source| OpenRecordsError {
            path: folder.to_owned(),
            source,
        };
        file::make_folder(folder).map_err(failed)?;
        let mut found = found(folder).map_err(failed)?;
        found.sort_by(|one, other| (one.written, &one.id).cmp(&(other.written, &other.id)));
        let mut index = Index::default();
        for record in found {
            index.put(record.id, record.owner, record.bytes);
        }
        Ok(Self {
            folder: folder.to_owned(),
            limits,
            index: Mutex::new(index),
        })
    }

    /// Keeps a record; the same owner may replace it. On the disk when this returns.
    ///
    /// # Errors
    /// It is too large, somebody else's, or the disk refuses.
    pub fn put(&self, owner: &Owner, id: &Id, bytes: &[u8]) -> Result<(), PutError> {
        if bytes.len() > self.limits.record_bytes_max {
            return Err(PutError::TooLarge {
                bytes: bytes.len(),
                bytes_max: self.limits.record_bytes_max,
            });
        }
        let mut index = self.index();
        if index.get(id).is_some_and(|entry| entry.owner != *owner) {
            return Err(PutError::Taken(id.clone()));
        }
        if self.limits.when_full == WhenFull::Refuse && !self.has_room(&index, id, bytes) {
            return Err(PutError::Full);
        }
        file::write(&self.folder_of(id), id.as_str(), owner, bytes).map_err(|source| {
            PutError::Write {
                id: id.clone(),
                source,
            }
        })?;
        index.put(id.clone(), owner.clone(), bytes.len() as u64);
        self.make_room(&mut index, id);
        Ok(())
    }

    /// The bytes of a record; `None` if it is not there, or somebody else's.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn get(&self, owner: &Owner, id: &Id) -> Result<Option<Vec<u8>>, ReadError> {
        if self.bytes(owner, id).is_none() {
            return Ok(None);
        }
        let path = self.folder_of(id).join(id.as_str());
        match file::read(&path, owner) {
            Ok(bytes) => Ok(Some(bytes)),
            // Removed a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ReadError {
                id: id.clone(),
                source,
            }),
        }
    }

    /// How large a record is; `None` if it is not there, or somebody else's.
    pub fn bytes(&self, owner: &Owner, id: &Id) -> Option<u64> {
        let index = self.index();
        let entry = index.get(id).filter(|entry| entry.owner == *owner);
        entry.map(|entry| entry.bytes)
    }

    /// Removes a record; false if it is not there, or somebody else's.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn delete(&self, owner: &Owner, id: &Id) -> Result<bool, DeleteError> {
        let mut index = self.index();
        if index.get(id).is_none_or(|entry| entry.owner != *owner) {
            return Ok(false);
        }
        self.remove(&mut index, id).map_err(|source| DeleteError {
            id: id.clone(),
            source,
        })?;
        Ok(true)
    }

    /// The ids of an owner's records that begin with `prefix`, oldest first.
    pub fn list(&self, owner: &Owner, prefix: &str) -> Vec<Id> {
        self.index().of(owner, prefix)
    }

    /// All records, oldest first, with those they belong to.
    pub fn all(&self) -> Vec<(Owner, Id)> {
        self.index().all()
    }

    /// Whether the limits will hold with this record in place of the one that has its id.
    fn has_room(&self, index: &Index, id: &Id, bytes: &[u8]) -> bool {
        let before = index.get(id);
        let records = index.len() + usize::from(before.is_none());
        let freed = before.map_or(0, |entry| entry.bytes);
        let total = index.bytes() - freed + bytes.len() as u64;
        records <= self.limits.records_max && total <= self.limits.bytes_max
    }

    /// Records go until the limits hold; never the one that just came.
    fn make_room(&self, index: &mut Index, newest: &Id) {
        while let Some(excess) = self.excess(index) {
            let Some(next) = index.next_to_go(excess, newest) else {
                return;
            };
            // One that cannot be removed is counted no more, or none would ever be again.
            if self.remove(index, &next).is_err() {
                index.remove(&next);
            }
        }
    }

    fn excess(&self, index: &Index) -> Option<Excess> {
        if index.len() > self.limits.records_max {
            return Some(Excess::Records);
        }
        (index.bytes() > self.limits.bytes_max).then_some(Excess::Bytes)
    }

    fn remove(&self, index: &mut Index, id: &Id) -> io::Result<()> {
        match file::remove(&self.folder_of(id), id.as_str()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        index.remove(id);
        Ok(())
    }

    fn folder_of(&self, id: &Id) -> PathBuf {
        self.folder.join(id.folder())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that was there already.
struct Found {
    id: Id,
    owner: Owner,
    bytes: u64,
    written: SystemTime,
}

fn found(folder: &Path) -> io::Result<Vec<Found>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == file::NEW {
                fs::remove_file(entry.path())?;
                continue;
            }
            // What is none of ours stays where it is.
            let Some(id) = name.to_str().and_then(Id::parse) else {
                continue;
            };
            if let Some((owner, bytes)) = file::look(&entry.path())? {
                let written = entry.metadata()?.modified()?;
                records.push(Found {
                    id,
                    owner,
                    bytes,
                    written,
                });
            }
        }
    }
    Ok(records)
}
