//! Named secrets: credentials of tools, one sealed file each, under the password of the node's key.
//!
//! The name is sealed in with its secret, so that files that change places are noticed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::store::{open_document, read_document, write_document};
use crate::v3::{self, Entropy};
use crate::{LoadKeyError, Password, Secret};

/// The most secrets of one node.
pub const SECRETS_MAX: usize = 64;
/// The longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 4 << 10;
/// The shortest secret, in bytes: a shorter one would be found everywhere in a reply that is searched for it.
pub const SECRET_BYTES_MIN: usize = 8;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// What a secret's file is called after its name.
const SUFFIX: &str = ".json";

/// Why a secret could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum SaveSecretError {
    /// Not a name.
    #[error("a secret's name has 1 to {NAME_BYTES_MAX} letters, digits, - and _")]
    Name,
    /// Outside the limits.
    #[error("a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} characters")]
    Length,
    /// It could not be sent in a header.
    #[error("a secret holds visible ASCII characters only, and no spaces or line breaks")]
    Character,
    /// One too many.
    #[error("a node keeps at most {SECRETS_MAX} secrets")]
    TooMany,
    /// The others could not be counted.
    #[error(transparent)]
    List(#[from] ListSecretsError),
    /// The system gave no randomness.
    #[error("no randomness from the system")]
    Random(#[source] getrandom::Error),
    /// The file could not be written, or removed.
    #[error("failed to write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why secrets could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("failed to read folder `{path}`")]
pub struct ListSecretsError {
    /// The folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Why a secret could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LoadSecretError {
    /// There is none of that name.
    #[error("there is no secret `{0}`")]
    Unknown(String),
    /// Its file cannot be read or opened.
    #[error("secret `{name}`")]
    Open {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: LoadKeyError,
    },
    /// The file holds another secret than its name says.
    #[error("`{path}` holds another secret than its name says; set it again")]
    OtherName {
        /// The file.
        path: PathBuf,
    },
}

/// The folder with a node's secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Those in `folder`, which may be missing as long as nothing is set.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Seals `secret` under `password`, in place of the one that had that name.
    ///
    /// Takes about a second: that is scrypt doing its duty.
    pub fn set(
        &self,
        name: &str,
        secret: &Secret,
        password: &Password,
    ) -> Result<(), SaveSecretError> {
        self.set_with(name, secret, password, v3::SCRYPT_LOG_N)
    }

    fn set_with(
        &self,
        name: &str,
        secret: &Secret,
        password: &Password,
        log_n: u8,
    ) -> Result<(), SaveSecretError> {
        check(name, secret)?;
        let names = self.names()?;
        if names.len() >= SECRETS_MAX && !names.iter().any(|known| known == name) {
            return Err(SaveSecretError::TooMany);
        }
        let mut entropy: Entropy = [0; 64];
        getrandom::fill(&mut entropy).map_err(SaveSecretError::Random)?;
        let text = Zeroizing::new(format!("{name}\n{}", secret.reveal()));
        let mut document = v3::seal_with(text.as_bytes(), String::new(), password, &entropy, log_n);
        document.address = None;
        let path = self.path(name);
        let write = || -> io::Result<()> {
            let file = write_document(&self.folder, &document)?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| SaveSecretError::Write {
            path: path.clone(),
            source,
        })
    }

    /// The names of all secrets, in order; needs no password.
    pub fn names(&self) -> Result<Vec<String>, ListSecretsError> {
        let failed = |source| ListSecretsError {
            path: self.folder.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let name = file.to_str().and_then(|file| file.strip_suffix(SUFFIX));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Opens the secret called `name`.
    pub fn open(&self, name: &str, password: &Password) -> Result<Secret, LoadSecretError> {
        let path = self.path(name);
        if !is_name(name) || !path.exists() {
            return Err(LoadSecretError::Unknown(name.to_owned()));
        }
        let opened =
            read_document(&path).and_then(|document| open_document(&path, &document, password));
        let opened = opened.map_err(|source| LoadSecretError::Open {
            name: name.to_owned(),
            source,
        })?;
        let text = std::str::from_utf8(&opened).unwrap_or_default();
        match text.split_once('\n') {
            Some((stated, secret)) if stated == name => Ok(Secret::new(secret.to_owned())),
            _ => Err(LoadSecretError::OtherName { path }),
        }
    }

    /// Removes the secret called `name`; false if there was none.
    pub fn remove(&self, name: &str) -> Result<bool, SaveSecretError> {
        if !is_name(name) {
            return Ok(false);
        }
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(SaveSecretError::Write { path, source }),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{SUFFIX}"))
    }
}

fn check(name: &str, secret: &Secret) -> Result<(), SaveSecretError> {
    if !is_name(name) {
        return Err(SaveSecretError::Name);
    }
    let text = secret.reveal();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SaveSecretError::Character);
    }
    match (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&text.len()) {
        true => Ok(()),
        false => Err(SaveSecretError::Length),
    }
}

/// A name becomes a file's: nothing else may be in it.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn secrets() -> (TempDir, Secrets) {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path());
        (folder, secrets)
    }

    fn password() -> Password {
        Password::new("correct horse".to_owned())
    }

    /// Sets with little work.
    fn set(secrets: &Secrets, name: &str, value: &str) -> Result<(), SaveSecretError> {
        secrets.set_with(name, &Secret::new(value.to_owned()), &password(), 4)
    }

    #[test]
    fn set_replaced_opened_and_removed() {
        let (folder, secrets) = secrets();
        assert_eq!(secrets.names().unwrap(), Vec::<String>::new());
        set(&secrets, "weather", "first-secret").unwrap();
        set(&secrets, "weather", "second-secret").unwrap();
        set(&secrets, "Mail_2", "third-secret").unwrap();
        assert_eq!(secrets.names().unwrap(), ["Mail_2", "weather"]);
        let opened = secrets.open("weather", &password()).unwrap();
        assert_eq!(opened.reveal(), "second-secret");
        let path = folder.path().join("weather.json");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("second") && !text.contains("address"),
            "{text}"
        );
        assert!(secrets.remove("weather").unwrap());
        assert!(!secrets.remove("weather").unwrap());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no leftovers"
        );
        let error = secrets.open("weather", &password()).unwrap_err();
        assert_eq!(error.to_string(), "there is no secret `weather`");
    }

    #[test]
    fn new_files_ask_as_much_work_as_keys() {
        let (folder, secrets) = secrets();
        secrets
            .set("weather", &Secret::new("x".repeat(8)), &password())
            .unwrap();
        let document = read_document(&folder.path().join("weather.json")).unwrap();
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["crypto"]["kdfparams"]["n"], 262_144);
        assert_eq!(
            secrets.open("weather", &password()).unwrap().reveal(),
            "xxxxxxxx"
        );
    }

    #[test]
    fn another_password_or_another_file_opens_nothing() {
        let (folder, secrets) = secrets();
        set(&secrets, "weather", "first-secret").unwrap();
        set(&secrets, "mail", "second-secret").unwrap();
        let wrong = secrets
            .open("weather", &Password::new("x".to_owned()))
            .unwrap_err();
        assert!(matches!(wrong, LoadSecretError::Open { .. }), "{wrong}");
        fs::copy(
            folder.path().join("mail.json"),
            folder.path().join("weather.json"),
        )
        .unwrap();
        let moved = secrets.open("weather", &password()).unwrap_err();
        assert!(
            matches!(moved, LoadSecretError::OtherName { .. }),
            "{moved}"
        );
    }

    #[test]
    fn names_never_become_paths() {
        let (_folder, secrets) = secrets();
        for name in [
            "",
            "../x",
            "a/b",
            "a.b",
            "\u{e4}",
            "a\0",
            &"n".repeat(NAME_BYTES_MAX + 1),
        ] {
            let refused = set(&secrets, name, "long enough".trim()).unwrap_err();
            assert!(matches!(refused, SaveSecretError::Name), "{name}");
            let unknown = secrets.open(name, &password()).unwrap_err();
            assert!(matches!(unknown, LoadSecretError::Unknown(_)), "{name}");
            assert!(!secrets.remove(name).unwrap());
        }
    }

    #[test]
    fn limits_are_reached() {
        let (folder, secrets) = secrets();
        assert!(set(&secrets, "x", &"s".repeat(SECRET_BYTES_MAX)).is_ok());
        let opened = secrets.open("x", &password()).unwrap();
        assert_eq!(opened.reveal().len(), SECRET_BYTES_MAX);
        for text in ["1234567", &"s".repeat(SECRET_BYTES_MAX + 1)] {
            let refused = set(&secrets, "y", text).unwrap_err();
            assert!(matches!(refused, SaveSecretError::Length), "{refused}");
        }
        for text in [
            "with space",
            "line\nbreak",
            "b\u{fc}cherwurm",
            "\u{7f}1234567",
        ] {
            let refused = set(&secrets, "y", text).unwrap_err();
            assert!(matches!(refused, SaveSecretError::Character), "{refused}");
        }
        for n in 1..SECRETS_MAX {
            fs::write(folder.path().join(format!("s{n}.json")), "").unwrap();
        }
        let refused = set(&secrets, "y", "long-enough").unwrap_err();
        assert!(matches!(refused, SaveSecretError::TooMany), "{refused}");
        assert!(
            set(&secrets, "x", "long-enough").is_ok(),
            "one that is there may change"
        );
    }
}
