//! One opened model file.
//!
//! It is checked when it is opened and loaded when it is first used, because the stock plugin's guests
//! send what belongs to loading with the first context's metadata. A guest that opens it with
//! `"non-blocking": true` says everything at once: then both happen behind its back.

use std::env;
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use gaia_engine::{LoadError, Vocabulary};
use serde_json::Value;

use crate::config::{Config, ConfigError, Speaker};
use crate::errno::Errno;
use crate::loading::{Lease, Loading};
use crate::preload::Preload;
use crate::residency::Attempt;

/// A model the guest has opened.
#[derive(Debug)]
pub(crate) struct Graph {
    name: Option<String>,
    config: Config,
    loading: Loading,
}

/// A file, removed with the graph if the guest's bytes were written to it.
#[derive(Debug)]
pub(crate) struct ModelFile {
    pub path: PathBuf,
    temporary: bool,
}

impl ModelFile {
    /// A file that is somebody else's.
    pub fn kept(path: PathBuf) -> Self {
        let temporary = false;
        Self { path, temporary }
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        if self.temporary {
            // It lies in the system's folder for such files, which is cleaned otherwise.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Graph {
    /// Opens what the command line offers.
    pub fn offered(preload: &Preload, config: Option<&str>) -> Result<Self, Errno> {
        let file = ModelFile::kept(preload.path.clone());
        Self::open(
            Some(preload.name.clone()),
            file,
            preload.config.as_ref(),
            config,
        )
    }

    /// Opens a model that came through the guest's memory.
    pub fn from_bytes(bytes: &[u8], config: Option<&str>) -> Result<Self, Errno> {
        let file = write_temporary(bytes).map_err(|error| {
            tracing::error!("failed to keep a model of {} bytes: {error}", bytes.len());
            Errno::RuntimeError
        })?;
        Self::open(None, file, None, config)
    }

    fn open(
        name: Option<String>,
        file: ModelFile,
        offered: Option<&Value>,
        asked: Option<&str>,
    ) -> Result<Self, Errno> {
        let mut config = Config::default();
        let asked = asked.map(parse).transpose()?;
        if let Some(offered) = offered {
            apply(&mut config, offered, Speaker::Operator)?;
        }
        if let Some(asked) = &asked {
            apply(&mut config, asked, Speaker::Guest)?;
        }
        let graph = Self {
            name,
            config,
            loading: Loading::of(file),
        };
        let orders = graph.with_orders(&graph.config)?;
        if graph.config.request.non_blocking {
            graph.loading.begin(orders)?;
        } else {
            graph.loading.check(&orders.load)?;
        }
        Ok(graph)
    }

    /// Whether it was opened by this name, without a configuration of its own.
    pub fn is_named(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// What contexts start from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The model for a request; loaded with `config` if nobody has yet. [`Errno::Busy`] while it is being
    /// loaded, for a context that must not wait; it asks again with the same `waiting`.
    pub fn lease(&self, config: &Config, waiting: &mut Attempt) -> Result<Lease, Errno> {
        self.once_loaded(config, || {
            self.loading.lease(waiting, config.request.non_blocking)
        })
    }

    /// The model's tokens and facts, and whether it is in memory; for these it need not be. Loaded as in
    /// [`Self::lease`] if nobody has yet.
    pub fn vocabulary(&self, config: &Config) -> Result<(Vocabulary, bool), Errno> {
        self.once_loaded(config, || {
            self.loading.vocabulary(config.request.non_blocking)
        })
    }

    fn once_loaded<T>(
        &self,
        config: &Config,
        mut take: impl FnMut() -> Result<Option<T>, Errno>,
    ) -> Result<T, Errno> {
        loop {
            match take()? {
                Some(taken) => return Ok(taken),
                None => self.loading.load(&self.with_orders(config)?)?,
            }
        }
    }

    /// The guest is about to look for what is new.
    pub fn heard(&self) {
        self.loading.heard();
    }

    /// `config` with what `GAIA_NN_<NAME>` says, which outranks the guest.
    fn with_orders(&self, config: &Config) -> Result<Config, Errno> {
        let mut config = config.clone();
        let name = self.name.as_deref().unwrap_or_default();
        if let Ok(orders) = env::var(variable(name)) {
            apply(&mut config, &parse(&orders)?, Speaker::Operator)?;
        }
        Ok(config)
    }
}

/// The environment variable with the orders for the graph `name`.
fn variable(name: &str) -> String {
    let upper = name.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() => letter.to_ascii_uppercase(),
        _ => '_',
    });
    format!("GAIA_NN_{}", upper.collect::<String>())
}

/// Reads a configuration.
pub(crate) fn parse(text: &str) -> Result<Value, Errno> {
    serde_json::from_str(text).map_err(|error| {
        tracing::error!("the metadata is not JSON: {error}");
        Errno::InvalidArgument
    })
}

/// Takes `metadata` of `speaker` over into `config`.
pub(crate) fn apply(config: &mut Config, metadata: &Value, speaker: Speaker) -> Result<(), Errno> {
    config.apply(metadata, speaker).map_err(|error| {
        tracing::error!("{error}");
        match error {
            ConfigError::Unsupported { .. } | ConfigError::OperatorOnly { .. } => {
                Errno::UnsupportedOperation
            }
            ConfigError::NotAnObject | ConfigError::Type { .. } => Errno::InvalidArgument,
        }
    })
}

/// The number for a model that was not loaded; the log has the reason.
pub(crate) fn refuse(error: &LoadError) -> Errno {
    tracing::error!("{}", chain(error));
    match error {
        LoadError::Open { .. } | LoadError::NotAFile { .. } => Errno::ModelNotFound,
        LoadError::Header { .. } | LoadError::Llama { .. } => Errno::InvalidEncoding,
        LoadError::Contradiction { .. }
        | LoadError::Option { .. }
        | LoadError::Draft { .. }
        | LoadError::Projector { .. }
        | LoadError::Reranking { .. } => Errno::InvalidArgument,
        LoadError::Memory { .. } => Errno::TooLarge,
        LoadError::Processor { .. } => Errno::UnsupportedOperation,
    }
}

/// An error with all its causes, for the log.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn write_temporary(bytes: &[u8]) -> io::Result<ModelFile> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("gaia-model-{}-{count}.gguf", std::process::id());
    let file = ModelFile {
        path: env::temp_dir().join(name),
        temporary: true,
    };
    // A new file only: nobody else's, and no link that somebody put there.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options.open(&file.path)?.write_all(bytes)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_a_variable_per_name() {
        assert_eq!(variable("default"), "GAIA_NN_DEFAULT");
        assert_eq!(variable("my-model.2"), "GAIA_NN_MY_MODEL_2");
    }

    #[test]
    fn a_missing_file_is_told_apart_from_a_broken_one() {
        let preload = Preload {
            name: "x".to_owned(),
            path: PathBuf::from("/nonexistent/model.gguf"),
            config: None,
        };
        let missing = Graph::offered(&preload, None);
        assert_eq!(missing.err(), Some(Errno::ModelNotFound));
        assert_eq!(
            Graph::from_bytes(b"not a model", None).err(),
            Some(Errno::InvalidEncoding)
        );
    }
}
