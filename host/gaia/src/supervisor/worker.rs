//! One worker: `wasmedge` with the plugin and the application, from start to end.
//!
//! It gets what it needs and nothing else: a cleared environment, one read-only folder, its keys
//! in a 0600 file there. It listens on a free loopback port and says so in its output. When this
//! process dies, however that happens, the kernel kills it too.

mod log;
mod settings;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use log::WorkerLog;
pub use settings::{GraphOptions, Surroundings, worker_settings};

use super::state::Service;

/// How the worker announces where it listens.
const LISTENING: &str = "listening on ";
/// After SIGTERM a worker has so long to end.
const TERM_GRACE: Duration = Duration::from_secs(3);
/// The longest line that is taken from the worker's output, in bytes.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// A model to load under a name.
#[derive(Debug, Clone)]
pub struct Preload {
    /// The graph's name: `default` or `embedding`.
    pub graph: &'static str,
    /// The GGUF file.
    pub file: PathBuf,
    /// How to load it.
    pub options: GraphOptions,
}

/// Everything that is needed to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerPlan {
    /// The `wasmedge` command.
    pub command: PathBuf,
    /// Options that come first, such as the run mode.
    pub options: Vec<String>,
    /// The application, compiled or not.
    pub module: PathBuf,
    /// The WASI-NN plugin.
    pub plugin: PathBuf,
    /// The folder that the worker sees; its settings lie there.
    pub folder: PathBuf,
    /// The models.
    pub preloads: Vec<Preload>,
    /// The environment it gets beside the plugin's variables.
    pub environment: Vec<(String, OsString)>,
    /// The key it asks for.
    pub key: String,
}

/// The name of the settings file in the worker's folder.
pub const SETTINGS_FILE: &str = "worker.toml";

/// A running worker.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    /// Its process.
    pub pid: u32,
    lines: mpsc::Receiver<String>,
    key: String,
}

/// How a wait for the worker's address ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It ended first.
    #[error("the worker ended ({0})")]
    Ended(ExitStatus),
    /// It said nothing.
    #[error("the worker did not listen within {} s", .0.as_secs())]
    Silent(Duration),
    /// The system lost it.
    #[error("failed to watch the worker")]
    Wait(#[source] io::Error),
}

