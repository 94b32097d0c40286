//! What the running node says of itself in `run/state.json`, for the other verbs.
//!
//! It holds the keys of the worker and the store, so it is 0600 like everything in the home. It
//! is only to be believed while the lock is held.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::home::{Home, WriteHomeError, write_private};
use crate::password::random_hex;

use super::lock;
use super::ports::OutsidePorts;

/// How far the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The worker loads its models.
    Starting,
    /// It answers.
    Ready,
    /// The worker ended and is started again.
    Restarting,
    /// The worker that somebody else keeps is not there.
    Waiting,
    /// The worker ends again and again; still trying.
    CrashLoop,
    /// It finishes what it accepted and then ends.
    Draining,
}

impl Phase {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Waiting => "waiting for its worker",
            Self::CrashLoop => "crash loop",
            Self::Draining => "draining",
        }
    }
}

/// A model in use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelInUse {
    /// Its name in the API.
    pub name: String,
    /// Why this one.
    pub reason: String,
    /// Its file.
    pub file: std::path::PathBuf,
}

/// Where a service for the worker is to be, and which key it is to ask for.
#[derive(Clone)]
pub struct Seat {
    /// The port on loopback; 0: any that is free.
    pub port: u16,
    /// The key.
    pub key: String,
}

impl Seat {
    /// Anywhere, with a new key.
    pub fn any() -> Result<Self, getrandom::Error> {
        let key = random_hex::<32>()?;
        Ok(Self { port: 0, key })
    }
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seat({}, ****)", self.port)
    }
}

/// A service on loopback and its key.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Service {
    /// Where.
    pub url: String,
    /// The key to show; empty: none.
    pub key: String,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service({}, ****)", self.url)
    }
}

/// The worker's process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerProcess {
    /// Its id; none where somebody else keeps it and the system does not say.
    pub pid: Option<u32>,
    /// Where it answers.
    pub service: Service,
}

/// The running node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// The node's own process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Seconds since 1970.
    pub started_at: u64,
    /// How far it is.
    pub phase: Phase,
    /// Where clients reach it.
    pub url: String,
    /// Where the operator reads metrics.
    #[serde(default)]
    pub admin_url: String,
    /// The node's address.
    pub node_id: String,
    /// The chat model.
    pub chat: ModelInUse,
    /// The embedding model, if any.
    pub embedding: Option<ModelInUse>,
    /// The ranking model, if any.
    #[serde(default)]
    pub reranking: Option<ModelInUse>,
    /// The worker, while there is one.
    pub worker: Option<WorkerProcess>,
    /// Where the worker is, if somebody else keeps it.
    #[serde(default)]
    pub worker_url: Option<String>,
    /// The vector store, the node's own or another; none without an embedding model.
    pub store: Option<Service>,
    /// How often the worker was started again; of one that somebody else keeps, how often it went away.
    pub restarts: u32,
    /// The end of the worker's log when it last failed, or what was seen of somebody else's.
    pub last_failure: Option<String>,
}

impl State {
    /// The ports that it listens on.
    pub fn ports(&self) -> Vec<u16> {
        let port = |url: &String| url.rsplit(':').next()?.parse().ok();
        let own = [&self.url, &self.admin_url].into_iter().filter_map(port);
        let outside = self.worker_url.as_deref().and_then(OutsidePorts::parse);
        let behind = outside.into_iter();
        own.chain(behind.flat_map(|ports| [ports.back(), ports.store()]))
            .collect()
    }

    /// Writes the state for the other verbs.
    pub fn write(&self, home: &Home) -> Result<(), WriteHomeError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        write_private(&home.state(), &text)
    }
}

/// The state of the node running in `home`; none if none runs or it has not got so far.
pub fn running(home: &Home) -> Option<State> {
    let pid = lock::holder(&home.lock())?;
    let state = read(&home.state())?;
    (i32::try_from(state.pid).ok() == Some(pid)).then_some(state)
}

fn read(path: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(pid: u32) -> State {
        let model = ModelInUse {
            name: "m".into(),
            reason: "r".into(),
            file: "f".into(),
        };
        State {
            pid,
            version: "1".into(),
            started_at: 0,
            phase: Phase::CrashLoop,
            url: "http://127.0.0.1:1".into(),
            admin_url: "http://127.0.0.1:2".into(),
            node_id: "0x".into(),
            chat: model,
            embedding: None,
            reranking: None,
            worker: None,
            worker_url: None,
            store: Some(Service {
                url: "u".into(),
                key: "hidden".into(),
            }),
            restarts: 0,
            last_failure: None,
        }
    }

    #[test]
    fn believed_only_while_the_lock_is_held_by_the_same_process() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path()).unwrap();
        home.make_folders().unwrap();
        state(std::process::id()).write(&home).unwrap();
        assert!(running(&home).is_none(), "no lock");
        let _lock = lock::take(&home.lock()).unwrap();
        let read = running(&home).unwrap();
        assert_eq!(read.phase, Phase::CrashLoop);
        assert_eq!(read.store.unwrap().key, "hidden");
        state(1).write(&home).unwrap();
        assert!(running(&home).is_none(), "another process's state");
        fs::write(home.state(), "{").unwrap();
        assert!(running(&home).is_none(), "half a file");
    }

    #[test]
    fn debug_hides_keys() {
        assert!(!format!("{:?}", state(1)).contains("hidden"));
        let seat = Seat {
            port: 1,
            key: "hidden".into(),
        };
        assert!(!format!("{seat:?}").contains("hidden"));
    }
}
