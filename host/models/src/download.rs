//! Fetches a file that is no model with the same care: resumed, retried, bounded.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gaia_manifest::Sha256;

use crate::address;
use crate::event::Event;
use crate::fetch::{Client, FetchError, Target};
use crate::finish::sum;
use crate::library::Settings;

/// What to fetch, and what it may take.
#[derive(Debug, Clone, Copy)]
pub struct Download<'a> {
    /// Where it is. The hub's page about a file means the file.
    pub url: &'a str,
    /// Where it goes. What an earlier try left there of the same file is kept, unless the server says that it
    /// has another by now.
    pub part: &'a Path,
    /// The most bytes it may have.
    pub bytes_max: u64,
}

impl Settings {
    /// Fetches a file; the part file is whole when this returns, and matches the SHA-256 that the
    /// server announced, where it did.
    ///
    /// # Errors
    /// When it cannot be had whole. What came stays in the part file for the next try, unless it
    /// cannot be trusted.
    pub fn download(
        &self,
        download: &Download<'_>,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FetchError> {
        let url = address::resolve(download.url, self.hub.as_deref());
        let state = state_path(download.part);
        let target = Target {
            part: download.part,
            state: &state,
            reserve_bytes: self.reserve_bytes,
            retry_wait: self.retry_wait,
            bytes_max: download.bytes_max,
        };
        let client = Client::new(self.stall_timeout);
        if client.has_changed(&url, &target, self.stall_timeout) {
            remove(&[target.part, target.state])?;
        }
        let announced = client.fetch(&url, &target, on)?;
        match announced {
            Some(expected) => check(download.part, &state, expected, on),
            None => Ok(()),
        }
    }
}

fn state_path(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".state");
    name.into()
}

/// A file with another sum is removed: going on from it would never end well.
fn check(
    part: &Path,
    state: &Path,
    expected: Sha256,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<(), FetchError> {
    on(Event::Working {
        what: "checking the sum",
    });
    if sum(part).map_err(FetchError::Write)? == expected {
        return Ok(());
    }
    remove(&[part, state])?;
    Err(FetchError::WrongSum)
}

fn remove(paths: &[&Path]) -> Result<(), FetchError> {
    for path in paths {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(FetchError::Write(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
