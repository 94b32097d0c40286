//! One call of a plugin: a process that starts, answers and ends.
//!
//! Programs are interpreted. Compiling one so that its instructions are counted takes minutes and
//! gigabytes where the program is large (docs/decisions/plugins.md), and interpreted, a Python
//! interpreter answers in a third of a second.

mod output;
mod scratch;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use gaia_outbound::ArgumentsError;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::output::{Cause, split_log};
use self::scratch::Scratch;
use crate::{Manifest, Plugin};

/// The longest answer of a plugin, in bytes.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How much of what it says beside its answer is passed on, in bytes.
const SAID_BYTES_MAX: usize = 2 << 10;
/// Room for what the runtime itself writes behind an answer, in bytes.
const LOG_BYTES_MAX: usize = 16 << 10;
/// A page of WebAssembly's memory in a MiB.
const PAGES_PER_MIB: u32 = 16;
/// How much longer than its time a plugin has to be gone by itself: the runtime has to start, too.
const GRACE: Duration = Duration::from_secs(2);

/// Why a call gave no answer. The words are for the model: they say what it can do better.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// They are not what the manifest asks for.
    #[error(transparent)]
    Arguments(#[from] ArgumentsError),
    /// The runtime did not start, or was lost.
    #[error("the plugin cannot be run")]
    Run(#[source] io::Error),
    /// It took too long.
    #[error("it was ended after {0} ms: it took too long")]
    Time(u32),
    /// It computed too much.
    #[error("it was ended after {0} instructions: it computed too much")]
    Instructions(u32),
    /// It wanted more memory than there is.
    #[error("it was ended: it needs more than its {0} MiB of memory")]
    Memory(u32),
    /// It wrote too much.
    #[error("it was ended: it wrote more than {0} MiB")]
    Scratch(u32),
    /// It said too much.
    #[error("its answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// Not text.
    #[error("its answer is not text (UTF-8)")]
    NotText,
    /// It says no, or broke.
    #[error("it failed: {0}")]
    Failed(String),
}

/// Plugins that run at the same time; more wait for one of them.
pub const RUNNING_MAX: usize = 4;

/// What runs plugins.
pub struct Runtime {
    start: Box<Start>,
    places: Semaphore,
}

/// How the runtime is started for a call: a command and its first arguments, before those of `wasmedge`.
pub type Start = dyn Fn(&Sandbox<'_>) -> io::Result<Vec<OsString>> + Send + Sync;

/// What a call needs of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Sandbox<'a> {
    /// The program: to be read.
    pub module: &'a Path,
    /// Its folder: to be written.
    pub scratch: &'a Path,
    /// The largest file that it may write there, in bytes: just more than there is room for, so that it is
    /// seen what ended it.
    pub file_bytes_max: u64,
    /// A folder that it does not see, and that goes away after the call.
    pub beside: &'a Path,
}

/// What a process left.
struct Left {
    status: ExitStatus,
    output: Vec<u8>,
    errors: Vec<u8>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl Runtime {
    /// Runs them with the command `wasmedge`, as it is.
    #[must_use]
    pub fn new(wasmedge: PathBuf) -> Self {
        Self::started_by(Box::new(move |_| Ok(vec![wasmedge.clone().into()])))
    }

    /// Runs them with the command that `start` gives for each call.
    #[must_use]
    pub fn started_by(start: Box<Start>) -> Self {
        Self {
            start,
            places: Semaphore::new(RUNNING_MAX),
        }
    }

    /// Calls `plugin` with `arguments`; the answer is what it printed.
    ///
    /// # Errors
    /// There is no answer, and the error says to the model why.
    pub async fn call(&self, plugin: &Plugin, arguments: &Value) -> Result<String, Failure> {
        if let Some(parameters) = plugin.manifest.parameters() {
            parameters.check(arguments)?;
        }
        self.run(plugin, arguments.to_string()).await
    }

    /// Runs `plugin` with `input`; the answer is what it printed.
    ///
    /// # Errors
    /// There is no answer, and the error says why.
    pub async fn run(&self, plugin: &Plugin, input: String) -> Result<String, Failure> {
        let manifest = &plugin.manifest;
        // Never closed, so there is always a place to wait for.
        let _place = self.places.acquire().await;
        let scratch = Scratch::new().map_err(Failure::Run)?;
        let child = self
            .command(plugin, &scratch)
            .and_then(|mut command| command.spawn())
            .map_err(Failure::Run)?;
        let time_max = Duration::from_millis(manifest.time_ms.into());
        // Dropped, the child is killed: by time, by what it wrote, or because the caller is gone.
        let left = tokio::select! {
            left = timeout(time_max + GRACE, finish(child, input)) => match left {
                Ok(left) => left.map_err(Failure::Run)?,
                Err(_) => return Err(Failure::Time(manifest.time_ms)),
            },
            () = scratch.overflows(manifest.scratch_mib) => return Err(Failure::Scratch(manifest.scratch_mib)),
        };
        if scratch.is_over(manifest.scratch_mib) {
            return Err(Failure::Scratch(manifest.scratch_mib));
        }
        answer(manifest, &left)
    }

    fn command(&self, plugin: &Plugin, scratch: &Scratch) -> io::Result<Command> {
        let manifest = &plugin.manifest;
        let mut view = OsString::from("/scratch:");
        view.push(scratch.path());
        let start = (self.start)(&Sandbox {
            module: &plugin.module,
            scratch: scratch.path(),
            file_bytes_max: (u64::from(manifest.scratch_mib) << 20) + 1,
            beside: scratch.beside(),
        })?;
        let mut start = start.into_iter();
        let mut command = Command::new(start.next().unwrap_or_default());
        command
            .args(start)
            .arg("--dir")
            .arg(view)
            .args(limit(
                "--memory-page-limit",
                manifest.memory_mib * PAGES_PER_MIB,
            ))
            .args(limit("--time-limit", manifest.time_ms))
            .args(limit("--gas-limit", manifest.instructions))
            .arg(&plugin.module)
            .env_clear()
            .current_dir(scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }
}

fn limit(option: &str, value: impl ToString) -> [String; 2] {
    [option.to_owned(), value.to_string()]
}

/// Feeds the child and waits until it has ended.
async fn finish(mut child: Child, input: String) -> io::Result<Left> {
    let stdin = child.stdin.take();
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let ((), output, errors, status) = tokio::join!(
        feed(stdin, input),
        take(output, ANSWER_BYTES_MAX + LOG_BYTES_MAX),
        take(errors, SAID_BYTES_MAX),
        child.wait(),
    );
    Ok(Left {
        status: status?,
        output: output?,
        errors: errors?,
    })
}

/// A plugin that does not read its input to the end may still answer.
async fn feed(stdin: Option<ChildStdin>, input: String) {
    if let Some(mut stdin) = stdin {
        let _may_be_closed = stdin.write_all(input.as_bytes()).await;
    }
}

/// The first `most` bytes; the rest is read and dropped, so that a child is never stuck in writing.
async fn take(pipe: Option<impl AsyncRead + Unpin>, most: usize) -> io::Result<Vec<u8>> {
    let mut taken = Vec::new();
    if let Some(mut pipe) = pipe {
        let mut piece = [0; 8 << 10];
        loop {
            let read = pipe.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            let room = most - taken.len();
            taken.extend_from_slice(&piece[..read.min(room)]);
        }
    }
    Ok(taken)
}

fn answer(manifest: &Manifest, left: &Left) -> Result<String, Failure> {
    let (answer, log) = split_log(&left.output);
    if !left.status.success() {
        return Err(match Cause::of(log) {
            Some(Cause::Time) => Failure::Time(manifest.time_ms),
            Some(Cause::Instructions) => Failure::Instructions(manifest.instructions),
            Some(Cause::Memory) => Failure::Memory(manifest.memory_mib),
            None => Failure::Failed(said(left)),
        });
    }
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(Failure::TooLong);
    }
    let text = std::str::from_utf8(answer).map_err(|_| Failure::NotText)?;
    Ok(text.trim_end().to_owned())
}

/// What it wrote to its error output, or how it ended if it wrote nothing.
fn said(left: &Left) -> String {
    let text = String::from_utf8_lossy(&left.errors);
    match text.trim() {
        "" => left.status.to_string(),
        text => text.to_owned(),
    }
}
