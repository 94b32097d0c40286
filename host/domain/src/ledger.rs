//! Where the ledger is, which may hold a password: in the variable `GAIA_LEDGER`, in a file of its own, or in
//! `domain.toml`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::file::DomainFile;
use crate::folder::Folder;

/// The variable that is heard before any file.
pub const LEDGER_VARIABLE: &str = "GAIA_LEDGER";

/// The longest file with a ledger's address, in bytes.
pub const LEDGER_FILE_BYTES_MAX: u64 = 4_096;

/// Where it is when nothing is said: a file of SQLite in the domain's folder.
const DEFAULT: &str = "ledger.sqlite";

/// A file of SQLite, or a `postgres://` URL. It may hold a password, so it is shown to nobody.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct LedgerAddress(String);

impl LedgerAddress {
    /// The address that `text` is.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The address itself, for who opens it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn is_url(&self) -> bool {
        self.0.contains("://")
    }
}

impl fmt::Debug for LedgerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// It is not known where the ledger is.
#[derive(Debug, thiserror::Error)]
pub enum LedgerAddressError {
    /// The file cannot be read.
    #[error("failed to read `{path}`, in which ledger_file says the ledger's address is")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is nothing in it.
    #[error("the first line of `{path}` is empty: write the ledger's address there")]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl DomainFile {
    /// Where the ledger is: what `variable` ([`LEDGER_VARIABLE`]) says, else what the file says that `ledger_file`
    /// names, else `ledger`. Paths are `folder`'s.
    ///
    /// # Errors
    /// When the file that is named cannot be read, or says nothing.
    pub fn ledger_in(
        &self,
        folder: &Folder,
        variable: Option<LedgerAddress>,
    ) -> Result<LedgerAddress, LedgerAddressError> {
        let said = variable.filter(|address| !address.0.is_empty());
        let address = match (said, &self.ledger_file, &self.ledger) {
            (Some(address), _, _) => address,
            (None, Some(path), _) => read(&folder.at(path))?,
            (None, None, Some(address)) => address.clone(),
            (None, None, None) => LedgerAddress(DEFAULT.to_owned()),
        };
        if address.is_url() {
            return Ok(address);
        }
        let path = address.0.strip_prefix("sqlite:").unwrap_or(&address.0);
        let path = folder.at(Path::new(path));
        Ok(LedgerAddress(path.to_string_lossy().into_owned()))
    }
}

fn read(path: &Path) -> Result<LedgerAddress, LedgerAddressError> {
    let failed = |source| LedgerAddressError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    let mut limited = file.take(LEDGER_FILE_BYTES_MAX + 1);
    limited.read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LEDGER_FILE_BYTES_MAX {
        let words = format!("it is longer than {LEDGER_FILE_BYTES_MAX} bytes");
        return Err(failed(io::Error::other(words)));
    }
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(LedgerAddress(line.to_owned())),
        _ => Err(LedgerAddressError::Empty {
            path: path.to_owned(),
        }),
    }
}