impl WorkerPlan {
    fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = self.options.iter().map(OsString::from).collect();
        let mut push = |name: &str, value: OsString| {
            arguments.push(name.into());
            arguments.push(value);
        };
        let mut view = OsString::from(".:");
        view.push(&self.folder);
        view.push(":readonly");
        push("--dir", view);
        for preload in &self.preloads {
            let mut value = OsString::from(format!("{}:GGML:AUTO:", preload.graph));
            value.push(&preload.file);
            push("--nn-preload", value);
        }
        arguments.push(self.module.clone().into_os_string());
        arguments.extend(["--config", SETTINGS_FILE].map(OsString::from));
        arguments
    }

    /// Starts the worker; its output goes to `log`.
    ///
    /// Must be called on a thread that lives as long as the process: the kernel's "kill me when
    /// my parent dies" means the parent *thread*.
    pub fn spawn(&self, log: &WorkerLog) -> io::Result<Worker> {
        let mut command = Command::new(&self.command);
        command
            .args(self.arguments())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("WASMEDGE_PLUGIN_PATH", &self.plugin)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for preload in &self.preloads {
            let name = format!("GAIA_NN_{}", preload.graph.to_uppercase());
            command.env(name, preload.options.to_json());
        }
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        let (sender, lines) = mpsc::channel(1);
        if let Some(output) = child.stdout.take() {
            tokio::spawn(copy_lines(output, log.clone(), Some(sender)));
        }
        if let Some(output) = child.stderr.take() {
            tokio::spawn(copy_lines(output, log.clone(), None));
        }
        Ok(Worker {
            child,
            pid,
            lines,
            key: self.key.clone(),
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

impl Worker {
    /// Waits until the worker says where it listens.
    pub async fn listening(&mut self, limit: Duration) -> Result<Service, ListenError> {
        let wait = async {
            tokio::select! {
                biased;
                Some(url) = self.lines.recv() => Ok(url),
                ended = self.child.wait() => {
                    Err(ended.map_or_else(ListenError::Wait, ListenError::Ended))
                }
            }
        };
        match timeout(limit, wait).await {
            Ok(url) => Ok(Service {
                url: url?,
                key: self.key.clone(),
            }),
            Err(_) => Err(ListenError::Silent(limit)),
        }
    }

    /// Waits until the worker ends.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the worker to end, and makes it after a moment.
    pub async fn stop(mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Not reaped yet, so the id is still this child's.
            let pid = i32::try_from(self.pid)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _gone_already =
                    rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            if timeout(TERM_GRACE, self.child.wait()).await.is_err() {
                let _gone_already = self.child.kill().await;
            }
        }
    }
}

/// Copies lines to `log`; sends the address of the line that announces it.
async fn copy_lines(
    output: impl AsyncRead + Unpin,
    log: WorkerLog,
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

    fn plan(folder: &std::path::Path, script: &str) -> WorkerPlan {
        use std::os::unix::fs::PermissionsExt;
        let command = folder.join("wasmedge");
        std::fs::write(&command, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
        WorkerPlan {
            command,
            options: vec!["--run-mode=aot".into()],
            module: "/m.wasm".into(),
            plugin: "/p.so".into(),
            folder: folder.to_owned(),
            preloads: vec![Preload {
                graph: "default",
                file: "/chat.gguf".into(),
                options: GraphOptions::default(),
            }],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            key: "k".into(),
        }
    }

    #[tokio::test]
    async fn says_where_it_listens_and_gets_a_bare_environment() {
        let folder = tempfile::tempdir().unwrap();
        let log = WorkerLog::open(&folder.path().join("log")).unwrap();
        let script = "echo \"$@\"; env | sort; echo listening on http://127.0.0.1:7; exec sleep 60";
        let mut worker = plan(folder.path(), script).spawn(&log).unwrap();
        let service = worker.listening(Duration::from_secs(20)).await.unwrap();
        assert_eq!(
            (service.url.as_str(), service.key.as_str()),
            ("http://127.0.0.1:7", "k")
        );
        worker.stop().await;
        let text = log.last_lines();
        let arguments = format!(
            "--run-mode=aot --dir .:{}:readonly --nn-preload default:GGML:AUTO:/chat.gguf /m.wasm --config worker.toml",
            folder.path().display()
        );
        assert!(text.contains(&arguments), "{text}");
        assert!(text.contains("WASMEDGE_PLUGIN_PATH=/p.so"), "{text}");
        assert!(!text.contains("HOME=") && !text.contains("CARGO"), "{text}");
    }

    #[tokio::test]
    async fn an_early_end_is_told_with_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = WorkerLog::open(&folder.path().join("log")).unwrap();
        let mut worker = plan(folder.path(), "echo no such model >&2; exit 3")
            .spawn(&log)
            .unwrap();
        let error = worker.listening(Duration::from_secs(20)).await.unwrap_err();
        assert!(
            matches!(&error, ListenError::Ended(status) if status.code() == Some(3)),
            "{error}"
        );
        for _ in 0..200 {
            if log.last_lines() == "no such model" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{}", log.last_lines());
    }

    #[tokio::test]
    async fn a_deaf_worker_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let log = WorkerLog::open(&folder.path().join("log")).unwrap();
        let script =
            "trap '' TERM; echo listening on http://127.0.0.1:7; while :; do sleep 0.1; done";
        let mut worker = plan(folder.path(), script).spawn(&log).unwrap();
        worker.listening(Duration::from_secs(20)).await.unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(worker.pid).unwrap()).unwrap();
        worker.stop().await;
        assert!(
            rustix::process::test_kill_process(pid).is_err(),
            "still there"
        );
    }
}
