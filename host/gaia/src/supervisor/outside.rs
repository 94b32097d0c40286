//! Where the worker and its host find each other, and with which keys.
//!
//! A worker that the node starts gets ports and keys that are new each time. One that somebody else keeps was told
//! of them once and may outlive the node, so they stay: the ports follow from `worker_url`, and the keys are read
//! back from the settings that were written for it.

use std::fs;
use std::io;
use std::path::Path;

use toml_edit::DocumentMut;

use super::ports::{HeldPort, OutsidePorts};
use super::state::Seat;
use super::worker::SETTINGS_FILE;
use crate::home::Home;
use crate::password::random_hex;

/// Hex digits of a key.
const KEY_LEN: usize = 64;

/// Why there are no seats.
#[derive(Debug, thiserror::Error)]
pub enum TakeSeatsError {
    /// No port on loopback for the worker's bell.
    #[error("failed to find a port for the worker")]
    Bell(#[source] io::Error),
    /// No randomness for a key.
    #[error("no randomness from the system")]
    Random(#[from] getrandom::Error),
}

/// The ports and keys of a worker and of what it asks.
#[derive(Debug)]
pub struct Seats {
    /// The worker.
    pub worker: Seat,
    /// What its host does for it.
    pub back: Seat,
    /// The node's own vector store.
    pub store: Seat,
    /// The port on which it wakes itself.
    pub bell: u16,
    /// Keeps that port, where the worker is the node's own.
    _held: Option<HeldPort>,
}

impl Seats {
    /// New ones, for a worker that the node starts.
    pub fn own() -> Result<Self, TakeSeatsError> {
        let held = HeldPort::hold().map_err(TakeSeatsError::Bell)?;
        Ok(Self {
            worker: Seat::any()?,
            back: Seat::any()?,
            store: Seat::any()?,
            bell: held.port(),
            _held: Some(held),
        })
    }

    /// Those of a worker that somebody else keeps: as they were told it last, if they were.
    pub fn outside(ports: OutsidePorts, home: &Home) -> Result<Self, TakeSeatsError> {
        let told = Told::read(&home.worker().join(SETTINGS_FILE));
        let seat = |port, name: &str| -> Result<Seat, getrandom::Error> {
            let key = match told.key(name) {
                Some(key) => key,
                None => random_hex::<32>()?,
            };
            Ok(Seat { port, key })
        };
        Ok(Self {
            worker: seat(ports.worker(), "worker_key")?,
            back: seat(ports.back(), "back_key")?,
            store: seat(ports.store(), "store_key")?,
            bell: ports.bell(),
            _held: None,
        })
    }
}

/// What a worker was told.
struct Told(DocumentMut);

impl Told {
    /// What cannot be read counts as nothing.
    fn read(settings: &Path) -> Self {
        let text = fs::read_to_string(settings).unwrap_or_default();
        Self(text.parse().unwrap_or_default())
    }

    /// The key called `name`, if it is one of ours.
    fn key(&self, name: &str) -> Option<String> {
        let key = self.0.get(name)?.as_str()?;
        let is_ours = key.len() == KEY_LEN && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_ours.then(|| key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(settings: &str) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        home.make_folders().unwrap();
        fs::write(home.worker().join(SETTINGS_FILE), settings).unwrap();
        (folder, home)
    }

    #[test]
    fn keys_that_were_told_stay_and_others_are_new() {
        let ports = OutsidePorts::parse("http://127.0.0.1:9080").unwrap();
        let kept = "ab".repeat(32);
        let (_folder, home) = home(&format!("worker_key = '{kept}'\nstore_key = 'short'"));
        let seats = Seats::outside(ports, &home).unwrap();
        assert_eq!((seats.worker.port, &seats.worker.key), (9080, &kept));
        assert_eq!((seats.store.port, seats.store.key.len()), (9082, KEY_LEN));
        assert_eq!((seats.back.port, seats.back.key.len()), (9081, KEY_LEN));
        assert_ne!(seats.back.key, seats.store.key);
    }

    #[test]
    fn a_worker_of_the_nodes_own_gets_new_ones_each_time() {
        let [one, other] = [Seats::own().unwrap(), Seats::own().unwrap()];
        assert_ne!(one.worker.key, other.worker.key);
        assert_ne!(one.bell, other.bell);
    }
}
