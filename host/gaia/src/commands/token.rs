//! `gaia token`: access tokens of a domain. A token is drawn here and shown once; the domain is told its hash, signed
//! by the wallet, and this home keeps the hash and a name.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::B256;
use alloy_signer::SignerSync as _;
use clap::{Args, Subcommand};
use gaia_keystore::NodeKey;
use gaia_ledger::NanoUsd;
use gaia_registry::{AccessToken, Signed, Statement, TokenGrant, TokenRevocation};
use gaia_statements::Signature;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use crate::exit::{Exit, failure};
use crate::home::write_private;
use crate::visit::{self, Payer, Visit, failed};

/// How long a grant may be handed in, in seconds.
const GRANT_SECONDS: u64 = 300;
/// The most tokens that one home remembers.
const TOKENS_MAX: usize = 1_000;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Arguments of `gaia token`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia token new https://domain.example --limit 5 --name laptop
  gaia token list
  gaia token revoke laptop")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Draw a token and show it, this once
    New {
        /// An address of the domain's gateway
        #[arg(value_name = "DOMAIN_URL")]
        url: String,
        /// The most it may ever spend, in dollars [default: what the account has]
        #[arg(long, value_name = "USD")]
        limit: Option<NanoUsd>,
        /// What to call it [default: the first digits of its hash]
        #[arg(long)]
        name: Option<String>,
        /// Which account pays: stable, token, a symbol or an address
        #[arg(long, default_value = "stable")]
        asset: String,
        #[command(flatten)]
        payer: Payer,
    },
    /// The tokens that were drawn here
    List,
    /// Take a token back
    Revoke {
        /// Its name, or its hash
        name: String,
        #[command(flatten)]
        payer: Payer,
    },
}

/// What is remembered of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    name: String,
    domain: String,
    token_hash: B256,
    limit: Option<NanoUsd>,
    is_revoked: bool,
}

/// Runs `gaia token`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.action {
        Action::New {
            url,
            limit,
            name,
            asset,
            payer,
        } => {
            let visit = Visit::new(url)?;
            let asked = New {
                visit: &visit,
                limit: *limit,
                name: name.as_deref(),
                asset,
                payer,
            };
            new(context, &asked)
        }
        Action::List => list(context),
        Action::Revoke { name, payer } => revoke(context, name, payer),
    }
}

struct New<'a> {
    visit: &'a Visit,
    limit: Option<NanoUsd>,
    name: Option<&'a str>,
    asset: &'a str,
    payer: &'a Payer,
}

fn new(context: &Context, asked: &New<'_>) -> anyhow::Result<()> {
    let mut known = read(context)?;
    if known.len() >= TOKENS_MAX {
        return Err(failure(
            Exit::Failure,
            "a thousand tokens were drawn here: remove the file tokens.json when you need none of them",
        ));
    }
    if asked.limit == Some(NanoUsd::ZERO) {
        return Err(failure(
            Exit::Usage,
            "--limit 0 would be a token for nothing: name more, or leave it out",
        ));
    }
    check_name(asked.name, &known)?;
    let key = visit::key(context, asked.payer)?;
    let asset = super::runtime()?.block_on(async {
        let domain = asked.visit.domain(asked.payer).await?;
        Ok::<_, anyhow::Error>(domain.asset(asked.asset).map_err(failed)?.address)
    })?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| failure(Exit::Failure, error.to_string()))?;
    let token = AccessToken::new(random);
    let facts = &asked.visit.facts;
    let grant = TokenGrant {
        domain_id: facts.domain_id,
        payer: key.address(),
        asset,
        token_hash: token.id(),
        limit: asked.limit.map_or(0, NanoUsd::get),
        nonce: nonce(),
        expiry: now() + GRANT_SECONDS,
    };
    let signed = sign(&key, asked.visit, grant)?;
    let name = asked
        .name
        .map_or_else(|| token.id().to_string()[2..10].to_owned(), str::to_owned);
    known.push(Known {
        name: name.clone(),
        domain: asked.visit.url.clone(),
        token_hash: token.id(),
        limit: asked.limit,
        is_revoked: false,
    });
    asked.visit.post("/gaia/v1/tokens", &signed)?;
    write(context, &known)?;
    let (url, text) = (&asked.visit.url, token.reveal());
    context.terminal.answer(
        || json!({"name": name, "token": text, "tokenHash": token.id(), "baseUrl": format!("{url}/v1")}),
        |_| format!("OPENAI_BASE_URL={url}/v1\nOPENAI_API_KEY={text}"),
    );
    context.terminal.note(&format!(
        "The token is shown this once. Take it back with: gaia token revoke {name}"
    ));
    Ok(())
}

