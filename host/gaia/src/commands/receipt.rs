//! `gaia receipt`: what a request cost, checked without asking the domain.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use gaia_chain::receipts::{Check, Verdict, check};
use gaia_chain::{Domain, Place, Rpc};
use gaia_ledger::SignedReceipt;
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::terminal::{Terminal, Tint};
use crate::visit::{Visit, failed};

/// The longest receipt, in bytes.
const RECEIPT_BYTES_MAX: u64 = 64 * 1024;

/// Arguments of `gaia receipt`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  curl https://domain.example/gaia/v1/receipts/0x… | gaia receipt verify -
  gaia receipt verify receipt.json --chain https://rpc.example --domain https://domain.example")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Hold a receipt to its signatures, sums and prices, and say what holds and what does not
    Verify {
        /// The receipt in JSON; - reads it from standard input
        file: PathBuf,
        /// The chain's JSON-RPC: who may sign, and what tokens cost, is known there
        #[arg(long, value_name = "URL", env = "GAIA_CHAIN", hide_env_values = true)]
        chain: Option<String>,
        /// The domain that it should be of [default: the one that the receipt names]
        #[arg(long, value_name = "DOMAIN_URL", requires = "chain")]
        domain: Option<String>,
    },
}

/// Runs `gaia receipt`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let Action::Verify {
        file,
        chain,
        domain,
    } = &arguments.action;
    let receipt = read(file)?;
    let place = match domain {
        Some(url) => Visit::new(url)?.facts.place(),
        None => Place {
            chain_id: receipt.domain.chain_id,
            registry: receipt.domain.verifying_contract,
            domain_id: receipt.receipt.domain_id,
        },
    };
    let checks = super::runtime()?.block_on(async {
        let on_chain = match chain {
            Some(url) => Some(Domain::read(Rpc::new(url), place).await.map_err(failed)?),
            None => None,
        };
        check(&receipt, on_chain.as_ref()).await.map_err(failed)
    })?;
    show(context, &checks);
    match checks.iter().any(|check| check.holds == Verdict::Fails) {
        true => Err(failure(
            Exit::Failure,
            "the receipt does not hold: keep it, it is evidence",
        )),
        false => Ok(()),
    }
}

fn read(file: &Path) -> anyhow::Result<SignedReceipt> {
    let mut text = String::new();
    let source: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(file).map_err(|error| {
            failure(
                Exit::Usage,
                format!("failed to read `{}`: {error}", file.display()),
            )
        })?),
    };
    source.take(RECEIPT_BYTES_MAX).read_to_string(&mut text)?;
    if let Some(refusal) = refusal(&text) {
        let words = format!("that is no receipt, the domain has refused it: {refusal}");
        return Err(failure(Exit::Failure, words));
    }
    serde_json::from_str(&text).map_err(|error| {
        let words = format!(
            "that is no receipt with both signatures ({error}); one that its node has not signed yet can be fetched again later"
        );
        failure(Exit::Failure, words)
    })
}

/// What the domain said instead of a receipt.
fn refusal(text: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let message = json["error"]["message"].as_str()?;
    Some(message.chars().filter(|one| !one.is_control()).collect())
}

fn show(context: &Context, checks: &[Check]) {
    context.terminal.answer(
        || json!({"checks": checks}),
        |terminal| {
            checks
                .iter()
                .map(|check| line(terminal, check))
                .collect::<Vec<_>>()
                .join("\n")
        },
    );
}

fn line(terminal: &Terminal, check: &Check) -> String {
    let (tint, word) = match check.holds {
        Verdict::Holds => (Tint::Green, "holds  "),
        Verdict::Fails => (Tint::Red, "FAILS  "),
        Verdict::Unknown => (Tint::Yellow, "unknown"),
    };
    format!(
        "{}  {}: {}",
        terminal.out(tint, word),
        check.what,
        check.says
    )
}
