//! `gaia claim`: what a node's operator, a domain or a staker has earned, drawn with a proof that is checked here.

use alloy_primitives::Address;
use clap::Args;
use gaia_chain::payer;
use gaia_chain::shares::ProvenShare;
use gaia_ledger::NanoUnits;
use serde::Deserialize;
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::visit::{self, Payer, Visit, failed};

/// Arguments of `gaia claim`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia claim https://domain.example
  gaia claim https://domain.example --for 0x90F79bf6EB2c4f870365E785982E1f101E93b906

The money goes to whom it belongs; the wallet here only pays for the gas.")]
pub struct Arguments {
    /// An address of the domain's gateway
    #[arg(value_name = "DOMAIN_URL")]
    url: String,
    /// Whose earnings [default: the wallet's]
    #[arg(long = "for", value_name = "ADDRESS")]
    earner: Option<Address>,
    /// Only say what there is
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    payer: Payer,
}

#[derive(Deserialize)]
struct Told {
    shares: Vec<ProvenShare>,
}

/// A claim and what came of it.
struct Drawn {
    symbol: String,
    due: NanoUnits,
    transaction: Option<alloy_primitives::B256>,
}

/// Runs `gaia claim`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let visit = Visit::new(&arguments.url)?;
    let earner = match arguments.earner {
        Some(earner) => earner,
        None => visit::wallet_address(context)?,
    };
    let told = visit.get(&format!("/gaia/v1/shares/{earner}"))?;
    let told: Told = serde_json::from_value(told).map_err(failed)?;
    super::runtime()?.block_on(async {
        let domain = visit.domain(&arguments.payer).await?;
        let mut drawn = Vec::new();
        for proven in &told.shares {
            if proven.share.account != earner {
                return Err(failure(
                    Exit::Failure,
                    "the domain has sent somebody else's share",
                ));
            }
            let known = domain
                .assets
                .iter()
                .find(|asset| asset.address == proven.share.asset);
            let Some(asset) = known else {
                continue;
            };
            let paid = gaia_chain::shares::paid(&domain, earner, asset.address)
                .await
                .map_err(failed)?;
            let due = proven.share.cumulative.left_after(paid);
            let is_payable =
                due.to_base(asset.decimals).map_err(failed)?.0 > alloy_primitives::U256::ZERO;
            let mut transaction = None;
            if is_payable && !arguments.dry_run {
                let wallet = visit::wallet(context, &arguments.payer, &domain).await?;
                let mined = payer::claim(&wallet, &domain, proven)
                    .await
                    .map_err(failed)?;
                transaction = Some(mined.transaction);
            }
            drawn.push(Drawn {
                symbol: asset.symbol.clone(),
                due,
                transaction,
            });
        }
        show(context, earner, &drawn);
        Ok(())
    })
}

fn show(context: &Context, earner: Address, drawn: &[Drawn]) {
    let json = |one: &Drawn| {
        json!({
            "asset": one.symbol,
            "due": one.due.decimal().to_string(),
            "transaction": one.transaction,
        })
    };
    let line = |one: &Drawn| match one.transaction {
        Some(transaction) => format!("{} {} drawn: {transaction}", one.due.decimal(), one.symbol),
        None => format!("{} {} due, not drawn", one.due.decimal(), one.symbol),
    };
    context.terminal.answer(
        || json!({"account": earner, "claims": drawn.iter().map(json).collect::<Vec<_>>()}),
        |_| match drawn.is_empty() {
            true => format!("{earner} has no share in the domain's tree yet"),
            false => drawn.iter().map(line).collect::<Vec<_>>().join("\n"),
        },
    );
}
