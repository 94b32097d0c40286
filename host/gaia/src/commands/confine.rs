//! `gaia confine`: gives up what a plan does not keep, and becomes another program. The supervisor starts
//! the worker through it; nobody needs to type it.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use clap::Args;
use gaia_confine::Plan;

/// Arguments of `gaia confine`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What the program keeps, in JSON
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs `gaia confine`, which returns only if it fails.
pub fn run(arguments: &Arguments) -> anyhow::Result<Infallible> {
    let shown = arguments.plan.display();
    let text = fs::read(&arguments.plan).with_context(|| format!("failed to read `{shown}`"))?;
    let plan: Plan =
        serde_json::from_slice(&text).with_context(|| format!("`{shown}` is no plan"))?;
    for problem in plan.apply() {
        eprintln!("gaia confine: {problem}");
    }
    let mut command = arguments.command.iter();
    let program = command.next().context("no program")?;
    let error = Command::new(program).args(command).exec();
    Err(error).with_context(|| format!("failed to start `{}`", program.display()))
}
