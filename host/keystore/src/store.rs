//! A keystore file: written once, read with a password.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use tempfile::{Builder, NamedTempFile};
use zeroize::Zeroizing;

use crate::v3::{self, Document, Entropy, OpenError};
use crate::{InvalidKeyError, NodeKey, Password};

/// The longest keystore file that is read, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a key could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveKeyError {
    /// There is a file at that place; it stays as it is.
    #[error("there is a key at `{path}` already; it is never overwritten")]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("no randomness from the system")]
    Random(#[source] getrandom::Error),
    /// The file could not be written.
    #[error("failed to write keystore `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why a key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadKeyError {
    /// The file could not be read.
    #[error("failed to read keystore `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is longer than any keystore.
    #[error("keystore `{path}` is longer than {FILE_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is no keystore.
    #[error("`{path}` is not a version 3 keystore")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: serde_json::Error,
    },
    /// The document does not open.
    #[error("failed to open keystore `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: OpenError,
    },
    /// What was inside is no key.
    #[error("keystore `{path}` opens, but holds no key")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: InvalidKeyError,
    },
    /// The key inside belongs to another address than the one written beside it.
    #[error("keystore `{path}` holds the key of {actual}, not of {stated}")]
    OtherAddress {
        /// The file.
        path: PathBuf,
        /// The address in the file's plain part.
        stated: Address,
        /// The address of the key.
        actual: Address,
    },
    /// The file does not say whose key it is.
    #[error("keystore `{path}` names no address")]
    NoAddress {
        /// The file.
        path: PathBuf,
    },
}

/// Seals `key` under `password` into a new file at `path` (mode 0600, whole or not at all).
///
/// Takes about a second: that is scrypt doing its duty.
pub fn save_key(path: &Path, key: &NodeKey, password: &Password) -> Result<(), SaveKeyError> {
    if path.exists() {
        return Err(SaveKeyError::Exists {
            path: path.to_owned(),
        });
    }
    let mut entropy: Entropy = [0; 64];
    getrandom::fill(&mut entropy).map_err(SaveKeyError::Random)?;
    let address = alloy_primitives::hex::encode(key.address());
    let document = v3::seal(key.reveal().as_slice(), address, password, &entropy);
    write_new(path, &document).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SaveKeyError::Exists {
            path: path.to_owned(),
        },
        _ => SaveKeyError::Write {
            path: path.to_owned(),
            source,
        },
    })
}

/// Reads the key at `path`, also one whose plaintext is 64 hex characters (GaiaNet's old tool).
pub fn load_key(path: &Path, password: &Password) -> Result<NodeKey, LoadKeyError> {
    let document = read_document(path)?;
    let secret = open_document(path, &document, password)?;
    let path = || path.to_owned();
    let key = parse_secret(&secret).map_err(|source| LoadKeyError::Key {
        path: path(),
        source,
    })?;
    match stated_address(&document) {
        Some(stated) if stated != key.address() => Err(LoadKeyError::OtherAddress {
            path: path(),
            stated,
            actual: key.address(),
        }),
        _ => Ok(key),
    }
}

/// The address written in the file's plain part; needs no password and proves nothing.
pub fn read_address(path: &Path) -> Result<Address, LoadKeyError> {
    let document = read_document(path)?;
    stated_address(&document).ok_or_else(|| LoadKeyError::NoAddress {
        path: path.to_owned(),
    })
}

fn write_new(path: &Path, document: &Document) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let file = write_document(folder, document)?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// `document` in a file of mode 0600 without a name yet, all on the disk.
pub(crate) fn write_document(folder: &Path, document: &Document) -> io::Result<NamedTempFile> {
    let mut file = Builder::new().prefix(".keystore-").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, document)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// What is sealed in the `document` that was read from `path`.
pub(crate) fn open_document(
    path: &Path,
    document: &Document,
    password: &Password,
) -> Result<Zeroizing<Vec<u8>>, LoadKeyError> {
    v3::open(document, password).map_err(|source| LoadKeyError::Open {
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn read_document(path: &Path) -> Result<Document, LoadKeyError> {
    let read = |source| LoadKeyError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(read)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(read)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(LoadKeyError::TooLong {
            path: path.to_owned(),
        });
    }
    serde_json::from_str(&text).map_err(|source| LoadKeyError::Parse {
        path: path.to_owned(),
        source,
    })
}

fn stated_address(document: &Document) -> Option<Address> {
    document.address.as_deref()?.parse().ok()
}

fn parse_secret(secret: &[u8]) -> Result<NodeKey, InvalidKeyError> {
    let mut bytes = Zeroizing::new([0; 32]);
    match secret.len() {
        32 => bytes.copy_from_slice(secret),
        64 => alloy_primitives::hex::decode_to_slice(secret, bytes.as_mut_slice())
            .map_err(|_| InvalidKeyError)?,
        _ => return Err(InvalidKeyError),
    }
    NodeKey::from_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password() -> Password {
        Password::new("correct horse".to_owned())
    }

    /// A quick keystore file with `secret` inside and `address` outside.
    fn write_weak(path: &Path, secret: &[u8], address: &str) {
        let document = v3::seal_with(secret, address.to_owned(), &password(), &[3; 64], 4);
        fs::write(path, serde_json::to_string(&document).unwrap()).unwrap();
    }

    #[test]
    fn saved_once_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystore.json");
        let key = NodeKey::generate();
        save_key(&path, &key, &password()).unwrap();

        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read_address(&path).unwrap(), key.address());
        let again = load_key(&path, &password()).unwrap();
        assert_eq!(again.reveal(), key.reveal());

        let before = fs::read(&path).unwrap();
        let refused = save_key(&path, &NodeKey::generate(), &password()).unwrap_err();
        assert!(matches!(refused, SaveKeyError::Exists { .. }), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no leftovers"
        );
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keystore.json");
        let document = v3::seal_with(&[1; 32], String::new(), &password(), &[3; 64], 4);
        fs::write(&path, "theirs").unwrap();
        let refused = write_new(&path, &document).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    fn check_secret(secret: &[u8], address: &str, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.json");
        write_weak(&path, secret, address);
        match (load_key(&path, &password()), expected) {
            (Ok(key), Ok(address)) => assert_eq!(key.address().to_string(), address),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, _) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn reads_raw_keys_and_gaianets_hex_text() {
        let one = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf";
        let mut raw = [0; 32];
        raw[31] = 1;
        let hex = format!("{:064x}", 1);
        check_secret(&raw, "", Ok(one));
        check_secret(hex.as_bytes(), "", Ok(one));
        check_secret(
            hex.as_bytes(),
            "7e5f4552091a69125d5dfcb7b8c2659029395bdf",
            Ok(one),
        );
        check_secret(
            &raw,
            "2b5ad5c4795c026514f8317c7a215e218dccd6cf",
            Err("not of 0x2B5A"),
        );
        check_secret(&[b'z'; 64], "", Err("holds no key"));
        check_secret(&raw[..31], "", Err("holds no key"));
        check_secret(&[0; 32], "", Err("holds no key"));
    }

    fn check_file(text: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k.json");
        fs::write(&path, text).unwrap();
        let error = load_key(&path, &password()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn corrupt_files_are_named() {
        check_file("", "is not a version 3 keystore");
        check_file("{\"version\":3}", "is not a version 3 keystore");
        check_file(&" ".repeat(FILE_BYTES_MAX as usize + 1), "is longer than");
        let missing = load_key(Path::new("/nonexistent/k.json"), &password()).unwrap_err();
        assert!(matches!(missing, LoadKeyError::Read { .. }));
    }
}
