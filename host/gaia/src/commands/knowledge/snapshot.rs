//! Brings what people call a knowledge snapshot to the plain form that a store takes.
//!
//! A file may be the snapshot of a collection itself, or hold it in a tar archive, compressed with
//! gzip, or both by turns. Which, the first bytes say; names say nothing.
//!
//! Invariant: no name out of an archive becomes a path. Each layer becomes one file, under a name
//! of this module's own, in the private folder given, and never more than its [`Limits`] allow.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use gaia_archive::{Bound, Bounded, bounded};
use indicatif::ProgressBar;
use serde_json::Value;
use tar::{Archive, EntryType};

/// Bytes at a file's beginning that say what it is.
const HEAD_BYTES: usize = 512;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const TAR_MAGIC: &[u8] = b"ustar";
const TAR_MAGIC_AT: usize = 257;
/// The entry that makes an archive a snapshot.
const CONFIG_FILE: &str = "config.json";
/// How the names of unpacked files begin.
pub const LAYER_PREFIX: &str = "layer-";
/// Bytes copied at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// What opening a snapshot may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Archives and compressions around each other.
    pub layers_max: usize,
    /// Entries of one archive.
    pub entries_max: usize,
    /// Bytes of a snapshot's `config.json`.
    pub config_bytes_max: u64,
    /// Bytes of one layer once unpacked.
    pub bytes_max: u64,
    /// Bytes of the disk that stay free.
    pub reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layers_max: 4,
            entries_max: 200_000,
            config_bytes_max: 1 << 20,
            bytes_max: 16 << 30,
            reserve_bytes: 256 << 20,
        }
    }
}

/// Why a file is not taken for a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum OpenSnapshotError {
    /// The file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What is inside cannot be written beside the node.
    #[error("failed to unpack into `{path}`")]
    Write {
        /// The file it was to become.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Neither an archive nor compressed.
    #[error("it is neither a tar archive nor compressed with gzip, so it is no Qdrant snapshot")]
    Foreign,
    /// An archive without a snapshot in it.
    #[error("the archive holds no snapshot of a Qdrant collection (no `config.json` with vectors)")]
    Nothing,
    /// An archive with several.
    #[error("the archive holds several files that may be snapshots; unpack it and restore one: {}", .0.join(", "))]
    Several(Vec<String>),
    /// An entry that has no business in a snapshot.
    #[error("the archive is refused: its entry `{name}` {why}")]
    Refused {
        /// The entry.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It breaks off or is garbled.
    #[error("the archive is damaged or cut off")]
    Damaged(#[source] io::Error),
    /// Past one of the [`Limits`].
    #[error("the archive is refused: it has more than {max} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// The disk is too full.
    #[error(
        "not enough space to unpack it in `{folder}`: {free} bytes are free there, and {reserve} of them stay free"
    )]
    Space {
        /// Where.
        folder: PathBuf,
        /// What is free.
        free: u64,
        /// What is not touched.
        reserve: u64,
    },
    /// A snapshot whose vectors the node cannot use.
    #[error("{0}")]
    Vectors(String),
}

impl OpenSnapshotError {
    /// Whether the file itself is of no use, and not the disk in the way.
    pub fn is_of_the_file(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::Space { .. } => false,
            Self::Foreign
            | Self::Nothing
            | Self::Several(_)
            | Self::Refused { .. }
            | Self::Damaged(_)
            | Self::TooMuch { .. }
            | Self::Vectors(_) => true,
        }
    }
}

/// The vectors of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vectors {
    /// Numbers in each.
    pub size: usize,
    /// How they are compared, such as `Cosine`.
    pub distance: String,
}

/// A snapshot of one collection, in the plain form.
#[derive(Debug)]
pub struct Snapshot {
    /// The file, possibly the one it was opened from.
    pub file: PathBuf,
    /// What its configuration says about the vectors.
    pub vectors: Vectors,
}

