//! The domains that a node has joined: a folder each, in the node's home.
//!
//! `gaia join` writes `joined.json`, `gaia leave` takes it away, and the agent looks again and again. What was signed
//! in a domain stays in its folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, B256};
use gaia_registry::Place;
use serde::{Deserialize, Serialize};

/// Domains that a node serves at a time.
pub const DOMAINS_MAX: usize = 32;

/// The longest `joined.json`, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

const JOINED_FILE: &str = "joined.json";
const BOOK_FILE: &str = "receipts.json";

/// A domain that was joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// Where it was joined, and its gateways are asked for.
    pub url: String,
    /// Which domain answered there then. Another one is not served.
    pub place: Place,
    /// What people call it.
    pub name: String,
    /// Who earns.
    pub operator: Address,
    /// Where gateways reach the node; empty when it dials out.
    pub endpoint: String,
    /// Where the node listens for them, in plain HTTP, behind what ends TLS for its endpoint. Without it, it dials out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// What the join was signed for.
    pub config_hash: B256,
    /// A file of authorities to believe besides the public ones.
    pub authorities: Option<PathBuf>,
}

/// Why the list of joined domains cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JoinedError {
    /// A file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("failed to write `{path}`")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// One more than may be.
    #[error("the node serves {DOMAINS_MAX} domains already: leave one first")]
    Full,
}

/// The joined domains of one node.
#[derive(Debug, Clone)]
pub struct Joins {
    folder: PathBuf,
}

impl Joins {
    /// Those in `folder`, which need not be there.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// All of them, by id; at most [`DOMAINS_MAX`]. A file that cannot be read is told and left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Joined>, JoinedError> {
        let failed = |source| JoinedError::Read {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut joined = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path().join(JOINED_FILE);
            match read(&path) {
                Ok(Some(domain)) => joined.push(domain),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a joined domain is left out"),
            }
        }
        joined.sort_by_key(|domain| domain.place.domain_id);
        joined.truncate(DOMAINS_MAX);
        Ok(joined)
    }

    /// Adds a domain, or changes what is noted of it.
    ///
    /// # Errors
    /// When there are too many, or the file cannot be written.
    pub fn put(&self, joined: &Joined) -> Result<(), JoinedError> {
        let id = joined.place.domain_id;
        let others = self.list()?;
        let is_new = others.iter().all(|other| other.place.domain_id != id);
        if is_new && others.len() >= DOMAINS_MAX {
            return Err(JoinedError::Full);
        }
        let folder = self.folder_of(id);
        let failed = |source| JoinedError::Write {
            path: folder.clone(),
            source,
        };
        make_private(&folder).map_err(failed)?;
        write(&folder, joined).map_err(failed)
    }

    /// Takes a domain off the list. What was signed in it stays.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove(&self, domain: B256) -> Result<(), JoinedError> {
        let path = self.folder_of(domain).join(JOINED_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JoinedError::Write {
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn book_of(&self, domain: B256) -> PathBuf {
        self.folder_of(domain).join(BOOK_FILE)
    }

    fn folder_of(&self, domain: B256) -> PathBuf {
        self.folder.join(domain.to_string())
    }
}

fn read(path: &Path) -> Result<Option<Joined>, JoinedError> {
    let failed = |source| JoinedError::Read {
        path: path.to_owned(),
        source,
    };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(facts) if facts.len() > FILE_BYTES_MAX => {
            return Err(failed(io::ErrorKind::FileTooLarge.into()));
        }
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(failed)?;
    let joined = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
    Ok(Some(joined))
}

fn write(folder: &Path, joined: &Joined) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, joined)?;
    file.flush()?;
    file.as_file().sync_all()?;
    let path = folder.join(JOINED_FILE);
    file.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gaia_statements::SigningDomain;

    fn joined(number: u8) -> Joined {
        Joined {
            url: "https://domain.example".to_owned(),
            place: Place {
                signing: SigningDomain {
                    chain_id: 1,
                    verifying_contract: Address::ZERO,
                },
                domain_id: B256::repeat_byte(number),
            },
            name: String::new(),
            operator: Address::ZERO,
            endpoint: String::new(),
            listen: None,
            config_hash: B256::ZERO,
            authorities: None,
        }
    }

    #[test]
    fn domains_are_added_changed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let joins = Joins::new(folder.path().join("domains"));
        assert_eq!(joins.list().unwrap(), []);
        joins.put(&joined(2)).unwrap();
        joins.put(&joined(1)).unwrap();
        let mut changed = joined(2);
        changed.name = "second".to_owned();
        joins.put(&changed).unwrap();
        assert_eq!(joins.list().unwrap(), [joined(1), changed.clone()]);
        joins.remove(joined(1).place.domain_id).unwrap();
        joins.remove(joined(1).place.domain_id).unwrap();
        assert_eq!(joins.list().unwrap(), [changed]);
    }

    #[test]
    fn there_is_a_most_of_domains() {
        let folder = tempfile::tempdir().unwrap();
        let joins = Joins::new(folder.path().to_owned());
        for number in 0..DOMAINS_MAX {
            joins.put(&joined(number as u8)).unwrap();
        }
        let refused = joins.put(&joined(200)).unwrap_err();
        assert!(matches!(refused, JoinedError::Full));
        joins.put(&joined(0)).unwrap();
    }

    #[test]
    fn a_broken_file_leaves_the_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let joins = Joins::new(folder.path().to_owned());
        joins.put(&joined(1)).unwrap();
        joins.put(&joined(2)).unwrap();
        let path = joins.folder_of(joined(1).place.domain_id).join(JOINED_FILE);
        fs::write(&path, "{").unwrap();
        assert_eq!(joins.list().unwrap(), [joined(2)]);
        fs::write(&path, vec![b' '; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(joins.list().unwrap(), [joined(2)]);
    }
}
