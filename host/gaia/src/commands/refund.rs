//! `gaia refund`: money back out of a domain, without anybody's consent.

use clap::Args;
use gaia_chain::contracts::Account;
use gaia_chain::payer;
use gaia_ledger::NanoUnits;
use serde_json::json;

use super::Context;
use crate::visit::{self, Payer, Visit, failed};

/// Arguments of `gaia refund`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia refund https://domain.example                 what is there, and what was asked back
  gaia refund https://domain.example 12.50           ask for it; the delay begins
  gaia refund https://domain.example --draw          draw it, once the delay is over
  gaia refund https://domain.example --cancel        leave it there after all")]
pub struct Arguments {
    /// An address of the domain's gateway
    #[arg(value_name = "DOMAIN_URL")]
    url: String,
    /// How much to ask back, as a decimal number. Replaces an earlier request, and the delay begins anew
    #[arg(conflicts_with_all = ["draw", "cancel"])]
    amount: Option<NanoUnits>,
    /// Draw what was asked back
    #[arg(long, conflicts_with = "cancel")]
    draw: bool,
    /// Take the request back
    #[arg(long)]
    cancel: bool,
    /// Of what: stable, token, a symbol or an address
    #[arg(long, default_value = "stable")]
    asset: String,
    #[command(flatten)]
    payer: Payer,
}

/// Runs `gaia refund`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let visit = Visit::new(&arguments.url)?;
    super::runtime()?.block_on(async {
        let domain = visit.domain(&arguments.payer).await?;
        let asset = domain.asset(&arguments.asset).map_err(failed)?.clone();
        let owner = match (arguments.amount, arguments.draw, arguments.cancel) {
            (None, false, false) => visit::wallet_address(context)?,
            (amount, draw, _) => {
                let wallet = visit::wallet(context, &arguments.payer, &domain).await?;
                let sent = match amount {
                    Some(amount) => payer::ask_refund(&wallet, &domain, &asset, amount).await,
                    None if draw => payer::draw_refund(&wallet, &domain, &asset).await,
                    None => payer::cancel_refund(&wallet, &domain, &asset).await,
                };
                sent.map_err(failed)?;
                wallet.address()
            }
        };
        let account = payer::account(&domain, owner, asset.address)
            .await
            .map_err(failed)?;
        let now = domain.rpc.now().await.map_err(failed)?;
        show(context, &account, &asset.symbol, now)
    })
}

fn show(context: &Context, account: &Account, symbol: &str, now: u64) -> anyhow::Result<()> {
    let balance = NanoUnits::try_from(account.balance).map_err(failed)?;
    let refund = NanoUnits::try_from(account.refund).map_err(failed)?;
    let left = account.refundAt.saturating_sub(now);
    context.terminal.answer(
        || {
            json!({
                "balance": balance.decimal().to_string(),
                "askedBack": refund.decimal().to_string(),
                "availableAt": account.refundAt,
                "asset": symbol,
            })
        },
        |_| {
            let asked = match (refund.is_zero(), left) {
                (true, _) => "nothing was asked back".to_owned(),
                (false, 0) => format!("{} asked back can be drawn: --draw", refund.decimal()),
                (false, left) => format!(
                    "{} asked back can be drawn in {}",
                    refund.decimal(),
                    crate::terminal::span(left)
                ),
            };
            format!("{} {symbol} are there, {asked}", balance.decimal())
        },
    );
    Ok(())
}