/// Finds the snapshot in the file at `path`; unpacks into `folder` what has to be unpacked.
///
/// # Errors
/// It is no snapshot, it is damaged, or it is past the limits.
pub fn open(
    path: &Path,
    folder: &Path,
    limits: &Limits,
    bar: &ProgressBar,
) -> Result<Snapshot, OpenSnapshotError> {
    let mut file = path.to_owned();
    for layer in 0..limits.layers_max {
        let inner = folder.join(format!("{LAYER_PREFIX}{layer}"));
        match look(&file, limits)? {
            Form::Snapshot(vectors) => return Ok(Snapshot { file, vectors }),
            Form::Gzip => {
                let compressed = bar.wrap_read(reader(&file)?);
                copy(&mut MultiGzDecoder::new(compressed), &inner, limits)?;
            }
            Form::Archive(index) => {
                let (reader, bound) = bounded(reader(&file)?);
                let mut archive = Archive::new(reader);
                let mut entry = nth(&mut archive, &bound, index)?;
                copy(&mut entry, &inner, limits)?;
            }
        }
        if file != path {
            remove(&file)?;
        }
        file = inner;
    }
    Err(too_much("layers", limits.layers_max as u64))
}

/// What a file turned out to be.
enum Form {
    Snapshot(Vectors),
    Gzip,
    /// An archive whose entry of this number may be a snapshot.
    Archive(usize),
}

fn look(file: &Path, limits: &Limits) -> Result<Form, OpenSnapshotError> {
    let head = head_of(&mut reader(file)?).map_err(|source| read_error(file, source))?;
    if head.starts_with(GZIP_MAGIC) {
        return Ok(Form::Gzip);
    }
    if !is_tar(&head) {
        return Err(OpenSnapshotError::Foreign);
    }
    let found = scan(file, limits)?;
    match (found.vectors, found.candidates.as_slice()) {
        (Some(vectors), _) => Ok(Form::Snapshot(vectors?)),
        (None, []) => Err(OpenSnapshotError::Nothing),
        (None, [(index, _)]) => Ok(Form::Archive(*index)),
        (None, several) => Err(OpenSnapshotError::Several(
            several.iter().map(|(_, name)| name.clone()).collect(),
        )),
    }
}

#[derive(Default)]
struct Found {
    /// What a snapshot's configuration says, if there is one.
    vectors: Option<Result<Vectors, OpenSnapshotError>>,
    /// Entries that are archives or compressed, by number and name.
    candidates: Vec<(usize, String)>,
}

/// Looks at every entry, in order. All are checked, so that an archive with one bad entry is
/// refused whole.
fn scan(file: &Path, limits: &Limits) -> Result<Found, OpenSnapshotError> {
    let length = fs::metadata(file)
        .map_err(|source| read_error(file, source))?
        .len();
    let (reader, bound) = bounded(reader(file)?);
    let mut archive = Archive::new(reader);
    let mut found = Found::default();
    let entries = archive
        .entries_with_seek()
        .map_err(OpenSnapshotError::Damaged)?;
    for (index, entry) in bound.entries(entries).enumerate() {
        let mut entry = entry.map_err(OpenSnapshotError::Damaged)?;
        if index >= limits.entries_max {
            return Err(too_much("entries", limits.entries_max as u64));
        }
        check_whole(&entry, length)?;
        let path = entry.path().map_err(OpenSnapshotError::Damaged)?;
        let (path, name) = (plain(&path)?, path.display().to_string());
        match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {}
            _ => return Err(refused(name, "is neither a file nor a folder")),
        }
        if path == Path::new(CONFIG_FILE) {
            found.vectors = config(&mut entry, limits)?;
            continue;
        }
        let head = head_of(&mut entry).map_err(OpenSnapshotError::Damaged)?;
        if head.starts_with(GZIP_MAGIC) || is_tar(&head) {
            found.candidates.push((index, name));
        }
    }
    Ok(found)
}

/// Skipping by seeking would not notice that the archive ends within `entry`.
fn check_whole(entry: &tar::Entry<'_, impl Read>, length: u64) -> Result<(), OpenSnapshotError> {
    let size = entry
        .header()
        .entry_size()
        .map_err(OpenSnapshotError::Damaged)?;
    match entry.raw_file_position().saturating_add(size) > length {
        true => Err(OpenSnapshotError::Damaged(
            io::ErrorKind::UnexpectedEof.into(),
        )),
        false => Ok(()),
    }
}

/// The path without what means nothing; refused if it would lead outside.
fn plain(path: &Path) -> Result<PathBuf, OpenSnapshotError> {
    let mut inner = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => inner.push(part),
            _ => return Err(refused(path.display().to_string(), "leads outside")),
        }
    }
    Ok(inner)
}

