//! `gaia key`: shows the node's address, or takes over the key of another node. The key itself is never shown.
//! And the keys of its API, to hand out.

mod api;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gaia_keystore::{load_key, read_address, save_key};
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::password::{PasswordSources, generated_file, known_password};

/// Arguments of `gaia key`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia key show
  gaia key import ~/gaianet/nodeid.json --password-file old-password
  gaia key api create alice --expires 30d")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The keys of the API, to hand out: make, list, take back
    Api(api::Arguments),
    /// Show the node's address (its id)
    Show,
    /// Take over the key in a keystore file (Keystore V3, also GaiaNet's), with its password
    Import {
        /// The keystore; it stays as it is
        keystore: PathBuf,
        /// The keystore's password is this file's first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

/// Runs `gaia key`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::Api(arguments) => api::run(context, arguments),
        Action::Show => show(context),
        Action::Import {
            keystore,
            password_file,
        } => import(context, keystore, password_file.as_deref()),
    }
}

fn show(context: &Context) -> anyhow::Result<()> {
    let path = context.home.keystore();
    if !path.exists() {
        return Err(failure(
            Exit::Failure,
            "there is no key here yet; `gaia init` makes one",
        ));
    }
    let address = read_address(&path)?.to_string();
    context.terminal.answer(
        || json!({"address": address, "keystore": path}),
        |_| address.clone(),
    );
    Ok(())
}

/// The old password stays the password.
fn import(context: &Context, from: &Path, password_file: Option<&Path>) -> anyhow::Result<()> {
    let to = context.home.keystore();
    if to.exists() {
        let address = read_address(&to)?;
        let words = format!(
            "there is a key here already ({address}): move `{}` away first, and keep it",
            to.display()
        );
        return Err(failure(Exit::Failure, words));
    }
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let password = known_password(&PasswordSources {
        file: password_file,
        environment: context.environment.password.as_ref(),
        interactive: is_terminal && !context.terminal.json,
        generated: generated_file(&context.environment.user_config, context.home.root()),
    })?;
    let key = load_key(from, &password)?;
    context.home.make_folders()?;
    save_key(&to, &key, &password)?;
    let address = key.address().to_string();
    context.terminal.answer(
        || json!({"address": address, "keystore": to}),
        |_| format!("{address}\nNext: gaia init"),
    );
    Ok(())
}
