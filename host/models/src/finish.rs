//! The last step of every pull: check the part file, then give it its final name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use gaia_gguf::{Header, ReadHeaderError};
use gaia_manifest::{Manifest, Sha256};
use sha2::{Digest, Sha256 as Hasher};

use crate::Library;
use crate::event::Event;

/// Why a file that came was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The file is not the one that was meant.
    #[error("the file has the SHA-256 {found} instead of {expected}")]
    Sum {
        /// The manifest's or the announced sum.
        expected: Sha256,
        /// The file's.
        found: Sha256,
    },
    /// The file is no model.
    #[error("the file is no GGUF model")]
    NotAModel(#[source] ReadHeaderError),
    /// The file cannot be read or moved.
    #[error("the file cannot be put in its place")]
    Move(#[from] io::Error),
}

/// How sure the file is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) sum: Sha256,
    pub(crate) is_checked: bool,
}

/// Checks the part file and moves it to its final name. A wrong file is removed.
pub(crate) fn finish(
    library: &Library,
    manifest: &Manifest,
    announced: Option<Sha256>,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Finished, FinishError> {
    let part = library.part_path(manifest);
    let checked = check(&part, manifest.sha256.or(announced), on);
    if matches!(
        checked,
        Err(FinishError::Sum { .. } | FinishError::NotAModel(_))
    ) {
        fs::remove_file(&part)?;
        let _ = fs::remove_file(library.state_path(manifest));
    }
    let finished = checked?;
    File::open(&part)?.sync_all()?;
    let record = format!("{}  {}\n", finished.sum, manifest.file);
    fs::write(library.record_path(manifest), record)?;
    fs::rename(&part, library.path(manifest))?;
    File::open(&library.settings.folder)?.sync_all()?;
    let _ = fs::remove_file(library.state_path(manifest));
    Ok(finished)
}

fn check(
    part: &Path,
    expected: Option<Sha256>,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Finished, FinishError> {
    on(Event::Working { what: "checking" });
    let found = sum(part)?;
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(FinishError::Sum { expected, found });
    }
    Header::read(&mut File::open(part)?).map_err(FinishError::NotAModel)?;
    Ok(Finished {
        sum: found,
        is_checked: expected.is_some(),
    })
}

pub(crate) fn sum(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            count => hasher.update(&chunk[..count]),
        }
    }
}