/// What a collection's configuration says about its vectors; none if it is another configuration,
/// such as that of a whole server's snapshot.
fn config(
    entry: &mut impl Read,
    limits: &Limits,
) -> Result<Option<Result<Vectors, OpenSnapshotError>>, OpenSnapshotError> {
    let max = limits.config_bytes_max;
    let mut bytes = Vec::new();
    let mut bounded = entry.take(max.saturating_add(1));
    bounded
        .read_to_end(&mut bytes)
        .map_err(OpenSnapshotError::Damaged)?;
    if bytes.len() as u64 > max {
        return Err(too_much("bytes of config.json", max));
    }
    let config: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(config.pointer("/params/vectors").map(vectors))
}

/// One unnamed vector a point is what a node searches.
fn vectors(value: &Value) -> Result<Vectors, OpenSnapshotError> {
    let size = value.get("size").and_then(Value::as_u64);
    let distance = value.get("distance").and_then(Value::as_str);
    if let (Some(size), Some(distance)) = (size, distance) {
        let (size, distance) = (
            usize::try_from(size).unwrap_or(usize::MAX),
            distance.to_owned(),
        );
        return Ok(Vectors { size, distance });
    }
    let names: Vec<&str> = value
        .as_object()
        .into_iter()
        .flat_map(|named| named.keys().map(String::as_str))
        .collect();
    let what = match names.as_slice() {
        [] => "no dense vectors".to_owned(),
        names => format!("named vectors ({})", names.join(", ")),
    };
    let text = format!("its points have {what}; a node searches one unnamed vector a point");
    Err(OpenSnapshotError::Vectors(text))
}

/// Copies `from` to the new file `to`, counting what comes and not what a header says.
fn copy(from: &mut impl Read, to: &Path, limits: &Limits) -> Result<(), OpenSnapshotError> {
    let write = |source| OpenSnapshotError::Write {
        path: to.to_owned(),
        source,
    };
    let folder = to.parent().unwrap_or(to);
    let free = gaia_models::free_bytes(folder).map_err(write)?;
    let room = free.saturating_sub(limits.reserve_bytes);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .open(to)
        .map_err(write)?;
    let mut block = vec![0; BLOCK_BYTES];
    let mut copied = 0;
    loop {
        let count = match from.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(source) => return Err(OpenSnapshotError::Damaged(source)),
        };
        copied += count as u64;
        if copied > limits.bytes_max {
            return Err(too_much("bytes unpacked", limits.bytes_max));
        }
        if copied > room {
            return Err(OpenSnapshotError::Space {
                folder: folder.to_owned(),
                free,
                reserve: limits.reserve_bytes,
            });
        }
        file.write_all(&block[..count]).map_err(write)?;
    }
}

type Reader = Bounded<BufReader<File>>;

fn nth<'a>(
    archive: &'a mut Archive<Reader>,
    bound: &Bound,
    index: usize,
) -> Result<tar::Entry<'a, Reader>, OpenSnapshotError> {
    let entries = archive
        .entries_with_seek()
        .map_err(OpenSnapshotError::Damaged)?;
    match bound.entries(entries).nth(index) {
        Some(entry) => entry.map_err(OpenSnapshotError::Damaged),
        None => Err(OpenSnapshotError::Nothing),
    }
}

fn reader(path: &Path) -> Result<BufReader<File>, OpenSnapshotError> {
    let file = File::open(path).map_err(|source| read_error(path, source))?;
    Ok(BufReader::new(file))
}

fn read_error(path: &Path, source: io::Error) -> OpenSnapshotError {
    OpenSnapshotError::Read {
        path: path.to_owned(),
        source,
    }
}

fn remove(path: &Path) -> Result<(), OpenSnapshotError> {
    fs::remove_file(path).map_err(|source| OpenSnapshotError::Write {
        path: path.to_owned(),
        source,
    })
}

fn head_of(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    from.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn is_tar(head: &[u8]) -> bool {
    head.get(TAR_MAGIC_AT..)
        .is_some_and(|rest| rest.starts_with(TAR_MAGIC))
}

fn refused(name: String, why: &'static str) -> OpenSnapshotError {
    OpenSnapshotError::Refused { name, why }
}

fn too_much(what: &'static str, max: u64) -> OpenSnapshotError {
    OpenSnapshotError::TooMuch { what, max }
}

#[cfg(test)]
mod tests;
