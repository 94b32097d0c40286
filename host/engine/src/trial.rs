//! Whether a model file can be loaded, found out in a process of its own.

use std::path::{Path, PathBuf};

use crate::facts::ModelKind;
use crate::load::{self, LoadError, LoadOptions, Plan};
use crate::probe::{self, Probe, ProbeError};

/// A file that is being tried. The trial goes on by itself; whoever has one may do other things before
/// asking how it ended. Dropped, it is called off.
#[derive(Debug)]
pub struct Trial {
    /// None if there was nothing to try.
    probe: Option<Probe>,
    path: PathBuf,
}

impl Trial {
    /// Reads the header of the file at `path`, checks that it fits `options` and the memory, and begins
    /// to try it, unless `options` say that it was `checked` before. This takes a fraction of the time that loading takes, and forks: no other thread should
    /// be loading or computing, and none may close a socket that it waits for.
    pub fn begin(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        let plan = load::plan(path, options)?;
        match options.checked {
            true => Ok(Self {
                probe: None,
                path: plan.path,
            }),
            false => Self::of(&plan),
        }
    }

    pub(crate) fn of(plan: &Plan) -> Result<Self, LoadError> {
        let embeddings = plan.kind == ModelKind::Embedding;
        let path = plan.path.clone();
        match probe::begin(&path, plan.file_bytes, embeddings) {
            Ok(probe) => Ok(Self {
                probe: Some(probe),
                path,
            }),
            Err(error) => Err(refused(path, &error)),
        }
    }

    /// Waits for the verdict, about as long as loading takes.
    pub fn end(self) -> Result<(), LoadError> {
        let Self { probe, path } = self;
        probe
            .map_or(Ok(()), Probe::end)
            .map_err(|error| refused(path, &error))
    }
}

fn refused(path: PathBuf, error: &ProbeError) -> LoadError {
    let reason = error.to_string();
    LoadError::Llama { path, reason }
}
