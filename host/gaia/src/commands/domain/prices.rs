//! `gaia domain publish-prices`: the price table of the file onto the chain, where every receipt is held to it.

use clap::Args;
use gaia_chain::{Domain, Place, Rpc, registry};
use serde_json::json;

use super::{deployment, folder, read};
use crate::commands::{Context, runtime};
use crate::visit::{self, Payer, failed};

/// Arguments of `gaia domain publish-prices`.
#[derive(Debug, Args)]
#[command(after_help = "\
The wallet of this home must be the domain's owner: gaia wallet import brings its key here.")]
pub struct Arguments {
    #[command(flatten)]
    payer: Payer,
}

/// Runs `gaia domain publish-prices`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = folder(context);
    let file = read(&folder)?;
    let deployment = deployment(&folder)?;
    let table = file.prices().map_err(failed)?;
    let place = Place {
        chain_id: deployment.chain_id,
        registry: deployment.registry,
        domain_id: deployment.domain_id,
    };
    let rpc = arguments.payer.chain.as_ref().unwrap_or(&file.chain.rpc);
    let was_sent = runtime()?.block_on(async {
        let domain = Domain::read(Rpc::new(rpc), place).await.map_err(failed)?;
        let wallet = visit::wallet(context, &arguments.payer, &domain).await?;
        registry::publish_prices(&wallet, &domain, &table)
            .await
            .map_err(failed)
    })?;
    let version = table.version();
    context.terminal.answer(
        || json!({"version": version, "hash": table.hash(), "sent": was_sent}),
        |_| match was_sent {
            true => format!("The prices are on the chain as version {version}."),
            false => format!("The prices were on the chain already, as version {version}."),
        },
    );
    Ok(())
}
