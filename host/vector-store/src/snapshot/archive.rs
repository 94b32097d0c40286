//! Tar archives from strangers, unpacked within bounds.
//!
//! Invariant: nothing is written outside the target folder, and never more than the limits allow,
//! whatever the archive's headers claim.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use gaia_archive::bounded;
use tar::{Archive, EntryType};

use crate::error::StoreError;
use crate::options::SnapshotLimits;

/// What may still be unpacked, over an archive and the archives inside it.
#[derive(Debug)]
pub(super) struct Budget<'a> {
    limits: &'a SnapshotLimits,
    entries: u64,
    bytes: u64,
}

impl<'a> Budget<'a> {
    /// For an archive of `archive_bytes` bytes.
    pub(super) fn new(limits: &'a SnapshotLimits, archive_bytes: u64) -> Self {
        let by_ratio = archive_bytes
            .saturating_mul(limits.ratio_max)
            .saturating_add(limits.ratio_free_bytes);
        Self {
            limits,
            entries: limits.entries_max,
            bytes: limits.unpacked_bytes_max.min(by_ratio),
        }
    }

    fn take_entry(&mut self) -> Result<(), StoreError> {
        self.entries = self.entries.checked_sub(1).ok_or_else(|| {
            too_large(format!(
                "the archive has more than {} entries",
                self.limits.entries_max
            ))
        })?;
        Ok(())
    }
}

/// Unpacks the archive at `path` into the new folder `target`.
pub(super) fn unpack(
    path: &Path,
    target: &Path,
    budget: &mut Budget<'_>,
) -> Result<(), StoreError> {
    let (reader, bound) = bounded(BufReader::new(File::open(path)?));
    let mut archive = Archive::new(reader);
    fs::create_dir_all(target)?;
    for entry in bound.entries(archive.entries().map_err(damaged)?) {
        let mut entry = entry.map_err(damaged)?;
        budget.take_entry()?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let place = target.join(inner_path(&name, budget.limits.depth_max)?);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&place)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                if let Some(parent) = place.parent() {
                    fs::create_dir_all(parent)?;
                }
                write_file(&mut entry, &place, budget)?;
            }
            other => {
                return Err(StoreError::BadInput(format!(
                    "the archive holds `{}`, which is neither file nor folder but {other:?}",
                    name.display()
                )));
            }
        }
    }
    Ok(())
}

/// Copies at most what the budget holds, counting what comes and not what the header says.
fn write_file(
    entry: &mut impl Read,
    place: &Path,
    budget: &mut Budget<'_>,
) -> Result<(), StoreError> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .open(place)
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                StoreError::BadInput("the archive holds the same file twice".to_owned())
            }
            _ => error.into(),
        })?;
    let copied =
        copy_sparse(&mut entry.take(budget.bytes.saturating_add(1)), &mut file).map_err(damaged)?;
    budget.bytes = budget
        .bytes
        .checked_sub(copied)
        .ok_or_else(|| too_large("the archive's files are larger than allowed".to_owned()))?;
    Ok(())
}

/// Copies, leaving holes where there are only zeros: most of a new segment's files is that.
fn copy_sparse(from: &mut impl Read, to: &mut File) -> io::Result<u64> {
    const BLOCK_BYTES: usize = 1 << 16;
    let mut block = vec![0; BLOCK_BYTES];
    let mut copied = 0;
    loop {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match from.read(&mut block[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        if filled == 0 {
            to.set_len(copied)?;
            return Ok(copied);
        }
        let bytes = &block[..filled];
        match bytes.iter().all(|byte| *byte == 0) {
            true => drop(to.seek(SeekFrom::Current(filled as i64))?),
            false => to.write_all(bytes)?,
        }
        copied += filled as u64;
    }
}

/// The path below the target, or why not.
fn inner_path(name: &Path, depth_max: usize) -> Result<PathBuf, StoreError> {
    let mut inner = PathBuf::new();
    for component in name.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => inner.push(part),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(StoreError::BadInput(format!(
                    "the archive's entry `{}` leads outside",
                    name.display()
                )));
            }
        }
    }
    match inner.components().count() > depth_max {
        true => Err(too_large(format!(
            "the archive's folders are nested deeper than {depth_max}"
        ))),
        false => Ok(inner),
    }
}

fn too_large(message: String) -> StoreError {
    StoreError::TooLarge(message)
}

fn damaged(error: io::Error) -> StoreError {
    StoreError::BadInput(format!("the archive cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of one entry under a name no well-meaning library would write.
    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn check(entries: &[(&str, EntryType, &[u8])], limits: SnapshotLimits, refusal: Option<&str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tar");
        let bytes = archive(entries);
        fs::write(&path, &bytes).unwrap();
        let target = dir.path().join("inner").join("target");
        let mut budget = Budget::new(&limits, bytes.len() as u64);
        let result = unpack(&path, &target, &mut budget);
        match (result, refusal) {
            (Ok(()), None) => {}
            (Err(error), Some(word)) => assert!(error.to_string().contains(word), "{error}"),
            (result, refusal) => panic!("{result:?}, expected {refusal:?}"),
        }
        let outside: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(outside.len(), 2, "{outside:?}");
    }

    #[test]
    fn archives_stay_inside_and_within_bounds() {
        let wide = SnapshotLimits::default;
        let file = EntryType::Regular;
        check(&[("./0/segments/a", file, b"x")], wide(), None);
        check(&[("../evil", file, b"x")], wide(), Some("leads outside"));
        check(
            &[("0/../../evil", file, b"x")],
            wide(),
            Some("leads outside"),
        );
        check(&[("/etc/evil", file, b"x")], wide(), Some("leads outside"));
        check(
            &[("link", EntryType::Symlink, b"")],
            wide(),
            Some("neither file nor folder"),
        );
        check(
            &[("link", EntryType::Link, b"")],
            wide(),
            Some("neither file nor folder"),
        );
        check(
            &[("device", EntryType::Char, b"")],
            wide(),
            Some("neither file nor folder"),
        );
        check(
            &[("a", file, b"x"), ("a", file, b"y")],
            wide(),
            Some("twice"),
        );
        check(
            &[("a", file, b"x"), ("b", file, b"y")],
            SnapshotLimits {
                entries_max: 1,
                ..wide()
            },
            Some("more than 1 entries"),
        );
        check(
            &[("a", file, &[0; 100])],
            SnapshotLimits {
                unpacked_bytes_max: 99,
                ..wide()
            },
            Some("larger than allowed"),
        );
        check(
            &[("a", file, &[0; 100])],
            SnapshotLimits {
                ratio_max: 0,
                ratio_free_bytes: 99,
                ..wide()
            },
            Some("larger than allowed"),
        );
        check(
            &[
                ("name", EntryType::GNULongName, &[b'a'; 70_000]),
                ("a", file, b"x"),
            ],
            wide(),
            Some("headers are larger than"),
        );
        check(
            &[("a/b/c", file, b"x")],
            SnapshotLimits {
                depth_max: 2,
                ..wide()
            },
            Some("deeper than 2"),
        );
    }
}
