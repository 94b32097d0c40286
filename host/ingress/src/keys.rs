//! The keys of a running node: read again when their file changes, counted, and kept over restarts by whoever asks.
//!
//! Invariant: a file that cannot be read or is wrong changes nothing; the keys that were good before stay, and
//! nobody else comes in.

mod file;
mod instant;
mod limit;
mod record;
mod refusal;
mod ring;
mod secret;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gaia_openai::ApiError;
use serde::{Deserialize, Serialize};

pub use file::{FILE_BYTES_MAX, KEYS_MAX, KeyFileError, keys_to_text, parse_keys};
pub use instant::{Instant, ParseInstantError};
pub use limit::Used;
pub use record::{NAME_BYTES_MAX, NamedKey, RATE_PER_MINUTE_MAX, Scope};
use ring::KeyRing;
pub(crate) use ring::Reservation;
pub use secret::{KeyHash, KeyId, MintedKey, RANDOM_BYTES};

use crate::ApiKey;
use crate::routes::Need;

/// Why the keys cannot be had at the start.
#[derive(Debug, thiserror::Error)]
pub enum ReadKeysError {
    /// Their file cannot be read.
    #[error("failed to read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is wrong.
    #[error("`{path}` cannot be used")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyFileError,
    },
}

/// Reads a file of keys; none if there is no such file.
///
/// # Errors
/// It cannot be read, or anything in it is wrong.
pub fn read_keys(path: &Path) -> Result<Option<Vec<NamedKey>>, ReadKeysError> {
    let failed = |source| ReadKeysError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    let wrong = |source| ReadKeysError::Wrong {
        path: path.to_owned(),
        source,
    };
    parse_keys(&text).map(Some).map_err(wrong)
}

/// All keys of a running node.
#[derive(Debug)]
pub struct Keys {
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ring: KeyRing,
    /// The file as it was when it was looked at last.
    seen: Option<Print>,
    /// Something was counted since it was kept.
    unkept: bool,
}

