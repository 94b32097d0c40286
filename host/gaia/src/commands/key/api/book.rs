//! The file of keys, read and replaced.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use gaia_ingress::keys::{MintedKey, NamedKey, RANDOM_BYTES, keys_to_text, read_keys};

use crate::exit::{Exit, failure};
use crate::home::{Home, write_private};

/// The file of keys.
pub struct Book {
    path: PathBuf,
    /// All keys.
    pub keys: Vec<NamedKey>,
    /// Nobody else changes the file while it is held.
    _lock: Option<File>,
}

impl Book {
    /// To read.
    pub fn open(home: &Home) -> anyhow::Result<Self> {
        let path = home.api_keys();
        let keys = read_keys(&path)?.unwrap_or_default();
        Ok(Self {
            path,
            keys,
            _lock: None,
        })
    }

    /// To change; whoever else wants to waits.
    pub fn open_to_change(home: &Home) -> anyhow::Result<Self> {
        home.make_folders()?;
        let path = home.root().join("run/api-keys.lock");
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        let lock = locked.with_context(|| format!("failed to lock `{}`", path.display()))?;
        Ok(Self {
            _lock: Some(lock),
            ..Self::open(home)?
        })
    }

    /// Replaces the file.
    pub fn write(&self) -> anyhow::Result<()> {
        Ok(write_private(
            &self.path,
            keys_to_text(&self.keys).as_bytes(),
        )?)
    }

    /// Where the key with this name or id is.
    pub fn find(&self, wanted: &str) -> anyhow::Result<usize> {
        let is_it = |key: &NamedKey| key.name == wanted || key.id.as_str() == wanted;
        let found = self.keys.iter().position(is_it);
        found.ok_or_else(|| {
            failure(
                Exit::Failure,
                format!("no key `{wanted}`; `gaia key api list` shows them all"),
            )
        })
    }

    /// A new key with an id that no other has.
    pub fn mint(&self) -> anyhow::Result<MintedKey> {
        loop {
            let minted = MintedKey::new(&random()?, None);
            if self.keys.iter().all(|key| key.id != minted.id) {
                return Ok(minted);
            }
        }
    }
}

/// Randomness for a key.
pub fn random() -> anyhow::Result<[u8; RANDOM_BYTES]> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).context("no randomness from the system")?;
    Ok(bytes)
}
