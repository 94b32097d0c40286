//! Where the keystore's password comes from.
//!
//! In this order: `--password-file`, `GAIA_PASSWORD`, a prompt where a person sits at a terminal,
//! and else a generated one in the user's configuration folder. It never lies beside the
//! keystore, so that a copied home is not an opened one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gaia_keystore::Password;
use sha2::{Digest, Sha256};

use crate::home::{WriteHomeError, make_private_folder, write_private};

/// The longest password file, in bytes.
const FILE_BYTES_MAX: u64 = 4096;
/// Random bytes in a generated password.
const GENERATED_BYTES: usize = 24;

/// Where to look.
#[derive(Debug)]
pub struct PasswordSources<'a> {
    /// `--password-file`.
    pub file: Option<&'a Path>,
    /// `GAIA_PASSWORD`.
    pub environment: Option<&'a Password>,
    /// True if a person may be asked.
    pub interactive: bool,
    /// Where a generated password lies, or will.
    pub generated: PathBuf,
}

/// Where a password came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--password-file`.
    File,
    /// `GAIA_PASSWORD`.
    Environment,
    /// Typed in.
    Prompt,
    /// Generated before, or just now; it lies there.
    Generated(PathBuf),
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The file could not be read.
    #[error("failed to read password file `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is too long for a password.
    #[error("password file `{path}` is longer than {FILE_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// An empty password protects nothing.
    #[error("the password is empty")]
    Empty,
    /// Nobody can be asked.
    #[error("the keystore's password is needed: --password-file FILE or GAIA_PASSWORD")]
    Unknown,
    /// The two typed passwords differ.
    #[error("the two passwords are not the same")]
    Mismatch,
    /// The terminal gave no answer.
    #[error("failed to ask for the password")]
    Prompt(#[source] io::Error),
    /// The system gave no randomness.
    #[error("no randomness from the system")]
    Random(#[source] getrandom::Error),
    /// The generated password could not be kept.
    #[error(transparent)]
    Write(#[from] WriteHomeError),
}

/// The file for the generated password of the home at `root`, in `user_config`.
pub fn generated_file(user_config: &Path, root: &Path) -> PathBuf {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let name: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    user_config.join(format!("{name}.password"))
}

/// The password for a new keystore.
pub fn new_password(sources: &PasswordSources) -> Result<(Password, Origin), PasswordError> {
    if let Some(found) = given(sources)? {
        return Ok(found);
    }
    if sources.interactive {
        let typed = prompt("Password for the node's key (empty: generate one): ")?;
        if !typed.is_empty() {
            if prompt("Once more: ")? != typed {
                return Err(PasswordError::Mismatch);
            }
            return Ok((Password::new(typed), Origin::Prompt));
        }
    }
    let path = sources.generated.clone();
    let password = match read_file(&path) {
        Ok(password) => password,
        Err(_) => generate(&path)?,
    };
    Ok((password, Origin::Generated(path)))
}

/// The password of a keystore that is there: the file, the variable, or what a person types.
pub fn known_password(sources: &PasswordSources) -> Result<Password, PasswordError> {
    match given(sources)? {
        Some((password, _)) => Ok(password),
        None if sources.interactive => prompt("Password of that keystore: ").map(Password::new),
        None => Err(PasswordError::Unknown),
    }
}

/// The password of this node's own key: the file, the variable, the generated one, or what a person types.
pub fn own_password(sources: &PasswordSources) -> Result<Password, PasswordError> {
    match given(sources)? {
        Some((password, _)) => Ok(password),
        None if sources.generated.exists() => read_file(&sources.generated),
        None if sources.interactive => prompt("Password of this node's key: ").map(Password::new),
        None => Err(PasswordError::Unknown),
    }
}

/// What `--password-file` names.
pub fn password_in(file: &Path) -> Result<Password, PasswordError> {
    read_file(file)
}

/// The file or the variable, where one is given.
fn given(sources: &PasswordSources) -> Result<Option<(Password, Origin)>, PasswordError> {
    if let Some(path) = sources.file {
        return Ok(Some((read_file(path)?, Origin::File)));
    }
    match sources.environment {
        Some(password) if password.reveal().is_empty() => Err(PasswordError::Empty),
        Some(password) => Ok(Some((password.clone(), Origin::Environment))),
        None => Ok(None),
    }
}

fn prompt(question: &str) -> Result<String, PasswordError> {
    rpassword::prompt_password(question).map_err(PasswordError::Prompt)
}

/// The first line of the file at `path`.
fn read_file(path: &Path) -> Result<Password, PasswordError> {
    let read = |source| PasswordError::Read {
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(read)?.len() > FILE_BYTES_MAX {
        return Err(PasswordError::TooLong {
            path: path.to_owned(),
        });
    }
    let text = fs::read_to_string(path).map_err(read)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Password::new(line.to_owned())),
        _ => Err(PasswordError::Empty),
    }
}

fn generate(path: &Path) -> Result<Password, PasswordError> {
    let text = random_hex::<GENERATED_BYTES>().map_err(PasswordError::Random)?;
    make_private_folder(path.parent().unwrap_or(Path::new(".")))?;
    write_private(path, format!("{text}\n").as_bytes())?;
    Ok(Password::new(text))
}

/// `N` random bytes as hex.
pub fn random_hex<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn sources(generated: PathBuf) -> PasswordSources<'static> {
        PasswordSources {
            file: None,
            environment: None,
            interactive: false,
            generated,
        }
    }

    #[test]
    fn generated_once_private_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = generated_file(&folder.path().join("config"), Path::new("/some/home"));
        let (first, origin) = new_password(&sources(path.clone())).unwrap();
        assert_eq!(origin, Origin::Generated(path.clone()));
        assert_eq!(first.reveal().len(), 2 * GENERATED_BYTES);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            own_password(&sources(path.clone())).unwrap().reveal(),
            first.reveal()
        );
        let (second, _) = new_password(&sources(path)).unwrap();
        assert_eq!(first.reveal(), second.reveal());
    }

    #[test]
    fn each_home_has_its_own_file_outside_of_it() {
        let config = Path::new("/c");
        let one = generated_file(config, Path::new("/homes/one"));
        assert_ne!(one, generated_file(config, Path::new("/homes/two")));
        assert!(one.starts_with(config));
    }

    fn check_file(text: &str, expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        fs::write(&path, text).unwrap();
        let mut sources = sources(folder.path().join("generated"));
        sources.file = Some(&path);
        let got = new_password(&sources).ok().map(|(password, origin)| {
            assert_eq!(origin, Origin::File);
            password.reveal().to_owned()
        });
        assert_eq!(got.as_deref(), expected, "{text:?}");
        assert!(!folder.path().join("generated").exists());
    }

    #[test]
    fn password_files() {
        check_file("secret\n", Some("secret"));
        check_file("with space \r\nsecond line", Some("with space "));
        check_file("", None);
        check_file("\nx", None);
        check_file(&"x".repeat(FILE_BYTES_MAX as usize + 1), None);
    }

    #[test]
    fn a_missing_file_is_an_error_and_not_a_generated_password() {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = sources(folder.path().join("generated"));
        let missing = folder.path().join("missing");
        sources.file = Some(&missing);
        let error = new_password(&sources).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
    }

    #[test]
    fn an_empty_variable_is_refused() {
        let empty = Password::new(String::new());
        let mut sources = sources(PathBuf::from("/nonexistent/x"));
        sources.environment = Some(&empty);
        assert!(matches!(new_password(&sources), Err(PasswordError::Empty)));
    }
}
