//! What a child writes: into a file of bounded size, and its last lines kept for messages.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::logging::read_line;

/// The file is set aside as `.1` when it would grow beyond this.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Lines kept for messages.
const LAST_LINES_MAX: usize = 12;

/// A log that several readers of output share.
#[derive(Debug, Clone)]
pub struct ChildLog(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    written: u64,
    last: VecDeque<String>,
    /// Lines are written as JSON, and this is who wrote them.
    in_json: Option<&'static str>,
}

impl ChildLog {
    /// Opens the log at `path`, appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = append(path)?;
        let written = file.metadata()?.len();
        let inner = Inner {
            path: path.to_owned(),
            file,
            written,
            last: VecDeque::new(),
            in_json: None,
        };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// The same log, with the lines of the child called `name` as JSON in the file.
    pub fn in_json(self, name: &'static str) -> Self {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .in_json = Some(name);
        self
    }

    /// Adds a line. A full disk loses lines and nothing else.
    pub fn write(&self, line: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.remember(line);
        let _lost_on_a_full_disk = inner.append(line);
    }

    /// The last lines, for a message.
    pub fn last_lines(&self) -> String {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner
            .last
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Forgets the lines kept for messages: a new child starts.
    pub fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last
            .clear();
    }
}

impl Inner {
    fn remember(&mut self, line: &str) {
        if self.last.len() == LAST_LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let line = match self.in_json {
            Some(name) => read_line(line).into_json(name),
            None => format!("{line}\n"),
        };
        let length = line.len() as u64;
        if self.written + length > FILE_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            self.file = append(&self.path)?;
            self.written = 0;
        }
        self.file.write_all(line.as_bytes())?;
        self.written += length;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = ChildLog::open(&folder.path().join("child.log")).unwrap();
        for number in 0..=LAST_LINES_MAX {
            log.write(&number.to_string());
        }
        assert!(log.last_lines().starts_with("1\n2\n"));
        log.forget();
        assert_eq!(log.last_lines(), "");
    }

    #[test]
    fn in_json_every_line_is_an_object_and_messages_stay_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child.log");
        let log = ChildLog::open(&path).unwrap().in_json("worker");
        log.write("WARN api-server: no store request_id=req-1");
        log.write("");
        assert!(log.last_lines().starts_with("WARN api-server: no store"));
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["target"], "api-server");
        assert_eq!(lines[0]["fields"]["request_id"], "req-1");
        assert_eq!(lines[1]["target"], "worker");
    }

    #[test]
    fn the_file_has_a_maximum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("child.log");
        fs::write(&path, vec![b'x'; FILE_BYTES_MAX as usize - 3]).unwrap();
        let log = ChildLog::open(&path).unwrap();
        log.write("ab");
        log.write("c");
        assert_eq!(fs::read(&path).unwrap(), b"c\n");
        assert_eq!(
            fs::metadata(path.with_extension("log.1")).unwrap().len(),
            FILE_BYTES_MAX
        );
    }
}