fn check_name(name: Option<&str>, known: &[Known]) -> anyhow::Result<()> {
    let Some(name) = name else {
        return Ok(());
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        let words = format!("a name is 1 to {NAME_BYTES_MAX} letters, digits, -, _ and .");
        return Err(failure(Exit::Usage, words));
    }
    if known
        .iter()
        .any(|token| token.name == name && !token.is_revoked)
    {
        let words = format!("there is a token `{name}` already: choose another name, or revoke it");
        return Err(failure(Exit::Usage, words));
    }
    Ok(())
}

fn list(context: &Context) -> anyhow::Result<()> {
    let known = read(context)?;
    let line = |token: &Known| {
        let limit = match token.limit {
            Some(limit) => format!("up to {} USD", limit.decimal()),
            None => "no limit".to_owned(),
        };
        let state = if token.is_revoked {
            "revoked"
        } else {
            "granted"
        };
        format!(
            "{:<16} {state}  {limit:<22} {}  {}",
            token.name, token.domain, token.token_hash
        )
    };
    context.terminal.answer(
        || json!({"tokens": known}),
        |_| match known.is_empty() {
            true => "no token was drawn here; gaia token new DOMAIN_URL draws one".to_owned(),
            false => known.iter().map(line).collect::<Vec<_>>().join("\n"),
        },
    );
    Ok(())
}

fn revoke(context: &Context, name: &str, payer: &Payer) -> anyhow::Result<()> {
    let mut known = read(context)?;
    let is = |token: &&mut Known| {
        !token.is_revoked && (token.name == name || name.parse() == Ok(token.token_hash))
    };
    let Some(token) = known.iter_mut().find(is) else {
        let words = format!("no token `{name}` was drawn here; gaia token list names them");
        return Err(failure(Exit::Usage, words));
    };
    let visit = Visit::new(&token.domain)?;
    let key = visit::key(context, payer)?;
    let revocation = TokenRevocation {
        domain_id: visit.facts.domain_id,
        payer: key.address(),
        token_hash: token.token_hash,
        nonce: nonce(),
        expiry: now() + GRANT_SECONDS,
    };
    visit.post("/gaia/v1/tokens/revoke", &sign(&key, &visit, revocation)?)?;
    token.is_revoked = true;
    let hash = token.token_hash;
    write(context, &known)?;
    context.terminal.answer(
        || json!({"tokenHash": hash, "revoked": true}),
        |_| {
            format!(
                "`{name}` is taken back; other gateways of the domain hear of it within seconds"
            )
        },
    );
    Ok(())
}

fn sign<S: Statement>(key: &NodeKey, visit: &Visit, statement: S) -> anyhow::Result<Signed<S>> {
    let domain = visit.facts.signing;
    let signature = key.signer().sign_hash_sync(&statement.digest(&domain));
    let signature = signature.map_err(|error| failure(Exit::Failure, error.to_string()))?;
    Ok(Signed {
        domain,
        statement,
        signature: Signature::from_bytes(&signature.as_bytes()).map_err(failed)?,
    })
}

fn read(context: &Context) -> anyhow::Result<Vec<Known>> {
    let path = context.home.tokens();
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| {
            let words = format!("`{}` cannot be read: {error}", path.display());
            failure(Exit::Failure, words)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failure(
            Exit::Failure,
            format!("failed to read `{}`: {error}", path.display()),
        )),
    }
}

fn write(context: &Context, known: &[Known]) -> anyhow::Result<()> {
    context.home.make_folders()?;
    let text = serde_json::to_vec_pretty(known)?;
    Ok(write_private(&context.home.tokens(), &text)?)
}

/// Rises with time, also over homes with the same key.
fn nonce() -> u64 {
    since_1970().as_micros().try_into().unwrap_or(u64::MAX)
}

fn now() -> u64 {
    since_1970().as_secs()
}

fn since_1970() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
