//! A record as a file: a line that names its owner, then its bytes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::Owner;

/// How each file begins.
const MAGIC: &str = "gaia-record 1 ";
/// Longest first line.
const HEADER_MAX: usize = 128;
/// The file that is being written in a folder: one at a time is.
pub(crate) const NEW: &str = ".new";

/// Writes a record, whole or not at all, and on the disk when this returns.
pub(crate) fn write(folder: &Path, name: &str, owner: &Owner, bytes: &[u8]) -> io::Result<()> {
    make_folder(folder)?;
    let new = folder.join(NEW);
    let written = write_new(&new, owner, bytes).and_then(|()| fs::rename(&new, folder.join(name)));
    if written.is_err() {
        let _not_there = fs::remove_file(&new);
    }
    written?;
    sync(folder)
}

fn write_new(path: &Path, owner: &Owner, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(header(owner).as_bytes())?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a record for good.
pub(crate) fn remove(folder: &Path, name: &str) -> io::Result<()> {
    fs::remove_file(folder.join(name))?;
    sync(folder)
}

/// The bytes of a record.
pub(crate) fn read(path: &Path, owner: &Owner) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    let rest = bytes.strip_prefix(header(owner).as_bytes());
    rest.map(<[u8]>::to_vec)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no record of this owner"))
}

/// The owner of a record and how many bytes it has; `None` if the file is none of ours.
pub(crate) fn look(path: &Path) -> io::Result<Option<(Owner, u64)>> {
    let mut begin = Vec::with_capacity(HEADER_MAX);
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    file.take(HEADER_MAX as u64).read_to_end(&mut begin)?;
    let line = begin.split(|byte| *byte == b'\n').next();
    let owner = line
        .and_then(|line| std::str::from_utf8(line).ok())
        .and_then(|line| line.strip_prefix(MAGIC))
        .and_then(Owner::parse);
    Ok(owner.map(|owner| {
        let bytes = len.saturating_sub(header(&owner).len() as u64);
        (owner, bytes)
    }))
}

/// Makes a folder for its owner alone, and those above it.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    match path.parent() {
        Some(above) => sync(above),
        None => Ok(()),
    }
}

fn header(owner: &Owner) -> String {
    format!("{MAGIC}{}\n", owner.as_str())
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
