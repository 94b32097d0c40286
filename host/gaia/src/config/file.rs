//! `config.toml`: read, changed key by key with its comments kept, written whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, TomlError};

use super::check::{ConfigError, check_config, unknown_key};
use super::keys::{Config, KEYS, Key};
use crate::home::{API_KEYS_FILE, WriteHomeError, write_private};

/// The longest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why a configuration file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadConfigError {
    /// The file could not be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("`{path}` is not TOML")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: TomlError,
    },
    /// Keys or values are wrong.
    #[error("`{path}` has wrong entries")]
    Check {
        /// The file.
        path: PathBuf,
        /// All of them.
        #[source]
        source: ConfigError,
    },
}

/// Why a key could not be set. The file is as before.
#[derive(Debug, thiserror::Error)]
pub enum SetKeyError {
    /// No such key.
    #[error("{name}: {message}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// With a suggestion.
        message: String,
    },
    /// Not a value of that kind.
    #[error("{name}: must be {kind}")]
    Value {
        /// The key.
        name: &'static str,
        /// What would be right.
        kind: &'static str,
    },
    /// The configuration as a whole would be wrong.
    #[error(transparent)]
    Check(#[from] ConfigError),
}

/// A configuration file in memory.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    document: DocumentMut,
}

impl ConfigFile {
    /// Reads `path`; a missing file counts as one of defaults.
    pub fn read(path: &Path) -> Result<Self, ReadConfigError> {
        let read = |source| ReadConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let text = match File::open(path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(FILE_BYTES_MAX)
                    .read_to_string(&mut text)
                    .map_err(read)?;
                text
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => default_text(),
            Err(error) => return Err(read(error)),
        };
        let document = text.parse().map_err(|source| ReadConfigError::Parse {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            document,
        })
    }

    /// The checked configuration.
    pub fn config(&self) -> Result<Config, ReadConfigError> {
        check_config(&self.document, self.has_named_keys()).map_err(|source| {
            ReadConfigError::Check {
                path: self.path.clone(),
                source,
            }
        })
    }

    /// Sets keys to texts as typed on a command line, all or none: together they must make a right
    /// configuration. Comments stay.
    pub fn set_all(&mut self, entries: &[(&str, &str)]) -> Result<(), SetKeyError> {
        let mut document = self.document.clone();
        for (name, text) in entries {
            let key = find_key(name)?;
            let value = (key.parse)(text).ok_or(SetKeyError::Value {
                name: key.name,
                kind: key.kind,
            })?;
            put(&mut document, key, value);
        }
        check_config(&document, self.has_named_keys())?;
        self.document = document;
        Ok(())
    }

    fn has_named_keys(&self) -> bool {
        self.path.with_file_name(API_KEYS_FILE).exists()
    }

    /// Writes the file, private and atomically.
    pub fn write(&self) -> Result<(), WriteHomeError> {
        write_private(&self.path, self.document.to_string().as_bytes())
    }
}

/// The key called `name`.
pub fn find_key(name: &str) -> Result<&'static Key, SetKeyError> {
    KEYS.iter()
        .find(|key| key.name == name)
        .ok_or_else(|| SetKeyError::Unknown {
            name: name.to_owned(),
            message: unknown_key(name),
        })
}

/// The file that `gaia init` writes: every key with its comment and default.
pub fn default_text() -> String {
    let mut text = String::from(
        "# Configuration of a Gaia node. Every key can be set with `gaia config set KEY VALUE`\n\
         # as well; `gaia restart` makes it count.\n",
    );
    let defaults = Config::default();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            text.push_str(&format!("\n# ---- {section} ----\n"));
        }
        text.push_str(&comment(key));
        text.push_str(&format!("{} = {}\n", key.name, (key.get)(&defaults)));
    }
    text
}

fn comment(key: &Key) -> String {
    let lines = key.doc.iter().map(|line| format!("#{line}\n"));
    format!("\n{}", lines.collect::<String>())
}

fn put(document: &mut DocumentMut, key: &Key, value: toml_edit::Value) {
    if let Some(Item::Value(old)) = document.get_mut(key.name) {
        let decor = old.decor().clone();
        *old = value;
        *old.decor_mut() = decor;
        return;
    }
    document.insert(key.name, Item::Value(value));
    if let Some(mut name) = document.key_mut(key.name) {
        name.leaf_decor_mut().set_prefix(comment(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> ConfigFile {
        ConfigFile {
            path: "config.toml".into(),
            document: text.parse().unwrap(),
        }
    }

    #[test]
    fn the_default_file_holds_the_defaults() {
        let read = file(&default_text()).config().unwrap();
        let defaults = Config::default();
        for key in KEYS {
            assert_eq!(
                (key.get)(&read).to_string(),
                (key.get)(&defaults).to_string(),
                "{}",
                key.name
            );
            assert!(
                default_text().contains(&format!("\n{} = ", key.name)),
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn setting_keeps_comments() {
        let mut config = file("# mine\nport = 1 # why\n# last\nctx_size = 2\n");
        config.set_all(&[("port", "9000")]).unwrap();
        assert_eq!(
            config.document.to_string(),
            "# mine\nport = 9000 # why\n# last\nctx_size = 2\n"
        );
        config.set_all(&[("threads", "3")]).unwrap();
        assert_eq!(
            config.document.to_string(),
            "# mine\nport = 9000 # why\n# last\nctx_size = 2\n\n\
             # Threads that compute. 0: one for each physical core.\nthreads = 3\n"
        );
    }

    fn check_refused(name: &str, text: &str, expected: &str) {
        let mut config = file("port = 1\n");
        let error = config.set_all(&[(name, text)]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(
            config.document.to_string(),
            "port = 1\n",
            "nothing half done"
        );
    }

    #[test]
    fn wrong_input_changes_nothing() {
        check_refused("prot", "1", "prot: no such key; did you mean `port`?");
        check_refused(
            "port",
            "many",
            "port: must be a whole number from 0 to 65535",
        );
        check_refused(
            "retrieval_threshold",
            "7",
            "retrieval_threshold: must be between 0 and 1",
        );
        check_refused(
            "host",
            "0.0.0.0",
            "host: 0.0.0.0 can be reached by others, so there must be a key first: gaia key api create NAME",
        );
    }

    #[test]
    fn several_keys_are_checked_together() {
        let mut config = file("");
        config
            .set_all(&[("host", "0.0.0.0"), ("api_keys", "12345678")])
            .unwrap();
        assert!(config.config().unwrap().host.is_unspecified());
    }

    #[test]
    fn every_default_can_be_set_as_text() {
        for key in KEYS {
            let shown = (key.shown)(&Config::default());
            let text = shown.trim_start_matches('[').trim_end_matches(']');
            assert!((key.parse)(text).is_some(), "{} = {text}", key.name);
        }
    }

    #[test]
    fn a_broken_file_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "port = = 1").unwrap();
        let error = ConfigFile::read(&path).unwrap_err();
        let chain = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(
            chain.contains("config.toml") && chain.contains("line 1"),
            "{chain}"
        );
    }
}