/// What changes when a file is replaced or written.
#[derive(Debug, PartialEq, Eq)]
struct Print {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    fn of(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(facts) => Ok(Some(Self {
                inode: facts.ino(),
                bytes: facts.len(),
                modified: (facts.mtime(), facts.mtime_nsec()),
                changed: (facts.ctime(), facts.ctime_nsec()),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Keys {
    /// The keys of the configuration, and those in `file`.
    ///
    /// # Errors
    /// The file is there and cannot be used.
    pub(crate) fn open(plain: Vec<ApiKey>, file: Option<PathBuf>) -> Result<Self, ReadKeysError> {
        let mut state = State {
            ring: KeyRing::new(plain),
            ..State::default()
        };
        if let Some(path) = &file {
            state.seen = Print::of(path).ok().flatten();
            if let Some(keys) = read_keys(path)? {
                state.ring.replace(keys);
            }
        }
        Ok(Self {
            file,
            state: Mutex::new(state),
        })
    }

    /// Whether anybody has to show a key.
    pub(crate) fn is_locked(&self) -> bool {
        self.fresh().ring.is_locked()
    }

    /// Lets somebody in who shows this key, or none; gives the key's id if it has one.
    ///
    /// # Errors
    /// 401, 403 or 429.
    pub(crate) fn enter(
        &self,
        shown: Option<&[u8]>,
        need: Need,
    ) -> Result<Option<KeyId>, ApiError> {
        let mut state = self.fresh();
        let entered = state.ring.enter(shown, need, since_1970())?;
        state.unkept |= entered.is_some();
        Ok(entered)
    }

    /// What its owner calls this key.
    pub(crate) fn name_of(&self, key: &KeyId) -> Option<String> {
        self.state().ring.name_of(key).map(str::to_owned)
    }

    /// Whether the tokens of this key are limited.
    pub(crate) fn counts_tokens(&self, key: &KeyId) -> bool {
        self.state().ring.counts_tokens(key)
    }

    /// Sets aside what a request may come to take.
    ///
    /// # Errors
    /// 429 if that is more than is left of the day's.
    pub(crate) fn reserve(&self, key: &KeyId, tokens: u64) -> Result<Reservation, ApiError> {
        let mut state = self.state();
        state.unkept = true;
        Ok(state.ring.reserve(key, tokens, since_1970())?)
    }

    /// The request is over and took so many tokens.
    pub(crate) fn settle(&self, reservation: &Reservation, taken: u64) {
        let mut state = self.state();
        state.unkept = true;
        state.ring.settle(reservation, taken);
    }

    /// What was counted, as text to keep; none if nothing new was.
    pub fn unkept_usage(&self) -> Option<String> {
        let mut state = self.state();
        let Keep { keys } = std::mem::take(&mut state.unkept).then(|| Keep {
            keys: state
                .ring
                .used()
                .map(|(id, used)| (id.to_string(), used))
                .collect(),
        })?;
        drop(state);
        serde_json::to_string_pretty(&Keep { keys }).ok()
    }

    /// Goes on counting from what was kept; text that says nothing counts as nothing.
    pub fn restore_usage(&self, text: &str) {
        self.state().ring.restore(parse_usage(text));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, with the keys of the file as it is now. Asking the system whether it changed takes a microsecond;
    /// so a key that was revoked opens nothing from that moment on.
    fn fresh(&self) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let Some(path) = &self.file else {
            return state;
        };
        // Where the system does not say, what was good stays.
        if let Ok(print) = Print::of(path)
            && print != state.seen
        {
            state.seen = print;
            state.ring.reread(path);
        }
        state
    }
}

impl KeyRing {
    fn reread(&mut self, path: &Path) {
        match read_keys(path) {
            Ok(keys) => {
                let keys = keys.unwrap_or_default();
                tracing::info!(keys = keys.len(), "the keys of the API were read again");
                self.replace(keys);
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the keys of the API stay as they were");
            }
        }
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Keep {
    keys: BTreeMap<String, Used>,
}

/// What the keys took, from the text that a node keeps of it; what cannot be read is left out.
pub fn parse_usage(text: &str) -> HashMap<KeyId, Used> {
    let Keep { keys } = serde_json::from_str(text).unwrap_or_default();
    let known = keys
        .into_iter()
        .filter_map(|(id, used)| Some((KeyId::parse(&id)?, used)));
    known.take(KEYS_MAX).collect()
}

fn since_1970() -> Duration {
    // A clock before 1970 is no clock.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFERENCE: Need = Need::Scope(Scope::Inference);

    fn named(minted: &MintedKey) -> NamedKey {
        NamedKey {
            id: minted.id.clone(),
            name: "bot".to_owned(),
            hash: minted.hash.clone(),
            scopes: vec![Scope::Inference],
            rate_per_minute: None,
            tokens_per_day: Some(1000),
            created: Instant::from_unix_seconds(0),
            expires: None,
        }
    }

    /// As the command does it: a new file in the place of the old one.
    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    #[test]
    fn the_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-keys.toml");
        let keys = Keys::open(Vec::new(), Some(path.clone())).unwrap();
        assert!(!keys.is_locked());
        let minted = MintedKey::new(&[1; RANDOM_BYTES], None);
        let shown = Some(minted.key.reveal().as_bytes());
        replace(&path, &keys_to_text(&[named(&minted)]));
        assert!(keys.is_locked());
        assert_eq!(
            keys.enter(shown, INFERENCE).unwrap(),
            Some(minted.id.clone())
        );
        replace(&path, "nonsense");
        assert!(keys.enter(shown, INFERENCE).is_ok(), "what was good stays");
        replace(&path, &keys_to_text(&[]));
        assert_eq!(keys.enter(shown, INFERENCE).unwrap_err().status, 401);
        std::fs::remove_file(&path).unwrap();
        assert!(keys.is_locked(), "losing the file opens no door");
    }

    #[test]
    fn a_wrong_file_is_told_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-keys.toml");
        let check = |text: &str, expected: &str| {
            std::fs::write(&path, text).unwrap();
            let error = Keys::open(Vec::new(), Some(path.clone())).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("nonsense", "cannot be used");
        let long = "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap() + 1);
        check(&long, "failed to read");
        assert!(read_keys(folder.path()).is_err(), "a folder is no file");
    }

    #[test]
    fn what_was_counted_is_kept_and_restored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-keys.toml");
        let minted = MintedKey::new(&[1; RANDOM_BYTES], None);
        replace(&path, &keys_to_text(&[named(&minted)]));
        let open = || Keys::open(Vec::new(), Some(path.clone())).unwrap();
        let keys = open();
        assert_eq!(keys.unkept_usage(), None);
        let reservation = keys.reserve(&minted.id, 700).unwrap();
        keys.settle(&reservation, 600);
        let kept = keys.unkept_usage().unwrap();
        assert_eq!(keys.unkept_usage(), None, "nothing new");
        assert_eq!(parse_usage(&kept)[&minted.id].tokens, 600);
        let again = open();
        again.restore_usage(&kept);
        assert_eq!(again.reserve(&minted.id, 500).unwrap_err().status, 429);
        assert!(again.reserve(&minted.id, 400).is_ok());
        for nonsense in ["", "[]", "{\"keys\":{\"x\":{}}}"] {
            assert!(parse_usage(nonsense).is_empty());
        }
    }
}
