//! The policy while the gateway runs: `policy.toml` is read again when it changes, and all gateways of a domain learn it.
//!
//! The file's text goes into a record beside the ledger, with the time at which the file was changed; every gateway
//! looks at that record. So of several gateways with a file each, the one whose file was changed last is heard.
//!
//! Invariant: what cannot be read, or is no policy, changes nothing; the operator is told.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gaia_ledger_store::{Ledger, ReadError, RecordError};
use gaia_registry::Policy;
use tokio::sync::Mutex;

use super::http::chain;
use crate::notices::Notices;
use crate::policy::CurrentPolicy;

/// The longest `policy.toml`, in bytes. It must fit into a record.
pub const POLICY_BYTES_MAX: u64 = 1_000_000;

/// The record's kind and name.
const KIND: &str = "policy";
const ID: &str = "policy.toml";

/// How often the record is tried again because another gateway was quicker.
const ATTEMPTS_MAX: u32 = 8;

/// What notices are about.
const ABOUT: &str = "policy";

/// Keeps [`CurrentPolicy`] current.
pub(crate) struct Policies {
    pub(crate) now: CurrentPolicy,
    path: Option<PathBuf>,
    ledger: Ledger,
    notices: Notices,
    looked: Mutex<Looked>,
}

/// What was seen last.
#[derive(Default)]
struct Looked {
    file: Option<Stamp>,
    version: u64,
}

/// A file that was changed has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: SystemTime,
    bytes: u64,
    inode: u64,
}

/// A policy as somebody wrote it.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    /// When, in nanoseconds since 1970.
    at: u64,
    text: String,
}

