//! `gaia leave`: the node leaves a domain.

use std::path::PathBuf;

use clap::Args;
use gaia_member::{Joined, leave};
use serde_json::json;

use super::join::{open_key, origin_of, trust_of};
use super::{Context, chain, runtime};
use crate::exit::{Exit, failure};
use crate::membership;

/// Arguments of `gaia leave`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia leave                          the only domain
  gaia leave https://ai.example.org   one of several

Answers that run are finished. What was earned stays, and so do the receipts that the node has signed.")]
pub struct Arguments {
    /// Where the domain was joined; needless where there is but one
    url: Option<String>,
    /// Leave although the domain cannot be told: it will notice that the node is silent
    #[arg(long)]
    untold: bool,
    /// The password of the node's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia leave`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let joins = membership::joins(&context.home);
    let joined = chosen(joins.list()?, arguments.url.as_deref())?;
    let told = match arguments.untold {
        true => false,
        false => tell(context, arguments, &joined).map(|()| true)?,
    };
    joins.remove(joined.place.domain_id)?;
    context.terminal.answer(
        || json!({"domain": joined.place.domain_id, "url": joined.url, "told": told}),
        |_| format!("The node has left {} ({})", joined.name, joined.url),
    );
    Ok(())
}

fn tell(context: &Context, arguments: &Arguments, joined: &Joined) -> anyhow::Result<()> {
    let key = open_key(context, arguments.password_file.as_deref())?;
    let origin = origin_of(&joined.url)?;
    let trust = trust_of(joined.authorities.as_deref())?;
    let leaving = leave(&origin, &trust, key.signer(), &joined.place);
    let told = runtime()?.block_on(leaving);
    told.map(|_| ()).map_err(|error| {
        let message = format!(
            "{}\n  to mend: try again, or leave it --untold",
            chain(&error)
        );
        failure(Exit::Failure, message)
    })
}

fn chosen(joined: Vec<Joined>, url: Option<&str>) -> anyhow::Result<Joined> {
    let listed: Vec<String> = joined.iter().map(|domain| domain.url.clone()).collect();
    let wanted = |domain: &Joined| url.is_none_or(|url| url.trim_end_matches('/') == domain.url);
    let mut found: Vec<Joined> = joined.into_iter().filter(wanted).collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) if listed.is_empty() => {
            Err(failure(Exit::Failure, "the node has joined no domain"))
        }
        _ => {
            let message = format!("which domain? One of: {}", listed.join(", "));
            Err(failure(Exit::Usage, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};

    fn joined(url: &str) -> Joined {
        let json = json!({
            "url": url,
            "place": {
                "signing": {"chainId": 1, "verifyingContract": Address::ZERO},
                "domainId": B256::ZERO,
            },
            "name": "",
            "operator": Address::ZERO,
            "endpoint": "",
            "config_hash": B256::ZERO,
            "authorities": null,
        });
        serde_json::from_value(json).unwrap()
    }

    fn check(urls: &[&str], wanted: Option<&str>, expected: Result<&str, &str>) {
        let all = urls.iter().map(|url| joined(url)).collect();
        match (chosen(all, wanted), expected) {
            (Ok(found), Ok(url)) => assert_eq!(found.url, url),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn one_domain_needs_no_name() {
        let (a, b) = ("https://a.example", "https://b.example");
        check(&[a], None, Ok(a));
        check(&[a, b], Some("https://b.example/"), Ok(b));
        check(&[a, b], None, Err("which domain?"));
        check(
            &[a],
            Some(b),
            Err("which domain? One of: https://a.example"),
        );
        check(&[], None, Err("no domain"));
    }
}
