//! A private folder in the node's home for snapshots that are fetched and unpacked.
//!
//! Invariant: one process at a time works in it, and when that ends nothing stays but a download,
//! which the next try goes on with.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use gaia_models::{Download, Settings, report};

use super::Context;
use super::snapshot::{LAYER_PREFIX, Limits, OpenSnapshotError};
use crate::exit::{Exit, failure};
use crate::home::make_private_folder;

const DOWNLOAD: &str = "download";

/// Why the node can make nothing of a snapshot, whatever is mended around it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// The folder, locked.
pub struct Workshop {
    folder: PathBuf,
    _lock: File,
}

impl Workshop {
    /// Makes and locks it, and removes what a killed process unpacked there.
    pub fn open(context: &Context) -> anyhow::Result<Self> {
        let folder = context.home.root().join("restore");
        make_private_folder(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = "another `gaia knowledge restore` is running in this home";
                return Err(failure(Exit::Failure, text));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let workshop = Self {
            folder,
            _lock: lock,
        };
        workshop.remove(LAYER_PREFIX)?;
        Ok(workshop)
    }

    /// Where to unpack.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that `from` means, fetched if it is elsewhere.
    pub fn file(&self, context: &Context, from: &str) -> anyhow::Result<PathBuf> {
        if !is_url(from) {
            return Ok(PathBuf::from(from));
        }
        let settings = Settings {
            hub: context.environment.hub.clone(),
            ..Settings::new(&self.folder)
        };
        let part = self.folder.join(DOWNLOAD);
        let download = Download {
            url: from,
            part: &part,
            bytes_max: Limits::default().bytes_max,
        };
        let mut bar = report(DOWNLOAD, |line| context.terminal.note(line));
        let fetched = settings.download(&download, &mut |event| {
            if !context.terminal.json {
                bar(event);
            }
        });
        fetched.map_err(|error| anyhow::anyhow!(error.chain()))?;
        Ok(part)
    }

    /// Tidies up after restoring `from`. What was fetched goes once it is restored, and where its
    /// bytes are of no use: the server may have better ones by the next try. A run with a file
    /// leaves what another one fetched.
    pub fn clear<T>(&self, from: &str, outcome: &anyhow::Result<T>) -> anyhow::Result<()> {
        self.remove(LAYER_PREFIX)?;
        let is_done = match outcome {
            Ok(_) => true,
            Err(error) => is_useless(error),
        };
        if is_url(from) && is_done {
            self.remove(DOWNLOAD)?;
        }
        Ok(())
    }

    /// Removes the files whose names begin so.
    fn remove(&self, prefix: &str) -> anyhow::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

fn is_url(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

/// Whether no later try could do anything with the same bytes.
fn is_useless(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let opening = cause.downcast_ref::<OpenSnapshotError>();
        cause.is::<Unusable>() || opening.is_some_and(OpenSnapshotError::is_of_the_file)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_download_stays_for_as_long_as_it_is_of_use() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = Workshop {
            folder: folder.path().to_owned(),
            _lock: File::create(folder.path().join("lock")).unwrap(),
        };
        let download = folder.path().join(DOWNLOAD);
        let check = |from: &str, outcome: anyhow::Result<()>, stays: bool| {
            let outcome = outcome.map_err(|error| error.context("not restored"));
            fs::write(&download, "x").unwrap();
            workshop.clear(from, &outcome).unwrap();
            assert_eq!(download.exists(), stays, "{from}: {outcome:?}");
        };
        let url = "https://example.org/k.snapshot";
        let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let write = OpenSnapshotError::Write {
            path: PathBuf::from("layer-0"),
            source: broken(),
        };
        check(url, Ok(()), false);
        check(url, Err(OpenSnapshotError::Foreign.into()), false);
        check(url, Err(OpenSnapshotError::Damaged(broken()).into()), false);
        check(url, Err(Unusable("RocksDB".to_owned()).into()), false);
        check(url, Err(write.into()), true);
        check(url, Err(anyhow::anyhow!("not enough space")), true);
        check("k.snapshot", Ok(()), true);
        check("k.snapshot", Err(OpenSnapshotError::Foreign.into()), true);
    }
}
