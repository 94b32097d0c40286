//! `gaia logs`: the end of what the node wrote, and what it writes from now on.
//!
//! Lines of JSON are shown as lines for people; with `--json` it is the other way round.

mod shown;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use self::shown::Choice;
use super::Context;
use crate::supervisor::state;
use crate::terminal::{Terminal, Tint};

/// How much of a file's end is read for the last lines.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;
/// How often files are looked at with `-f`.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Arguments of `gaia logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  gaia logs -f             everything, as it comes\n  gaia logs --worker -n 5  the last words of the worker\n  gaia logs --request ID   what was written about one request (its X-Request-Id)"
)]
pub struct Arguments {
    /// Go on as the node writes more
    #[arg(short, long)]
    follow: bool,
    /// How many lines of each file
    #[arg(short = 'n', long, default_value_t = 40, value_name = "COUNT")]
    lines: usize,
    /// Only what the worker wrote
    #[arg(long)]
    worker: bool,
    /// Only what is about the request with this id
    #[arg(long, value_name = "ID")]
    request: Option<String>,
}

/// Runs `gaia logs`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let outside = state::running(&context.home).and_then(|state| state.worker_url);
    if let Some(url) = outside {
        context.terminal.note(&format!(
            "The worker at {url} is kept by somebody else; what it writes now is there."
        ));
    }
    let mut paths = vec![context.home.worker_log()];
    if !arguments.worker {
        paths.insert(0, context.home.log());
        paths.push(context.home.store_log());
    }
    let mut out = Out {
        terminal: context.terminal,
        several: paths.len() > 1 && !context.terminal.json,
        last: None,
    };
    let choice = Choice {
        request: arguments.request.clone(),
        json: context.terminal.json,
    };
    let mut files = Vec::new();
    for path in paths {
        let mut followed = Followed {
            path,
            file: None,
            position: 0,
        };
        let whole = followed.tail().context("failed to read a log")?;
        let shown = choice.shown(&whole, name_of(&followed.path));
        out.write(&followed.path, last_lines(&shown, arguments.lines))?;
        files.push(followed);
    }
    if !arguments.follow {
        return Ok(());
    }
    loop {
        for followed in &mut files {
            let more = followed.more().context("failed to read a log")?;
            out.write(
                &followed.path,
                &choice.shown(&more, name_of(&followed.path)),
            )?;
        }
        thread::sleep(FOLLOW_INTERVAL);
    }
}

/// What the lines of this file are called by.
fn name_of(path: &Path) -> &str {
    let name = path.file_stem().and_then(|name| name.to_str());
    name.unwrap_or("gaia")
}

/// A file that grows, and may be set aside and begun anew.
struct Followed {
    path: PathBuf,
    file: Option<File>,
    position: u64,
}

impl Followed {
    /// The end of it; what follows comes from [`Self::more`].
    fn tail(&mut self) -> io::Result<Vec<u8>> {
        let Some(file) = self.open()? else {
            return Ok(Vec::new());
        };
        let length = file.metadata()?.len();
        self.position = length.saturating_sub(TAIL_BYTES_MAX);
        let begun = self.position > 0;
        let mut text = self.more()?;
        if begun && let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            text.drain(..=end);
        }
        Ok(text)
    }

    /// What was written since the last time, in whole lines.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        let Some(file) = self.open()? else {
            return Ok(Vec::new());
        };
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut text = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut text)?;
        let end = text.iter().rposition(|byte| *byte == b'\n');
        match end {
            Some(end) => text.truncate(end + 1),
            // A line without end comes in pieces.
            None if text.len() as u64 == TAIL_BYTES_MAX => {}
            None => text.clear(),
        }
        self.position += text.len() as u64;
        Ok(text)
    }

    /// The file at the path now; a new or shortened one is read from its beginning.
    fn open(&mut self) -> io::Result<Option<&File>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let facts = file.metadata()?;
        let is_same = match &self.file {
            Some(old) => old.metadata()?.ino() == facts.ino() && facts.len() >= self.position,
            None => true,
        };
        if !is_same {
            self.position = 0;
        }
        self.file = Some(file);
        Ok(self.file.as_ref())
    }
}

fn last_lines(text: &[u8], count: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let breaks = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    match (
        count,
        breaks.map(|(at, _)| at + 1).nth(count.saturating_sub(1)),
    ) {
        (0, _) => &[],
        (_, Some(start)) => &text[start..],
        (_, None) => text,
    }
}

/// Standard output, with a heading where the file changes.
struct Out {
    terminal: Terminal,
    several: bool,
    last: Option<PathBuf>,
}

impl Out {
    fn write(&mut self, path: &Path, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        if self.several && self.last.as_deref() != Some(path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            writeln!(
                stdout,
                "{}",
                self.terminal.out(Tint::Dim, &format!("==> {name}"))
            )?;
            self.last = Some(path.to_owned());
        }
        stdout.write_all(text)?;
        if !text.ends_with(b"\n") {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn last_lines_of_a_text() {
        let check = |text: &str, count, expected: &str| {
            assert_eq!(last_lines(text.as_bytes(), count), expected.as_bytes());
        };
        check("a\nb\nc\n", 2, "b\nc\n");
        check("a\nb\nc", 1, "c");
        check("a\n", 5, "a\n");
        check("a\nb\n", 0, "");
        check("", 3, "");
    }

    #[test]
    fn follows_a_file_that_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let mut followed = Followed {
            path: path.clone(),
            file: None,
            position: 0,
        };
        assert!(followed.tail().unwrap().is_empty(), "not there yet");
        fs::write(&path, "one\nhalf").unwrap();
        assert_eq!(followed.more().unwrap(), b"one\n");
        assert!(followed.more().unwrap().is_empty(), "half a line");
        fs::write(&path, "one\nhalf a line\n").unwrap();
        assert_eq!(followed.more().unwrap(), b"half a line\n");
        fs::rename(&path, folder.path().join("x.log.1")).unwrap();
        fs::write(&path, "two\nthree\n").unwrap();
        assert_eq!(followed.more().unwrap(), b"two\nthree\n");
    }
}
