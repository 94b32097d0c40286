//! `gaia init`: the folder, the commented configuration, the key.
//!
//! Each part is made only where it is missing, so that an interrupted run is finished by the next.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use gaia_keystore::{NodeKey, read_address, save_key};
use serde_json::json;

use super::Context;
use crate::config::default_text;
use crate::home::write_private;
use crate::password::{Origin, PasswordSources, generated_file, new_password};
use crate::terminal::Tint;

/// Arguments of `gaia init`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  gaia init\n  gaia --home ~/second init --password-file ~/.second-password"
)]
pub struct Arguments {
    /// The keystore's password is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// What `init` did or found.
#[derive(Debug)]
pub struct Initialised {
    /// The node's address.
    pub address: String,
    /// True if the key was made just now.
    pub is_new: bool,
}

/// Runs `gaia init`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let done = initialise(context, arguments, true)?;
    let home = context.home.root().to_owned();
    context.terminal.answer(
        || json!({"address": done.address, "home": home, "created": done.is_new}),
        |terminal| {
            let verb = if done.is_new {
                "A new node"
            } else {
                "There is a node already"
            };
            format!(
                "{verb} in {}\nIts address: {}\nNext: gaia start",
                home.display(),
                terminal.out(Tint::Bold, &done.address)
            )
        },
    );
    Ok(())
}

/// Makes what is missing. `may_ask` allows a question where a person sits at the terminal.
pub fn initialise(
    context: &Context,
    arguments: &Arguments,
    may_ask: bool,
) -> anyhow::Result<Initialised> {
    let home = &context.home;
    home.make_folders()?;
    let is_new = !home.keystore().exists();
    let address = if is_new {
        make_key(context, arguments, may_ask)?
    } else {
        read_address(&home.keystore())?.to_string()
    };
    if !home.config().exists() {
        write_private(&home.config(), default_text().as_bytes())?;
    }
    Ok(Initialised { address, is_new })
}

fn make_key(context: &Context, arguments: &Arguments, may_ask: bool) -> anyhow::Result<String> {
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let (password, origin) = new_password(&PasswordSources {
        file: arguments.password_file.as_deref(),
        environment: context.environment.password.as_ref(),
        interactive: may_ask && is_terminal && !context.terminal.json,
        generated: generated_file(&context.environment.user_config, context.home.root()),
    })?;
    let key = NodeKey::generate();
    save_key(&context.home.keystore(), &key, &password)?;
    if let Origin::Generated(path) = origin {
        context.terminal.note(&format!(
            "The key's password was generated and lies in {}; keep a copy of both files.",
            path.display()
        ));
    }
    Ok(key.address().to_string())
}
