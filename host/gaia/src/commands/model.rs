//! `gaia model`: the models this machine has or could have.

use clap::Args;

use super::Context;

/// Arguments of `gaia model`.
#[derive(Debug, Args)]
pub struct Arguments {}

/// Runs `gaia model`.
pub fn run(_context: &Context, _arguments: &Arguments) -> anyhow::Result<()> {
    anyhow::bail!("not built in yet")
}
