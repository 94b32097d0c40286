//! `gaia wallet`: the key that pays domains, and draws what was earned there. It is another than the node's.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gaia_keystore::{NodeKey, load_key, read_address, save_key};
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::password::{Origin, PasswordSources, known_password, new_password};
use crate::visit::{self, Payer};

/// Arguments of `gaia wallet`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia wallet new
  gaia wallet import ~/my-keystore.json --password-file old-password
  gaia wallet show")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and seal it
    New {
        /// The wallet's password is this file's first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Take over a key: a keystore file (Keystore V3), or with --hex the key itself, typed or piped in
    Import {
        /// The keystore; it stays as it is
        #[arg(required_unless_present = "hex")]
        keystore: Option<PathBuf>,
        /// Read 64 digits of hex from standard input instead
        #[arg(long, conflicts_with = "keystore")]
        hex: bool,
        /// The keystore's password, or the new wallet's, is this file's first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Show the wallet's address
    Show,
    /// Show the key itself, after a question
    Export {
        /// The password of the wallet is this file's first line
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs `gaia wallet`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::New { password_file } => new(context, password_file.as_deref()),
        Action::Import {
            keystore: Some(keystore),
            password_file,
            ..
        } => import(context, keystore, password_file.as_deref()),
        Action::Import { password_file, .. } => import_hex(context, password_file.as_deref()),
        Action::Show => show(context),
        Action::Export { password_file, yes } => export(context, password_file.clone(), *yes),
    }
}

fn new(context: &Context, password_file: Option<&Path>) -> anyhow::Result<()> {
    none_yet(context)?;
    seal(
        context,
        &NodeKey::generate(),
        &visit::passwords(context, password_file),
    )
}

fn import(context: &Context, from: &Path, password_file: Option<&Path>) -> anyhow::Result<()> {
    none_yet(context)?;
    let password = known_password(&visit::passwords(context, password_file))?;
    let key = load_key(from, &password)?;
    context.home.make_folders()?;
    save_key(&context.home.wallet(), &key, &password)?;
    tell(context, &key, None);
    Ok(())
}

fn import_hex(context: &Context, password_file: Option<&Path>) -> anyhow::Result<()> {
    none_yet(context)?;
    let text = match io::stdin().is_terminal() {
        true => rpassword::prompt_password("Key, 64 digits of hex: ")?,
        false => io::read_to_string(io::stdin().lock())?,
    };
    let digits = text.trim().trim_start_matches("0x");
    let mut bytes = [0; 32];
    let key = alloy_primitives::hex::decode_to_slice(digits, &mut bytes)
        .ok()
        .and_then(|()| NodeKey::from_bytes(&bytes).ok());
    // What was typed is not repeated.
    let key = key.ok_or_else(|| failure(Exit::Usage, "that is no key: 64 digits of hex are"))?;
    seal(context, &key, &visit::passwords(context, password_file))
}

fn none_yet(context: &Context) -> anyhow::Result<()> {
    let path = context.home.wallet();
    if !path.exists() {
        return Ok(());
    }
    let words = format!(
        "there is a wallet here already ({}): move `{}` away first, and keep it",
        read_address(&path)?,
        path.display()
    );
    Err(failure(Exit::Failure, words))
}

fn seal(context: &Context, key: &NodeKey, sources: &PasswordSources<'_>) -> anyhow::Result<()> {
    let (password, origin) = new_password(sources)?;
    context.home.make_folders()?;
    save_key(&context.home.wallet(), key, &password)?;
    tell(context, key, Some(origin));
    Ok(())
}

fn tell(context: &Context, key: &NodeKey, origin: Option<Origin>) {
    let address = key.address().to_string();
    let path = context.home.wallet();
    let password = match &origin {
        Some(Origin::Generated(path)) => format!("\nIts password lies in {}", path.display()),
        _ => String::new(),
    };
    context.terminal.answer(
        || json!({"address": address, "keystore": path}),
        |_| {
            format!(
                "{address}\nKeep a copy of {}: who loses it loses the money.{password}\nNext: send it something to deposit and some ether for gas, then gaia deposit DOMAIN_URL AMOUNT",
                path.display()
            )
        },
    );
}

fn show(context: &Context) -> anyhow::Result<()> {
    let address = visit::wallet_address(context)?.to_string();
    let path = context.home.wallet();
    context.terminal.answer(
        || json!({"address": address, "keystore": path}),
        |_| address.clone(),
    );
    Ok(())
}

fn export(context: &Context, password_file: Option<PathBuf>, yes: bool) -> anyhow::Result<()> {
    let payer = Payer {
        chain: None,
        password_file,
    };
    if !yes && !asked(context)? {
        return Err(failure(Exit::Failure, "the key was not shown"));
    }
    let key = visit::key(context, &payer)?;
    let secret = key.reveal();
    // To standard output and nowhere else.
    println!("{}", alloy_primitives::hex::encode(secret.as_slice()));
    Ok(())
}

fn asked(context: &Context) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() || context.terminal.json {
        return Err(failure(Exit::Usage, "nobody can be asked here: say --yes"));
    }
    eprint!("Whoever sees the key has the money. Show it? Type yes: ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
