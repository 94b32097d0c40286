//! A child process that announces where it listens: the worker, the vector store.
//!
//! It gets what it needs and nothing else: a cleared environment, no input, a process group of its
//! own so that ctrl-C reaches it through us only. When this process dies, however that happens,
//! the kernel kills it too.

mod log;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use log::ChildLog;

/// How a child announces where it listens.
const LISTENING: &str = "listening on ";
/// The longest line that is taken from a child's output, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// How long to wait for what a child wrote before it ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// Everything that is needed to start a child.
#[derive(Debug, Clone)]
pub struct ChildPlan {
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(String, OsString)>,
    /// The folder it starts in.
    pub folder: PathBuf,
}

/// A running child. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    child: tokio::process::Child,
    /// Its process.
    pub pid: u32,
    addresses: mpsc::Receiver<String>,
    readers: Vec<JoinHandle<()>>,
}

/// How a wait for a child's address ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It ended first.
    #[error("it ended ({0})")]
    Ended(ExitStatus),
    /// It said nothing.
    #[error("it did not listen within {} s", .0.as_secs())]
    Silent(Duration),
    /// The system lost it.
    #[error("failed to watch it")]
    Wait(#[source] io::Error),
}

impl ChildPlan {
    /// Starts the child; its output goes to `log`.
    ///
    /// Must be called on a thread that lives as long as the process: the kernel's "kill me when
    /// my parent dies" means the parent *thread*.
    pub fn spawn(&self, log: &ChildLog) -> io::Result<Child> {
        let mut command = Command::new(&self.command);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        let (sender, addresses) = mpsc::channel(1);
        let mut readers = Vec::new();
        if let Some(output) = child.stdout.take() {
            readers.push(tokio::spawn(copy_lines(output, log.clone(), Some(sender))));
        }
        if let Some(output) = child.stderr.take() {
            readers.push(tokio::spawn(copy_lines(output, log.clone(), None)));
        }
        Ok(Child {
            child,
            pid,
            addresses,
            readers,
        })
    }
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
    let parent = getpid();
    let hook = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        match getppid() {
            Some(pid) if pid == parent => Ok(()),
            // The parent died before the request above counted.
            _ => Err(io::Error::other("the parent is gone")),
        }
    };
    #[expect(
        unsafe_code,
        reason = "only system calls between fork and exec; nothing allocates"
    )]
    // SAFETY: the closure makes two system calls and touches no lock and no heap.
    unsafe {
        command.pre_exec(hook);
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

impl Child {
    /// Waits until the child says where it listens; gives the URL.
    pub async fn listening(&mut self, limit: Duration) -> Result<String, ListenError> {
        let wait = async {
            let ended = tokio::select! {
                biased;
                Some(url) = self.addresses.recv() => return Ok(url),
                ended = self.child.wait() => ended,
            };
            self.last_words().await;
            Err(ended.map_or_else(ListenError::Wait, ListenError::Ended))
        };
        timeout(limit, wait)
            .await
            .unwrap_or(Err(ListenError::Silent(limit)))
    }

    /// Waits until the child ends and its last words are in the log.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.last_words().await;
        Ok(status)
    }

    /// Waits until what an ended child wrote is in the log.
    async fn last_words(&mut self) {
        let readers = async {
            while let Some(reader) = self.readers.last_mut() {
                let _a_broken_reader_has_no_words = reader.await;
                self.readers.pop();
            }
        };
        // A process of the child's own may live on and hold the pipe.
        let _enough_waited = timeout(LAST_WORDS_LIMIT, readers).await;
    }

    /// Asks the child to end, and makes it after `grace`.
    pub async fn stop(mut self, grace: Duration) {
        if let Ok(None) = self.child.try_wait() {
            // Not reaped yet, so the id is still this child's.
            if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                let _gone_already = kill_process(pid, Signal::TERM);
            }
            if timeout(grace, self.child.wait()).await.is_err() {
                let _gone_already = self.child.kill().await;
            }
        }
    }
}

/// Copies lines to `log`; sends the address of the line that announces it.
async fn copy_lines(
    output: impl AsyncRead + Unpin,
    log: ChildLog,
    announce: Option<mpsc::Sender<String>>,
) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match read_line(&mut reader, &mut line).await {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        log.write(text);
        if let (Some(announce), Some(url)) = (&announce, announced_url(text)) {
            // Only the first matters; a full channel means it was said before.
            let _said_before = announce.try_send(url);
        }
    }
}

