//! `gaia settle`: what is due of a domain's settlement, done now. A running gateway does the same by itself.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use gaia_chain::{Domain, Place, Rpc, Settled, Settler, Wallet};
use gaia_keystore::load_key;
use gaia_ledger_store::{Ledger, Location};
use serde_json::json;

use super::Context;
use super::domain::{deployment, folder, passwords, read};
use crate::password::own_password;
use crate::visit::failed;

/// Arguments of `gaia settle`.
#[derive(Debug, Args)]
#[command(after_help = "\
For who runs a domain. Opens the epoch that runs, closes the one before, proposes its charges, answers
challenges, takes charges whose window is over. It may be broken off and called again at any time.")]
pub struct Arguments {
    /// Only epochs and the ledger; nothing is sent to the chain but the token's price
    #[arg(long)]
    epochs_only: bool,
    /// The password of the gateway's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia settle`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = folder(context);
    let file = read(&folder)?;
    let deployment = deployment(&folder)?;
    let may_ask = io::stdin().is_terminal() && !context.terminal.json;
    let password_file = arguments.password_file.as_deref();
    let password = own_password(&passwords(context, &folder, password_file, may_ask))?;
    let key = load_key(&folder.keystore(), &password).map_err(failed)?;
    let variable = context.environment.ledger.clone();
    let address = file.ledger_in(&folder, variable).map_err(failed)?;
    let ledger = Ledger::open(Location::parse(address.reveal())).map_err(failed)?;
    let place = Place {
        chain_id: deployment.chain_id,
        registry: deployment.registry,
        domain_id: deployment.domain_id,
    };
    super::runtime()?.block_on(async {
        let rpc = Rpc::new(&file.chain.rpc);
        let domain = Domain::read(rpc.clone(), place).await.map_err(failed)?;
        let wallet = Wallet::open(rpc, place.chain_id, key)
            .await
            .map_err(failed)?;
        let settler = Settler::new(domain, ledger, wallet);
        let settled = match arguments.epochs_only {
            true => settler.keep_time().await,
            false => settler.settle().await,
        };
        show(context, &settled.map_err(failed)?);
        Ok(())
    })
}

fn show(context: &Context, settled: &Settled) {
    let numbers =
        |ids: &[alloy_primitives::U256]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    context.terminal.answer(
        || {
            json!({
                "epoch": settled.epoch,
                "proposed": numbers(&settled.proposed),
                "finalised": numbers(&settled.finalised),
                "answered": settled.answered.len() + settled.shown.len(),
                "waiting": settled.waiting,
            })
        },
        |_| {
            let mut lines = vec![format!("epoch {} runs", settled.epoch)];
            for (what, ids) in [
                ("proposed", &settled.proposed),
                ("taken", &settled.finalised),
            ] {
                if !ids.is_empty() {
                    lines.push(format!("{what}: {}", numbers(ids).join(", ")));
                }
            }
            let answered = settled.answered.len() + settled.shown.len();
            if answered > 0 {
                lines.push(format!("answered: {answered}"));
            }
            lines.extend(settled.waiting.iter().map(|why| format!("later: {why}")));
            lines.join("\n")
        },
    );
}
