//! `gaia deposit`: money for a domain's service, until its gateway has credited it.

use std::time::{Duration, Instant};

use clap::Args;
use gaia_chain::{Asset, Domain, Wallet, payer};
use gaia_ledger::NanoUnits;
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::visit::{self, Payer, Visit, failed};

/// How long the gateway's credit is waited for.
const WAIT_MAX: Duration = Duration::from_secs(30 * 60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is said that the wait goes on.
const REMARK: Duration = Duration::from_secs(30);

/// Arguments of `gaia deposit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia deposit https://domain.example 12.50
  gaia deposit https://domain.example 100 --asset token

The money stays yours until it is used: gaia refund DOMAIN_URL AMOUNT asks it back.")]
pub struct Arguments {
    /// An address of the domain's gateway
    #[arg(value_name = "DOMAIN_URL")]
    url: String,
    /// How much, as a decimal number: 12.50
    amount: NanoUnits,
    /// What to deposit: stable, token, a symbol or an address
    #[arg(long, default_value = "stable")]
    asset: String,
    /// Do not wait for the gateway
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    payer: Payer,
}

/// Runs `gaia deposit`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let visit = Visit::new(&arguments.url)?;
    super::runtime()?.block_on(async {
        let domain = visit.domain(&arguments.payer).await?;
        let asset = domain.asset(&arguments.asset).map_err(failed)?.clone();
        let wallet = visit::wallet(context, &arguments.payer, &domain).await?;
        deposit(context, arguments, &visit, &domain, &asset, &wallet).await
    })
}

async fn deposit(
    context: &Context,
    arguments: &Arguments,
    visit: &Visit,
    domain: &Domain,
    asset: &Asset,
    wallet: &Wallet,
) -> anyhow::Result<()> {
    let amount = arguments.amount;
    context.terminal.note(&format!(
        "{} {} from {} into {}, the escrow of {} ({})",
        amount.decimal(),
        asset.symbol,
        wallet.address(),
        domain.escrow,
        visit.facts.shown_name(),
        domain.place.domain_id
    ));
    let mined = payer::deposit(wallet, domain, asset, amount)
        .await
        .map_err(failed)?;
    if !arguments.no_wait {
        wait(context, visit, mined.block).await?;
    }
    let account = payer::account(domain, wallet.address(), asset.address)
        .await
        .map_err(failed)?;
    let balance = NanoUnits::try_from(account.balance).map_err(failed)?;
    context.terminal.answer(
        || {
            json!({
                "transaction": mined.transaction,
                "block": mined.block,
                "asset": asset.address,
                "balance": balance.decimal().to_string(),
                "credited": !arguments.no_wait,
            })
        },
        |_| {
            let what = if arguments.no_wait {
                "Deposited"
            } else {
                "Credited"
            };
            format!(
                "{what}. The account holds {} {} on the chain.\nNext: gaia token new {}",
                balance.decimal(),
                asset.symbol,
                visit.url
            )
        },
    );
    Ok(())
}

/// Waits until the gateway has credited everything through `block`.
async fn wait(context: &Context, visit: &Visit, block: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut remarked = Instant::now();
    loop {
        let chain = visit.get("/gaia/v1/chain")?;
        if chain["creditedThrough"]
            .as_u64()
            .is_some_and(|through| through >= block)
        {
            return Ok(());
        }
        if began.elapsed() > WAIT_MAX {
            let words = format!(
                "the deposit is on the chain (block {block}), the gateway has not credited it yet; it will: do not deposit again"
            );
            return Err(failure(Exit::Failure, words));
        }
        if remarked.elapsed() > REMARK {
            let confirmations = chain["confirmations"].as_u64().unwrap_or_default();
            context.terminal.note(&format!(
                "waiting for {confirmations} confirmations of block {block}"
            ));
            remarked = Instant::now();
        }
        tokio::time::sleep(LOOK).await;
    }
}
