//! A node's home folder: what lies where, and how files get there.
//!
//! Invariants: folders are 0700 and files 0600; a file is replaced whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file with the keys of the API, beside the configuration.
pub const API_KEYS_FILE: &str = "api-keys.toml";

/// The folder of one node; several may live on one machine.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
}

/// Why a file or folder of the home could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteHomeError {
    /// The folder could not be made.
    #[error("failed to make folder `{path}`{}", space_hint(source))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file could not be written; the one that was there is as before.
    #[error("failed to write `{path}`{}", space_hint(source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn space_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (no space left: free some, or choose another place with --home)"
        }
        _ => "",
    }
}

impl Home {
    /// The home at `root`, made absolute so that it means the same to every process.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: std::path::absolute(root)?,
        })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// `keystore.json`.
    pub fn keystore(&self) -> PathBuf {
        self.root.join("keystore.json")
    }

    /// `wallet.json`: the key that pays domains.
    pub fn wallet(&self) -> PathBuf {
        self.root.join("wallet.json")
    }

    /// The access tokens that were drawn here: names and hashes.
    pub fn tokens(&self) -> PathBuf {
        self.root.join("tokens.json")
    }

    /// The keys of the API: hashes, scopes, limits.
    pub fn api_keys(&self) -> PathBuf {
        self.root.join(API_KEYS_FILE)
    }

    /// What the keys of the API took.
    pub fn api_usage(&self) -> PathBuf {
        self.root.join("api-usage.json")
    }

    /// The table of tools.
    pub fn tools(&self) -> PathBuf {
        self.root.join("tools.toml")
    }

    /// The sealed credentials of tools.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// What is kept for callers of the API.
    pub fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    /// Files that callers handed in, and what is noted of their vector stores.
    pub fn library(&self) -> PathBuf {
        self.root.join("library")
    }

    /// The domains that the node has joined, a folder each.
    pub fn domains(&self) -> PathBuf {
        self.root.join("domains")
    }

    /// How the running node fares in its domains.
    pub fn standings(&self) -> PathBuf {
        self.root.join("run/domains.json")
    }

    /// The digest of the chat model's file.
    pub fn model_digest(&self) -> PathBuf {
        self.root.join("run/model-digest.json")
    }

    /// The digest of what the node answers from.
    pub fn knowledge_digest(&self) -> PathBuf {
        self.root.join("run/knowledge-digest.json")
    }

    /// The node's plugins, a folder each.
    pub fn plugins(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The vector store's folder.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// The node's named prompts. The worker sees this folder, too.
    pub fn prompts(&self) -> PathBuf {
        self.root.join("prompts")
    }

    /// What the supervisor and the ingress write.
    pub fn log(&self) -> PathBuf {
        self.root.join("log/gaia.log")
    }

    /// What the worker writes.
    pub fn worker_log(&self) -> PathBuf {
        self.root.join("log/worker.log")
    }

    /// What the vector store writes.
    pub fn store_log(&self) -> PathBuf {
        self.root.join("log/store.log")
    }

    /// The running node's state.
    pub fn state(&self) -> PathBuf {
        self.root.join("run/state.json")
    }

    /// The lock that the running node holds.
    pub fn lock(&self) -> PathBuf {
        self.root.join("run/lock")
    }

    /// What the worker keeps when it is confined.
    pub fn confinement(&self) -> PathBuf {
        self.root.join("run/confine.json")
    }

    /// The worker's own folder.
    pub fn worker(&self) -> PathBuf {
        self.root.join("run/worker")
    }

    /// Makes the folders that are missing.
    pub fn make_folders(&self) -> Result<(), WriteHomeError> {
        for folder in [
            self.root.clone(),
            self.root.join("log"),
            self.prompts(),
            self.store(),
            self.worker(),
        ] {
            make_private_folder(&folder)?;
        }
        Ok(())
    }
}

/// Makes `path` and what is missing above it, each 0700. Folders already there stay as they are.
pub fn make_private_folder(path: &Path) -> Result<(), WriteHomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| WriteHomeError::Folder {
            path: path.to_owned(),
            source,
        })
}

/// Replaces `path` by `bytes` atomically, mode 0600.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), WriteHomeError> {
    write_atomically(path, bytes).map_err(|source| WriteHomeError::File {
        path: path.to_owned(),
        source,
    })
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o600))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folders_and_files_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(&folder.path().join("a/b")).unwrap();
        home.make_folders().unwrap();
        assert_eq!(mode(home.root()), 0o700);
        write_private(&home.config(), b"one").unwrap();
        write_private(&home.config(), b"two").unwrap();
        assert_eq!(mode(&home.config()), 0o600);
        assert_eq!(fs::read(home.config()).unwrap(), b"two");
        let names: Vec<_> = fs::read_dir(home.root()).unwrap().collect();
        assert_eq!(
            names.len(),
            5,
            "config.toml, log, prompts, run, store and nothing else"
        );
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = make_private_folder(&blocked.join("below")).unwrap_err();
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
