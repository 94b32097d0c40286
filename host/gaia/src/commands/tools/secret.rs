//! `gaia tools secret`: credentials of tools, sealed under the password of the node's key.
//!
//! A secret is read from standard input or a prompt, never from the command line, where every user of
//! the machine could see it; and it is never shown.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gaia_keystore::{SECRET_BYTES_MAX, Secret, Secrets, load_key};
use serde_json::json;

use super::super::with_mend;
use super::{Context, password, say_removed};
use crate::exit::{Exit, failure};
use crate::home::make_private_folder;

/// Arguments of `gaia tools secret`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia tools secret set weather            asks for it
  gaia tools secret set weather < key.txt")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Keep a secret: the first line of standard input, or what is typed
    Set {
        /// What headers call it: {secret:NAME}
        name: String,
        /// The password of the node's key is this file's first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List the names
    List,
    /// Remove secrets
    Remove {
        /// Names as `gaia tools secret list` shows them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Runs `gaia tools secret`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let secrets = Secrets::new(&context.home.secrets());
    match &arguments.action {
        Action::Set {
            name,
            password_file,
        } => set(context, &secrets, name, password_file.as_deref()),
        Action::List => list(context, &secrets),
        Action::Remove { names } => remove(context, &secrets, names),
    }
}

fn set(
    context: &Context,
    secrets: &Secrets,
    name: &str,
    file: Option<&Path>,
) -> anyhow::Result<()> {
    let keystore = context.home.keystore();
    if !keystore.exists() {
        let message = "there is no key here yet, whose password would seal the secret".to_owned();
        return Err(failure(
            Exit::Failure,
            with_mend(message, Some("gaia init")),
        ));
    }
    let secret = read_secret(name)?;
    let password = password(context, file)?;
    // A password that was mistyped now would be found out only when a tool is called.
    load_key(&keystore, &password)?;
    make_private_folder(&context.home.secrets())?;
    secrets.set(name, &secret, &password)?;
    context
        .terminal
        .answer(|| json!({"set": name}), |_| format!("{name}: set"));
    Ok(())
}

/// What is typed unseen, or the first line of standard input.
fn read_secret(name: &str) -> anyhow::Result<Secret> {
    if io::stdin().is_terminal() {
        let question = format!("Secret `{name}` (it is not shown): ");
        return Ok(Secret::new(rpassword::prompt_password(question)?));
    }
    let mut text = String::new();
    // Two more for the line's end; a longer one is refused for its length.
    let most = SECRET_BYTES_MAX as u64 + 2;
    io::stdin().take(most).read_to_string(&mut text)?;
    let secret = Secret::new(text.lines().next().unwrap_or_default().to_owned());
    drop(Secret::new(text));
    Ok(secret)
}

fn list(context: &Context, secrets: &Secrets) -> anyhow::Result<()> {
    let names = secrets.names()?;
    context.terminal.answer(
        || json!({"secrets": names}),
        |_| match names.is_empty() {
            true => "no secrets yet; `gaia tools secret set NAME` keeps one".to_owned(),
            false => names.join("\n"),
        },
    );
    Ok(())
}

fn remove(context: &Context, secrets: &Secrets, names: &[String]) -> anyhow::Result<()> {
    let mut removed = Vec::new();
    for name in names {
        if secrets.remove(name)? {
            removed.push(name);
        }
    }
    say_removed(context, names, &removed, "gaia tools secret list")
}
