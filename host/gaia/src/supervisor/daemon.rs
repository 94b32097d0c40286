//! Starts the node in the background and waits until it answers.
//!
//! The background node is this very executable with `start --foreground` in a session of its own,
//! writing to the home's log. If it does not come up, its last words are this one's error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use super::state::{self, Phase, State};
use crate::home::Home;
use crate::logging::LAST_WORDS;

/// The log is set aside as `.1` when it is longer than this at a start.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// How much of the log's end is looked at for the reason of a failure.
const TAIL_BYTES_MAX: u64 = 8 * 1024;
/// How often the state is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// Why the node did not come up in the background.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The log cannot be written.
    #[error("failed to open `{path}`")]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The process did not start.
    #[error("failed to start the node in the background")]
    Start(#[source] io::Error),
    /// It ended before it was ready.
    #[error("{reason}")]
    Ended {
        /// Its last words.
        reason: String,
        /// Its status.
        status: ExitStatus,
    },
}

/// Starts the node of `home` in the background; returns once it answers. `worker`: where somebody else keeps its
/// worker; `password_file`: where the password of its key is. `tick` is called while waiting, with the state once there
/// is one.
pub fn start(
    home: &Home,
    worker: Option<&str>,
    password_file: Option<&Path>,
    tick: &mut dyn FnMut(Option<&State>),
) -> Result<State, DaemonError> {
    let mut command = Command::new(std::env::current_exe().map_err(DaemonError::Start)?);
    command
        .arg("--home")
        .arg(home.root())
        .args(["start", "--foreground"])
        .args(worker.iter().flat_map(|url| ["--worker", url]))
        .stdin(Stdio::null())
        .current_dir(home.root());
    if let Some(file) = password_file {
        // It is started in another folder.
        let file = std::path::absolute(file).map_err(DaemonError::Start)?;
        command.arg("--password-file").arg(file);
    }
    launch(command, &home.log(), |pid| {
        let state = state::running(home).filter(|state| state.pid == pid);
        match state {
            Some(state) if state.phase == Phase::Ready => Some(state),
            state => {
                tick(state.as_ref());
                None
            }
        }
    })
}

/// Starts `command` in a session of its own, writing to `log`; returns once `look`, which is given the process id,
/// finds it ready.
pub fn launch<S>(
    command: Command,
    log: &Path,
    mut look: impl FnMut(u32) -> Option<S>,
) -> Result<S, DaemonError> {
    let file = open_log(log).map_err(|source| DaemonError::Log {
        path: log.to_owned(),
        source,
    })?;
    let before = file.metadata().map(|facts| facts.len()).unwrap_or_default();
    let mut child = spawn(command, file).map_err(DaemonError::Start)?;
    loop {
        if let Some(found) = look(child.id()) {
            return Ok(found);
        }
        if let Some(status) = child.try_wait().map_err(DaemonError::Start)? {
            return Err(DaemonError::Ended {
                reason: last_words(log, before, status),
                status,
            });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|facts| facts.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn spawn(mut command: Command, log: File) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    command.stdout(log.try_clone()?).stderr(log);
    let hook = || {
        rustix::process::setsid()?;
        Ok(())
    };
    #[expect(unsafe_code, reason = "one system call between fork and exec")]
    // SAFETY: the closure makes one system call and touches no lock and no heap.
    unsafe {
        command.pre_exec(hook);
    }
    command.spawn()
}

/// The error that the node wrote before it ended.
fn last_words(path: &Path, before: u64, status: ExitStatus) -> String {
    let text = tail(path, before).unwrap_or_default();
    if let Some(message) = text.lines().rev().find_map(end_in_json) {
        return message;
    }
    match text.rfind("gaia: ") {
        Some(at) if at == 0 || text.as_bytes()[at - 1] == b'\n' => {
            text[at + "gaia: ".len()..].trim_end().to_owned()
        }
        _ => format!(
            "it ended while it started ({status}); see `{}`",
            path.display()
        ),
    }
}

/// What a node whose log is JSON says of its end.
fn end_in_json(line: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_end = record["target"] == LAST_WORDS;
    let message = record["message"].as_str().filter(|_| is_end)?;
    Some(message.to_owned())
}

/// What was written to `path` since it was `before` bytes long.
fn tail(path: &Path, before: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        before.max(length.saturating_sub(TAIL_BYTES_MAX)),
    ))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn check(text: &str, before: u64, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, text).unwrap();
        let words = last_words(&path, before, ExitStatus::from_raw(256));
        assert!(words.starts_with(expected), "{words}");
    }

    #[test]
    fn the_last_error_since_the_start_counts() {
        check("gaia: old\n", 10, "it ended while it started");
        check(
            "gaia: old\ninfo\ngaia: port taken\nby x\n",
            10,
            "port taken\nby x",
        );
        check("say gaia: no\n", 0, "it ended");
        check("", 0, "it ended");
        let in_json = "{\"target\":\"gaia::end\",\"message\":\"port taken\"}\n";
        check(in_json, 0, "port taken");
        check("{\"target\":\"gaia\",\"message\":\"no\"}\n", 0, "it ended");
    }

    #[test]
    fn a_long_log_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gaia.log");
        let file = File::create(&path).unwrap();
        file.set_len(LOG_BYTES_MAX + 1).unwrap();
        assert_eq!(open_log(&path).unwrap().metadata().unwrap().len(), 0);
        assert!(path.with_extension("log.1").exists());
        open_log(&path).unwrap();
        assert!(path.exists());
    }
}
