//! Takes from a process what it does not need: files, programs, connections, system calls.
//!
//! For the worker, which runs a large C++ library on files from strangers. What it loses here it cannot get
//! back, nor can anything that it starts. The kernel may not grant everything: what it does not is left, and
//! said ([`grants`]), because a node on an older kernel shall run all the same. Other systems than Linux grant
//! nothing.
//!
//! Invariant: nothing that is taken comes back, and a part that fails does not keep the others from being taken.

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod rights;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a process keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The files it keeps; none: all, and all programs, because what it needs is not known.
    pub files: Option<Files>,
    /// The ports that it may connect to. It may listen on any.
    pub connect: Vec<u16>,
    /// The largest file that it may write, in bytes, where that is more than a note.
    #[serde(default)]
    pub file_bytes_max: Option<u64>,
    /// Whether it computes on a GPU whose driver talks over local sockets and memory files.
    pub gpu: bool,
}

/// Files and folders, with everything below them. What is not there is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// To be read.
    pub read: Vec<PathBuf>,
    /// To be read, written, made and removed.
    pub write: Vec<PathBuf>,
    /// The same, with the folders in them.
    #[serde(default)]
    pub own: Vec<PathBuf>,
    /// Devices: to be read, written and controlled.
    pub devices: Vec<PathBuf>,
    /// Programs: to be started.
    pub run: Vec<PathBuf>,
}

/// What this kernel takes away if it is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// Files and programs that are not on the list.
    pub files: bool,
    /// TCP connections to other ports.
    pub connections: bool,
    /// Signals to processes outside.
    pub signals: bool,
    /// System calls that a server needs not.
    pub system_calls: bool,
}

impl Grants {
    /// Whether this is all there is.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.files && self.connections && self.signals && self.system_calls
    }
}

impl Plan {
    /// Takes everything else from the calling thread, which should be the only one of its process. The
    /// answer is what could not be taken, and why.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn apply(&self) -> Vec<String> {
        let mut problems = limits::lower(self);
        if let Err(error) = rights::give_up() {
            problems.push(format!("it keeps the rights of root: {error}"));
        }
        if let Err(error) = files::restrict(self) {
            problems.push(format!("files and connections are not restricted: {error}"));
        }
        // Last, for it closes the calls that the others need.
        if let Err(error) = calls::restrict(self.gpu) {
            problems.push(format!("system calls are not restricted: {error}"));
        }
        problems
    }

    /// Nothing to take elsewhere.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn apply(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What this kernel would take, tried on a thread that ends at once.
#[cfg(target_os = "linux")]
#[must_use]
pub fn grants() -> Grants {
    let tried = std::thread::spawn(|| {
        let granted = files::restrict(&Plan::default()).unwrap_or_default();
        Grants {
            system_calls: calls::restrict(false).is_ok(),
            ..granted
        }
    });
    tried.join().unwrap_or_default()
}

/// Nothing, on this system.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn grants() -> Grants {
    Grants::default()
}
