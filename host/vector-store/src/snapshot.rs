//! Snapshots of a collection, in the layout a Qdrant server writes and reads.
//!
//! One archive: `config.json` and the shard under `0/` with its segments and log. Taking one holds
//! the collection still for as long as the copying takes. Recovering builds the new shard beside
//! the old one and switches in one rename: a crash or a bad archive leaves what was.
//!
//! Refused: archives past the limits, entries that would leave their folder, links, and segments
//! written with RocksDB (by servers before 1.16), which the engine cannot read.

mod archive;
mod layout;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::collection::{Collection, Draft, Manifest, new_shard_name};
use crate::disk;
use crate::error::StoreError;
use crate::options::SnapshotLimits;
use crate::registry::Registry;

const EXTENSION: &str = ".snapshot";
const CHECKSUM_EXTENSION: &str = ".checksum";
/// Uploads and half-written archives; emptied when a store opens.
const TEMPORARY_PREFIX: &str = ".part-";

/// A snapshot as lists show it.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotDescription {
    pub name: String,
    pub creation_time: Option<String>,
    pub size: u64,
    pub checksum: Option<String>,
}

/// Takes a snapshot.
pub(crate) fn create(
    collection: &Collection,
    limits: &SnapshotLimits,
) -> Result<SnapshotDescription, StoreError> {
    let dir = collection.snapshots_dir();
    if list(collection)?.len() >= limits.kept_max {
        return Err(StoreError::BadInput(format!(
            "{} snapshots of this collection are kept, which is the most; delete one first",
            limits.kept_max
        )));
    }
    let part = part_file(&dir);
    let written = collection.frozen(|manifest, shard| {
        layout::write(&part, manifest, shard)?;
        Ok(manifest.name.clone())
    });
    match written
        .and_then(|collection_name| keep(&dir, &part, &snapshot_name(&dir, &collection_name)))
    {
        Ok(description) => Ok(description),
        Err(error) => {
            let _ = fs::remove_file(&part);
            Err(error)
        }
    }
}

/// Puts a finished archive under its final name, with its checksum beside it.
fn keep(dir: &Path, part: &Path, name: &str) -> Result<SnapshotDescription, StoreError> {
    let checksum = sha256_of(part)?;
    fs::write(dir.join(format!("{name}{CHECKSUM_EXTENSION}")), &checksum)?;
    let path = dir.join(name);
    fs::rename(part, &path)?;
    disk::sync_dir(dir)?;
    describe(&path)
}

/// The snapshots of a collection, oldest first.
pub(crate) fn list(collection: &Collection) -> Result<Vec<SnapshotDescription>, StoreError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(collection.snapshots_dir())? {
        let path = entry?.path();
        if is_snapshot(&path) {
            found.push(describe(&path)?);
        }
    }
    found.sort_by(|a, b| (&a.creation_time, &a.name).cmp(&(&b.creation_time, &b.name)));
    Ok(found)
}

/// The file of the snapshot called `name`. The name is compared with what is there, never joined
/// to a path.
pub(crate) fn find(collection: &Collection, name: &str) -> Result<PathBuf, StoreError> {
    for entry in fs::read_dir(collection.snapshots_dir())? {
        let path = entry?.path();
        if is_snapshot(&path) && path.file_name().is_some_and(|file| file == name) {
            return Ok(path);
        }
    }
    Err(StoreError::NotFound(format!("Snapshot {name} not found")))
}

/// Deletes a snapshot.
pub(crate) fn delete(collection: &Collection, name: &str) -> Result<(), StoreError> {
    let path = find(collection, name)?;
    fs::remove_file(&path)?;
    let mut checksum = path.into_os_string();
    checksum.push(CHECKSUM_EXTENSION);
    match fs::remove_file(checksum) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Replaces the contents of the collection called `name` by those of the archive at `path`; makes
/// the collection if there is none.
pub(crate) fn recover(
    registry: &Registry,
    name: &str,
    path: &Path,
    checksum: Option<&str>,
) -> Result<(), StoreError> {
    if let Some(expected) = checksum {
        let actual = sha256_of(path)?;
        if !actual.eq_ignore_ascii_case(expected) {
            return Err(StoreError::BadInput(format!(
                "Snapshot checksum mismatch: expected {expected}, got {actual}"
            )));
        }
    }
    match registry.get(name) {
        Ok(collection) => {
            let _recovery = collection.lock_recovery();
            let manifest = collection.manifest();
            let dir = collection.dir().to_owned();
            unpacked(registry, path, &dir, &manifest.name, |draft| {
                collection.replace(draft)
            })
        }
        Err(_) => registry.insert(name, |dir, name| unpacked(registry, path, dir, name, Ok)),
    }
}

/// Unpacks the archive into a new shard in `dir` and hands it to `take`. The folder goes again when
/// anything fails.
fn unpacked<T>(
    registry: &Registry,
    path: &Path,
    dir: &Path,
    name: &str,
    take: impl FnOnce(Draft) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let shard = new_shard_name();
    let target = dir.join(&shard);
    let result = layout::read(path, &target, &registry.limits().snapshot).and_then(|config| {
        registry.check_config(&config)?;
        let manifest = Manifest {
            name: name.to_owned(),
            shard,
            config,
        };
        take(Draft::load(dir, manifest)?)
    });
    if result.is_err() && target.exists() {
        fs::remove_dir_all(&target)?;
    }
    result
}

/// A new file to write an archive to, in `dir`.
pub(crate) fn part_file(dir: &Path) -> PathBuf {
    dir.join(format!("{TEMPORARY_PREFIX}{}", uuid::Uuid::new_v4()))
}

/// Removes half-written archives a crash left in `dir`.
pub(crate) fn remove_parts(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(TEMPORARY_PREFIX))
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_snapshot(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.ends_with(EXTENSION))
}

fn describe(path: &Path) -> Result<SnapshotDescription, StoreError> {
    let metadata = fs::metadata(path)?;
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut checksum = path.as_os_str().to_owned();
    checksum.push(CHECKSUM_EXTENSION);
    Ok(SnapshotDescription {
        name,
        creation_time: metadata
            .modified()
            .ok()
            .map(|time| timestamp(time, 'T', ':')),
        size: metadata.len(),
        checksum: fs::read_to_string(checksum).ok(),
    })
}

/// A name nobody has yet: the collection, a node number (always 0 here), the time.
fn snapshot_name(dir: &Path, collection: &str) -> String {
    let stamp = timestamp(SystemTime::now(), '-', '-');
    let plain = format!("{collection}-0-{stamp}{EXTENSION}");
    match dir.join(&plain).exists() {
        false => plain,
        true => format!("{collection}-0-{stamp}-{}{EXTENSION}", uuid::Uuid::new_v4()),
    }
}

/// `2026-11-21T01:02:03` in UTC, with the two separators given.
fn timestamp(time: SystemTime, between: char, within: char) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}{between}{hour:02}{within}{minute:02}{within}{second:02}")
}

/// Year, month and day of the day with this number; day 0 is 1970-01-01. Years are counted from
/// March, so that the leap day is the last of its year (Hinnant, "chrono-compatible low-level
/// date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(&buffer[..read]),
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_778, (2026, 11, 21)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), date, "day {days}");
        }
    }
}
