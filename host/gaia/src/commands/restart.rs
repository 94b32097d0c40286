//! `gaia restart`: stop, if it runs, and start.

use clap::Args;

use super::{Context, start, stop};
use crate::exit::{Exit, exit_of};

/// Arguments of `gaia restart`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gaia config set port 9000 && gaia restart")]
pub struct Arguments {}

/// Runs `gaia restart`.
pub fn run(context: &Context, _arguments: &Arguments) -> anyhow::Result<()> {
    // A wrong file is found before the running node is stopped.
    context.config()?;
    match stop::stop(context, false) {
        Ok(_) => {}
        Err(error) if exit_of(&error) == Exit::NotRunning => {}
        Err(error) => return Err(error),
    }
    start::run(context, &start::Arguments::default())
}
