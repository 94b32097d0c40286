//! Gets everything a node needs before anything is started: parts found, application compiled,
//! models there. Slow the first time, quick and offline afterwards.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

use super::aot::{self, CompileError};
use super::models::{self, ChooseModelError, Models};
use super::wasmedge::{self, FindPartError, WasmEdge};
use crate::config::Config;
use crate::environment::Environment;
use crate::home::Home;

/// What a node is started from.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What its worker is started from; none where somebody else starts that.
    pub parts: Option<Parts>,
    /// The vector store's program.
    pub store: PathBuf,
    /// The model files.
    pub models: Models,
}

/// What a worker is started from.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The runtime.
    pub wasmedge: WasmEdge,
    /// The WASI-NN plugin.
    pub plugin: PathBuf,
    /// The application, compiled where that is possible.
    pub module: PathBuf,
    /// True if `module` is compiled.
    pub is_compiled: bool,
}

/// Why a node cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A part is missing.
    #[error(transparent)]
    Part(#[from] FindPartError),
    /// The application was not compiled.
    #[error("failed to compile the application")]
    Compile(#[from] CompileError),
    /// A model is missing.
    #[error(transparent)]
    Model(#[from] ChooseModelError),
}

/// Prepares; `say` gets a line for each slow step.
pub fn prepare(
    config: &Config,
    home: &Home,
    environment: &Environment,
    say: &dyn Fn(&str),
) -> Result<Prepared, PrepareError> {
    let found = match config.outside_ports() {
        None => Some(find_parts(environment)?),
        Some(_) => None,
    };
    let store = match config.store_url.is_empty() && !config.embedding_model.is_empty() {
        true => wasmedge::find_store(environment)?,
        // Not needed: the store is somewhere else, or there is nothing to look up.
        false => PathBuf::new(),
    };
    let models = models::ensure(config, home, environment, say)?;
    let parts = found
        .map(|found| with_compiled(found, environment, say))
        .transpose()?;
    Ok(Prepared {
        parts,
        store,
        models,
    })
}

/// What a worker is started from, whoever starts it.
pub fn parts(environment: &Environment, say: &dyn Fn(&str)) -> Result<Parts, PrepareError> {
    Ok(with_compiled(find_parts(environment)?, environment, say)?)
}

/// The parts with the application as it was built.
fn find_parts(environment: &Environment) -> Result<Parts, FindPartError> {
    Ok(Parts {
        wasmedge: wasmedge::find_wasmedge(environment)?,
        plugin: wasmedge::find_plugin(environment)?,
        module: wasmedge::find_api_server(environment)?,
        is_compiled: false,
    })
}

fn with_compiled(
    found: Parts,
    environment: &Environment,
    say: &dyn Fn(&str),
) -> Result<Parts, CompileError> {
    let (module, is_compiled) = compiled(&found.wasmedge, found.module, environment, say)?;
    Ok(Parts {
        module,
        is_compiled,
        ..found
    })
}

/// The compiled application; the plain one, with a word about it, where WasmEdge cannot compile.
fn compiled(
    wasmedge: &WasmEdge,
    api_server: PathBuf,
    environment: &Environment,
    say: &dyn Fn(&str),
) -> Result<(PathBuf, bool), CompileError> {
    let target = aot::compiled_path(&environment.cache.join("aot"), &api_server, wasmedge)?;
    if target.is_file() {
        return Ok((target, true));
    }
    say("Compiling the application to machine code (about 20 s on an idle machine, once) ...");
    let spinner = ProgressBar::new_spinner().with_message("compiling");
    spinner.enable_steady_tick(Duration::from_millis(200));
    let outcome = aot::compile(wasmedge, &api_server, &target);
    spinner.finish_and_clear();
    match outcome {
        Ok(()) => Ok((target, true)),
        Err(CompileError::Refused { output }) => {
            say(&format!(
                "WasmEdge cannot compile it ({output}); it is interpreted, and slower"
            ));
            Ok((api_server, false))
        }
        Err(error) => Err(error),
    }
}
