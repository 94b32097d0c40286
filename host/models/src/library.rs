//! The folder of model files: what is there, what can be had, what goes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{io, str};

use gaia_manifest::{Choice, Kind, Manifest, Reach, Sha256, choose};

use crate::event::Event;
use crate::fetch::Client;
use crate::probe::Probe;
use crate::pull::{self, PullError, Pulled};

/// How the library works. Nothing here is read from the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the model files are.
    pub folder: PathBuf,
    /// What stands in for `https://huggingface.co`, such as a mirror.
    pub hub: Option<String>,
    /// The Python whose `pip` fetches packages.
    pub python: PathBuf,
    /// How long a server may take to answer the question whether it has a file.
    pub probe_timeout: Duration,
    /// How long a download may stand still before the connection is made anew.
    pub stall_timeout: Duration,
    /// The wait before the first retry; it doubles with every further one.
    pub retry_wait: Duration,
    /// What stays free on the disk, in bytes.
    pub reserve_bytes: u64,
}

impl Settings {
    /// The usual settings for files in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            hub: None,
            python: PathBuf::from("python3"),
            probe_timeout: Duration::from_secs(4),
            stall_timeout: Duration::from_secs(30),
            retry_wait: Duration::from_secs(1),
            reserve_bytes: 256 << 20,
        }
    }
}

/// Why the folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} `{path}`")]
pub struct LibraryError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A model and whether it is here.
#[derive(Debug, Clone)]
pub struct Listed<'a> {
    /// The model.
    pub manifest: &'a Manifest,
    /// Where its file is, if it is here.
    pub path: Option<PathBuf>,
    /// The sum that was recorded when it was pulled.
    pub sum: Option<Sha256>,
    /// How much of an unfinished download is here, in bytes.
    pub partial_bytes: u64,
}

/// The model files on this machine.
#[derive(Debug)]
pub struct Library {
    pub(crate) settings: Settings,
    pub(crate) client: Client,
}

impl Library {
    /// Opens the library; touches nothing yet.
    pub fn new(settings: Settings) -> Self {
        let client = Client::new(settings.stall_timeout);
        Self { settings, client }
    }

    /// Where the file of a model is or would be.
    pub fn path(&self, manifest: &Manifest) -> PathBuf {
        self.settings.folder.join(&manifest.file)
    }

    /// Whether the model is here. Its sum was checked when it came and is not checked again.
    pub fn is_present(&self, manifest: &Manifest) -> bool {
        let size = fs::metadata(self.path(manifest))
            .ok()
            .filter(|it| it.is_file())
            .map(|it| it.len());
        match manifest.sha256 {
            Some(_) => size == Some(manifest.size_bytes),
            None => size.is_some(),
        }
    }

    /// Fetches a model if it is not here, trying its sources in order.
    ///
    /// # Errors
    /// The folder cannot be written, the disk is full, or no source gave the right file. What was
    /// downloaded stays for the next try, apart from files with a wrong sum.
    pub fn pull(
        &self,
        manifest: &Manifest,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<Pulled, PullError> {
        pull::pull(self, manifest, on)
    }

    /// Whether the model is here or can be fetched; asks servers, each at most for
    /// [`Settings::probe_timeout`].
    pub fn reach(&self, manifest: &Manifest) -> Reach {
        Probe::new(self).reach(manifest)
    }

    /// Chooses the best model of `kind` that needs at most `memory_bytes` and is here or can be
    /// fetched.
    pub fn choose<'a>(
        &self,
        manifests: &'a [Manifest],
        kind: Kind,
        memory_bytes: u64,
    ) -> Choice<'a> {
        let mut probe = Probe::new(self);
        choose(manifests, kind, memory_bytes, |manifest| {
            probe.reach(manifest)
        })
    }

    /// Chooses among the models that are here already; asks nobody.
    pub fn choose_present<'a>(
        &self,
        manifests: &'a [Manifest],
        kind: Kind,
        memory_bytes: u64,
    ) -> Choice<'a> {
        choose(manifests, kind, memory_bytes, |manifest| {
            match self.is_present(manifest) {
                true => Reach::Present,
                false => Reach::Unreachable("it is not here".to_owned()),
            }
        })
    }

    /// What is known about the files of these models.
    pub fn list<'a>(&self, manifests: &'a [Manifest]) -> Vec<Listed<'a>> {
        manifests
            .iter()
            .map(|manifest| Listed {
                manifest,
                path: self.is_present(manifest).then(|| self.path(manifest)),
                sum: self.recorded_sum(manifest),
                partial_bytes: fs::metadata(self.part_path(manifest)).map_or(0, |it| it.len()),
            })
            .collect()
    }

    /// The sum recorded beside a model's file when it was pulled.
    pub fn recorded_sum(&self, manifest: &Manifest) -> Option<Sha256> {
        let text = fs::read_to_string(self.record_path(manifest)).ok()?;
        text.split_whitespace().next()?.parse().ok()
    }

    /// Removes a model's file, what is recorded about it, and what was begun of it. Tells whether
    /// there was anything.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&self, manifest: &Manifest) -> Result<bool, LibraryError> {
        let _lock = self.lock(manifest, &mut |_| {})?;
        let mut found = false;
        let paths = [
            self.path(manifest),
            self.record_path(manifest),
            self.part_path(manifest),
            self.state_path(manifest),
        ];
        for path in paths {
            found |= remove_file(&path)?;
        }
        Ok(found)
    }

    /// The sum of a file, as `sha256sum --check` reads it.
    pub(crate) fn record_path(&self, manifest: &Manifest) -> PathBuf {
        self.settings
            .folder
            .join(format!("{}.sha256", manifest.file))
    }

    pub(crate) fn part_path(&self, manifest: &Manifest) -> PathBuf {
        self.partial(manifest, "part")
    }

    /// What the server said about the file that is partly here.
    pub(crate) fn state_path(&self, manifest: &Manifest) -> PathBuf {
        self.partial(manifest, "state")
    }

    /// A folder for the package client.
    pub(crate) fn package_path(&self, manifest: &Manifest) -> PathBuf {
        self.partial(manifest, "package")
    }

    fn partial(&self, manifest: &Manifest, ending: &str) -> PathBuf {
        self.settings
            .folder
            .join(".partial")
            .join(format!("{}.{ending}", manifest.file))
    }

    /// Waits until nobody else works on this model. The lock goes with the value, and with the
    /// process, however it ends.
    pub(crate) fn lock(
        &self,
        manifest: &Manifest,
        on: &mut dyn FnMut(Event<'_>),
    ) -> Result<File, LibraryError> {
        let path = self.partial(manifest, "lock");
        let failed = |action| {
            let path = path.clone();
            move |source| LibraryError {
                action,
                path,
                source,
            }
        };
        let folder = self.settings.folder.join(".partial");
        fs::create_dir_all(&folder).map_err(failed("make the folder of"))?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed("open"))?;
        if file.try_lock().is_err() {
            on(Event::Waiting);
            file.lock().map_err(failed("lock"))?;
        }
        Ok(file)
    }
}

pub(crate) fn remove_file(path: &Path) -> Result<bool, LibraryError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(LibraryError {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
    }
}
