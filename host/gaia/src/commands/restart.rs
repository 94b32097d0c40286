//! `gaia restart`: stop, if it runs, and start.
//!
//! Invariant: what would keep the node from starting, as far as configuration and files tell, is found
//! before the running one is stopped, and then it goes on running.

use std::path::PathBuf;

use clap::Args;

use super::{Context, start, stop};
use crate::config::Config;
use crate::exit::{Exit, exit_of, failure};
use crate::supervisor::prepare::Prepared;
use crate::supervisor::{lock, state};

/// Arguments of `gaia restart`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gaia config set port 9000 && gaia restart")]
pub struct Arguments {
    /// The password of the node's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia restart`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let password_file = arguments.password_file.as_deref();
    if lock::holder(&context.home.lock()).is_none() {
        return start::run(context, &start::Arguments::in_background(password_file));
    }
    start::with_password(context, password_file).map_err(left_running)?;
    let (config, prepared) = look(context).map_err(left_running)?;
    match stop::stop(context, false) {
        Ok(_) => {}
        // It ended by itself meanwhile.
        Err(error) if exit_of(&error) == Exit::NotRunning => {}
        Err(error) => return Err(error),
    }
    start::launch(context, &config, &prepared, password_file)
}

fn look(context: &Context) -> anyhow::Result<(Config, Prepared)> {
    let running = state::running(&context.home);
    // A worker that this start was told of stays the node's, unless the configuration names another.
    let worker = running.as_ref().and_then(|state| state.worker_url.clone());
    let config = context.config()?;
    let worker = worker.filter(|_| config.worker_url.is_empty());
    let config = start::with_worker(config, worker.as_deref())?;
    let ports = running.map_or(Vec::new(), |state| state.ports());
    let prepared = start::look(context, &config, &ports)?;
    Ok((config, prepared))
}

fn left_running(error: anyhow::Error) -> anyhow::Error {
    let message = format!("{error:#}\nThe running node was not stopped and goes on as before.");
    failure(exit_of(&error), message)
}