/// Reads a line of at most [`LINE_BYTES_MAX`]; a longer one comes in pieces. False at the end.
async fn read_line(
    reader: &mut BufReader<impl AsyncRead + Unpin>,
    line: &mut Vec<u8>,
) -> io::Result<bool> {
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(!line.is_empty());
        }
        let room = LINE_BYTES_MAX - line.len();
        let piece = &available[..available.len().min(room)];
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(piece.len(), |at| at + 1);
        line.extend_from_slice(&piece[..taken]);
        reader.consume(taken);
        if end.is_some() || line.len() >= LINE_BYTES_MAX {
            return Ok(true);
        }
    }
}

/// `http://127.0.0.1:PORT` from the line that announces it.
fn announced_url(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(LISTENING)?;
    let url = rest.split_whitespace().next()?;
    let port = url.strip_prefix("http://127.0.0.1:")?;
    port.parse::<u16>().ok().filter(|port| *port != 0)?;
    Some(url.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_address_is_taken_from_its_line_only() {
        let check = |line, expected: Option<&str>| {
            assert_eq!(announced_url(line).as_deref(), expected, "{line}");
        };
        check(
            "listening on http://127.0.0.1:4711",
            Some("http://127.0.0.1:4711"),
        );
        check(
            "[info] listening on http://127.0.0.1:1 now",
            Some("http://127.0.0.1:1"),
        );
        check("listening on http://127.0.0.1:0", None);
        check("listening on http://10.0.0.1:4711", None);
        check("listening on http://127.0.0.1:99999", None);
        check("loading", None);
    }

    #[tokio::test]
    async fn endless_lines_come_in_pieces() {
        let text = [vec![b'x'; LINE_BYTES_MAX + 1], b"\ny".to_vec()].concat();
        let mut reader = BufReader::new(text.as_slice());
        let mut lengths = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut reader, &mut line).await.unwrap() {
            lengths.push(line.len());
            line.clear();
        }
        assert_eq!(lengths, [LINE_BYTES_MAX, 2, 1]);
    }

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(folder: &Path, script: &str) -> (Child, ChildLog) {
        let log = ChildLog::open(&folder.join("log")).unwrap();
        let plan = ChildPlan {
            command: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            folder: folder.to_owned(),
        };
        (plan.spawn(&log).unwrap(), log)
    }

    #[tokio::test]
    async fn says_where_it_listens_and_gets_a_bare_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = "env; echo listening on http://127.0.0.1:7; exec sleep 60";
        let (mut child, log) = shell(folder.path(), script);
        assert_eq!(child.listening(LIMIT).await.unwrap(), "http://127.0.0.1:7");
        child.stop(LIMIT).await;
        let text = log.last_lines();
        assert!(text.contains("PATH=/usr/bin:/bin"), "{text}");
        assert!(!text.contains("HOME=") && !text.contains("CARGO"), "{text}");
    }

    #[tokio::test]
    async fn an_early_end_is_told_with_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, log) = shell(folder.path(), "echo no such model >&2; exit 3");
        let error = child.listening(LIMIT).await.unwrap_err();
        assert!(
            matches!(&error, ListenError::Ended(status) if status.code() == Some(3)),
            "{error}"
        );
        assert_eq!(log.last_lines(), "no such model");
    }

    #[tokio::test]
    async fn a_silent_one_is_not_waited_for_forever() {
        let folder = tempfile::tempdir().unwrap();
        let (mut child, _) = shell(folder.path(), "exec sleep 60");
        let error = child
            .listening(Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(matches!(error, ListenError::Silent(_)), "{error}");
    }

    #[tokio::test]
    async fn a_deaf_one_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            "trap '' TERM; echo listening on http://127.0.0.1:7; while :; do sleep 0.1; done";
        let (mut child, _) = shell(folder.path(), script);
        child.listening(LIMIT).await.unwrap();
        let pid = Pid::from_raw(i32::try_from(child.pid).unwrap()).unwrap();
        child.stop(Duration::from_millis(100)).await;
        assert!(
            rustix::process::test_kill_process(pid).is_err(),
            "still there"
        );
    }
}
