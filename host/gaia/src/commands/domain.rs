//! `gaia domain`: one address for many nodes; for who runs it.

mod init;
mod policy;
mod prices;
mod start;
mod status;
mod stop;

use std::path::Path;

use clap::{Args, Subcommand};
use gaia_domain::{Deployment, DomainFile, Folder, ReadDomainError};
use gaia_registry::Misread;
use toml_edit::TomlError;

use super::{Context, chain};
use crate::exit::{Exit, failure};
use crate::password::{PasswordSources, generated_file};

/// Arguments of `gaia domain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia domain init                                      the folder, the gateway's key, a commented file
  gaia domain init --deployment deployment.json         once its contracts are on a chain
  gaia domain start                                     run the gateway in the background
  gaia domain nodes                                     who serves, and how
  gaia domain policy allow 0x90F79bf6EB2c4f870365E785982E1f101E93b906")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a domain: its folder, its gateway's key, its file
    Init(init::Arguments),
    /// Start the domain's gateway
    Start(start::Arguments),
    /// Stop it; running answers may finish
    Stop,
    /// How it does: requests, times, income
    Status,
    /// Who serves, and how
    Nodes,
    /// Put the prices of its file onto the chain, with the owner's wallet
    PublishPrices(prices::Arguments),
    /// Who may join: look at it and change it
    Policy(policy::Arguments),
}

/// Runs `gaia domain`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Init(arguments) => init::run(context, arguments),
        Action::Start(arguments) => start::run(context, arguments),
        Action::Status => status::run(context),
        Action::Nodes => status::nodes(context),
        Action::PublishPrices(arguments) => prices::run(context, arguments),
        Action::Stop => stop::run(context),
        Action::Policy(arguments) => policy::run(context, arguments),
    }
}

/// The domain's folder in this home.
pub(super) fn folder(context: &Context) -> Folder {
    Folder::in_home(context.home.root())
}

/// Where the password of the gateway's key comes from.
pub(super) fn passwords<'a>(
    context: &'a Context,
    folder: &Folder,
    file: Option<&'a Path>,
    interactive: bool,
) -> PasswordSources<'a> {
    PasswordSources {
        file,
        environment: context.environment.password.as_ref(),
        interactive,
        generated: generated_file(&context.environment.user_config, folder.root()),
    }
}

/// What stands against a text in TOML, in one line.
fn misread(text: &str, error: &TomlError) -> String {
    Misread::at(text, error.span(), error.message()).to_string()
}

/// Where the domain's contracts are.
pub(super) fn deployment(folder: &Folder) -> anyhow::Result<Deployment> {
    Deployment::read(&folder.deployment()).map_err(|error| {
        let words = format!(
            "{}; gaia domain init --deployment FILE brings it here",
            chain(&error)
        );
        failure(Exit::Config, words)
    })
}

/// The domain's file, checked.
pub(super) fn read(folder: &Folder) -> anyhow::Result<DomainFile> {
    DomainFile::read(&folder.file()).map_err(|error| {
        let exit = match error {
            ReadDomainError::Missing { .. } => Exit::Failure,
            _ => Exit::Config,
        };
        failure(exit, chain(&error))
    })
}
