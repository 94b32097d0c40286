//! `gaia completions SHELL`.

use std::io;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;

/// Arguments of `gaia completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gaia completions bash > ~/.local/share/bash-completion/completions/gaia"
)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "gaia",
        &mut io::stdout(),
    );
    Ok(())
}
