//! Whether a model file can be loaded, found out in a process of its own.

use std::path::{Path, PathBuf};

use crate::load::{self, LoadError, LoadOptions, Plan};
use crate::probe::{self, Probe, ProbeError, Tried};

/// Files that are being tried: a model, and the one that guesses for it. The trial goes on by itself; whoever has one may do other things before
/// asking how it ended. Dropped, it is called off.
#[derive(Debug)]
pub struct Trial {
    /// One for each file that there was to try.
    probes: Vec<(Probe, PathBuf)>,
}

impl Trial {
    /// Reads the header of the file at `path`, checks that it fits `options` and the memory, and begins
    /// to try it, unless `options` say that it was `checked` before; the draft model's file likewise.
    /// This takes a fraction of the time that loading takes, and forks: no other thread should be loading
    /// or computing, and none may close a socket that it waits for.
    pub fn begin(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        Self::of(&load::plan(path, options)?, options)
    }

    pub(crate) fn of(plan: &Plan, options: &LoadOptions) -> Result<Self, LoadError> {
        let mut trial = Self { probes: Vec::new() };
        let projector = plan.projector.as_ref();
        let projector = projector.filter(|_| !options.projector_checked);
        if !options.checked || projector.is_some() {
            trial.add(Tried {
                path: &plan.path,
                file_bytes: plan.file_bytes,
                pooling: plan.kind.trial_pooling(),
                projector,
            })?;
        }
        if let Some(draft) = plan.draft.as_ref().filter(|_| !options.draft_checked) {
            trial.add(Tried {
                path: &draft.path,
                file_bytes: draft.file_bytes,
                pooling: None,
                projector: None,
            })?;
        }
        Ok(trial)
    }

    fn add(&mut self, tried: Tried<'_>) -> Result<(), LoadError> {
        // A projector is tried with its model, and what is wrong is said of it.
        let path = tried
            .projector
            .map_or(tried.path, |projector| &projector.path);
        let path = path.to_owned();
        match probe::begin(tried) {
            Ok(probe) => {
                self.probes.push((probe, path));
                Ok(())
            }
            Err(error) => Err(refused(path, &error)),
        }
    }

    /// Waits for the verdict, about as long as loading takes.
    pub fn end(self) -> Result<(), LoadError> {
        for (probe, path) in self.probes {
            probe.end().map_err(|error| refused(path, &error))?;
        }
        Ok(())
    }
}

fn refused(path: PathBuf, error: &ProbeError) -> LoadError {
    let reason = error.to_string();
    LoadError::Llama { path, reason }
}
