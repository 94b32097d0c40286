//! A private folder in the node's home for snapshots that are fetched and unpacked.
//!
//! Invariant: one process at a time works in it, and when that ends nothing stays but an unfinished
//! download, which the next try goes on with.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use gaia_models::{Download, Settings, report};

use super::Context;
use super::snapshot::{LAYER_PREFIX, Limits, OpenSnapshotError};
use crate::exit::{Exit, failure};
use crate::home::make_private_folder;

const DOWNLOAD: &str = "download";

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
        if !from.starts_with("http://") && !from.starts_with("https://") {
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

    /// Tidies up after `outcome`. A download is kept only where the next try needs the same bytes:
    /// anything else may be mended on the server.
    pub fn clear<T>(&self, outcome: &anyhow::Result<T>) -> anyhow::Result<()> {
        self.remove(LAYER_PREFIX)?;
        let is_space = outcome.as_ref().is_err_and(|error| {
            let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
            causes.any(|cause| matches!(cause, OpenSnapshotError::Space { .. }))
        });
        if is_space {
            return Ok(());
        }
        self.remove(DOWNLOAD)
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