/// Why a look brought nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("failed to read `{path}`", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    #[error("`{path}` cannot be used", path = .0.display())]
    Form(PathBuf, #[source] gaia_registry::policy::PolicyError),
    #[error("`{path}` was changed before the policy that another gateway has written: save it again to overrule that one", path = .0.display())]
    Older(PathBuf),
    #[error("the policy cannot be told to other gateways")]
    Write(#[from] RecordError),
    #[error("the policy cannot be read from the ledger's database")]
    Read(#[from] ReadError),
    #[error("other gateways change the policy all the time")]
    Contended,
}

impl Policies {
    pub(crate) fn new(
        now: CurrentPolicy,
        path: Option<PathBuf>,
        ledger: Ledger,
        notices: Notices,
    ) -> Self {
        Self {
            now,
            path,
            ledger,
            notices,
            looked: Mutex::default(),
        }
    }

    /// Looks whether the file has changed. Whether another policy holds now.
    pub(crate) async fn look(&self) -> bool {
        let Some(path) = &self.path else { return false };
        let mut looked = self.looked.lock().await;
        match self.file(path, &mut looked).await {
            Ok(false) => false,
            Ok(true) => {
                self.notices.clear(ABOUT);
                self.learn(&mut looked).await
            }
            Err(error) => {
                self.trouble(&error);
                false
            }
        }
    }

    /// Looks whether another gateway has written another one. Whether that holds now.
    pub(crate) async fn sync(&self) -> bool {
        if self.path.is_none() {
            return false;
        }
        let mut looked = self.looked.lock().await;
        self.learn(&mut looked).await
    }

    /// Whether the file was changed, is good, and is what the record says now.
    async fn file(&self, path: &Path, looked: &mut Looked) -> Result<bool, LookError> {
        let (owned, before) = (path.to_owned(), looked.file);
        let reading = tokio::task::spawn_blocking(move || read(&owned, before)).await;
        let read = reading.unwrap_or_else(|error| Err(io::Error::other(error)));
        let read = read.map_err(|error| LookError::File(path.to_owned(), error))?;
        let Some((stamp, written)) = read else {
            return Ok(false);
        };
        if let Err(error) = Policy::parse(&written.text) {
            // Once is enough, until it is changed.
            looked.file = Some(stamp);
            return Err(LookError::Form(path.to_owned(), error));
        }
        let is_heard = self.offer(&written).await?;
        looked.file = Some(stamp);
        match is_heard {
            true => Ok(true),
            false => Err(LookError::Older(path.to_owned())),
        }
    }

    /// Puts it into the record, unless a later one is there. Whether the record says the same now.
    async fn offer(&self, written: &Written) -> Result<bool, LookError> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.ledger.record(KIND, ID).await?;
            let version = found.as_ref().map_or(0, |found| found.version);
            if let Some(kept) = found.and_then(|found| parse(&found.value)) {
                if kept.text == written.text {
                    return Ok(true);
                }
                if kept.at > written.at {
                    return Ok(false);
                }
            }
            let value = format!("{}\n{}", written.at, written.text);
            match self
                .ledger
                .put_record(KIND, ID, &value, Some(version))
                .await
            {
                Ok(_) => return Ok(true),
                Err(RecordError::Version { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(LookError::Contended)
    }

    async fn learn(&self, looked: &mut Looked) -> bool {
        let record = match self.ledger.record(KIND, ID).await {
            Ok(Some(record)) if record.version != looked.version => record,
            Ok(_) => return false,
            Err(error) => {
                tracing::warn!("{}", chain(&LookError::Read(error)));
                return false;
            }
        };
        looked.version = record.version;
        let policy = parse(&record.value).and_then(|written| Policy::parse(&written.text).ok());
        let Some(policy) = policy else {
            tracing::warn!("the record {KIND}/{ID} is no policy: the one before holds");
            return false;
        };
        let is_new = self.now.set(policy);
        if is_new {
            tracing::info!("the policy is: {}", self.now.get().explain().join(" "));
        }
        is_new
    }

    fn trouble(&self, error: &LookError) {
        let text = match error {
            LookError::Older(_) => chain(error),
            _ => format!("{}; the policy before holds", chain(error)),
        };
        if self.notices.set(ABOUT, text.clone()) {
            tracing::warn!("{text}");
        }
    }
}

/// What the file says, if it is not the one that was seen before.
fn read(path: &Path, before: Option<Stamp>) -> io::Result<Option<(Stamp, Written)>> {
    let file = File::open(path)?;
    let facts = file.metadata()?;
    let stamp = Stamp {
        changed: facts.modified()?,
        bytes: facts.len(),
        inode: facts.ino(),
    };
    if before == Some(stamp) {
        return Ok(None);
    }
    let mut text = String::new();
    file.take(POLICY_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > POLICY_BYTES_MAX {
        let words = format!("it is longer than {POLICY_BYTES_MAX} bytes");
        return Err(io::Error::other(words));
    }
    // One from the future would be heard for ever.
    let at = nanos(stamp.changed.min(SystemTime::now()));
    Ok(Some((stamp, Written { at, text })))
}

fn nanos(time: SystemTime) -> u64 {
    let since: Duration = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn parse(value: &str) -> Option<Written> {
    let (at, text) = value.split_once('\n')?;
    Some(Written {
        at: at.parse().ok()?,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_when_it_has_changed_and_is_not_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        assert!(read(&path, None).is_err());
        std::fs::write(&path, "one").unwrap();
        let (stamp, written) = read(&path, None).unwrap().unwrap();
        assert_eq!(written.text, "one");
        assert_eq!(read(&path, Some(stamp)).unwrap(), None);
        std::fs::write(&path, "other").unwrap();
        let (_, other) = read(&path, Some(stamp)).unwrap().unwrap();
        assert!(other.text == "other" && other.at >= written.at);
        std::fs::write(&path, " ".repeat(POLICY_BYTES_MAX as usize)).unwrap();
        assert!(read(&path, None).unwrap().is_some());
        std::fs::write(&path, " ".repeat(POLICY_BYTES_MAX as usize + 1)).unwrap();
        assert!(read(&path, None).is_err());
    }

    #[test]
    fn a_record_is_a_time_and_a_text() {
        let check = |value, expected: Option<(u64, &str)>| {
            let expected = expected.map(|(at, text)| Written {
                at,
                text: text.to_owned(),
            });
            assert_eq!(parse(value), expected, "{value}");
        };
        check("5\na = 1\nb = 2", Some((5, "a = 1\nb = 2")));
        check("5\n", Some((5, "")));
        check("x\na", None);
        check("", None);
    }
}
