//! `gaia key`: shows the node's address. The key itself is never shown.

use clap::{Args, Subcommand};
use gaia_keystore::read_address;
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};

/// Arguments of `gaia key`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gaia key show")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the node's address (its id)
    Show,
}

/// Runs `gaia key`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let Action::Show = arguments.action;
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
