//! `gaia join`: the running node becomes a node of a domain.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy_primitives::Address;
use anyhow::Context as _;
use clap::Args;
use gaia_keystore::NodeKey;
use gaia_member::{Joined, Wish, consent, facts, join};
use gaia_outbound::Origin;
use gaia_registry::{OperatorConsent, Signed, Status};
use gaia_tunnel::Trust;
use gaia_tunnel::messages::DomainFacts;
use serde_json::json;

use super::{Context, chain, runtime};
use crate::exit::{Exit, failure};
use crate::membership;
use crate::membership::knowledge::Knowledge;
use crate::supervisor::state::{self, State};

/// The longest file with a consent, in bytes.
const CONSENT_BYTES_MAX: u64 = 64 << 10;

/// Arguments of `gaia join`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gaia join https://ai.example.org
  gaia join https://ai.example.org --url https://node.example.net --listen 127.0.0.1:7443
  gaia --home ~/operator join https://ai.example.org --consent-for 0xNODE > consent.json
  gaia join https://ai.example.org --operator 0xOPERATOR --consent consent.json

The node earns for its own address unless an operator is named. A consent is good for ten minutes, once.")]
pub struct Arguments {
    /// A gateway of the domain
    #[arg(id = "gateway", value_name = "URL")]
    url: String,
    /// Who earns, instead of the node's own address
    #[arg(long, value_name = "ADDRESS", requires = "consent")]
    operator: Option<Address>,
    /// The operator's consent, as --consent-for prints it
    #[arg(long, value_name = "FILE")]
    consent: Option<PathBuf>,
    /// Where gateways dial the node, https://HOST[:PORT]; without it, the node dials them
    #[arg(long = "url", value_name = "PUBLIC_URL", requires = "listen")]
    endpoint: Option<String>,
    /// Where the node listens for them, in plain HTTP, behind what ends TLS for PUBLIC_URL
    #[arg(long, value_name = "ADDRESS:PORT", requires = "endpoint")]
    listen: Option<SocketAddr>,
    /// Sign, with this home's key as the operator's, a consent for that node; joins nothing
    #[arg(long, value_name = "NODE", conflicts_with_all = ["operator", "consent"])]
    consent_for: Option<Address>,
    /// Believe the certificate authorities in this PEM file, too: for domains that make their own
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
    /// The password of the node's key is this file's first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Runs `gaia join`.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let domain = Reached::find(&arguments.url, arguments.authorities.as_deref())?;
    let key = open_key(context, arguments.password_file.as_deref())?;
    if let Some(node) = arguments.consent_for {
        let signed = consent(key.signer(), &domain.facts.place(), node)?;
        let text = serde_json::to_value(&signed)?;
        context
            .terminal
            .answer(|| text.clone(), |_| text.to_string());
        return Ok(());
    }
    let state = state::running(&context.home).ok_or_else(|| {
        failure(
            Exit::NotRunning,
            "no node is running in this home: gaia start",
        )
    })?;
    let joined = tell(context, arguments, &domain, &key, &state)?;
    membership::joins(&context.home).put(&joined.0)?;
    show(context, &domain, &joined);
    Ok(())
}

/// A domain that has said what it is.
pub struct Reached {
    /// Where.
    pub origin: Origin,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// What it said.
    pub facts: DomainFacts,
}

impl Reached {
    fn find(url: &str, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let origin = origin_of(url)?;
        let trust = trust_of(authorities)?;
        let found = runtime()?.block_on(facts(&origin, &trust));
        let facts = found.map_err(|error| failure(Exit::Failure, chain(&error)))?;
        Ok(Self {
            origin,
            trust,
            facts,
        })
    }
}

/// The gateway that `url` names.
pub fn origin_of(url: &str) -> anyhow::Result<Origin> {
    url.parse()
        .map_err(|error| failure(Exit::Usage, format!("`{url}` is no gateway: {error}")))
}

/// The public authorities, and those in a file.
pub fn trust_of(authorities: Option<&Path>) -> anyhow::Result<Trust> {
    match authorities {
        None => Ok(Trust::public()),
        Some(path) => {
            Trust::with_authorities(path).map_err(|error| failure(Exit::Usage, chain(&error)))
        }
    }
}

/// The node's key.
pub fn open_key(context: &Context, file: Option<&Path>) -> anyhow::Result<NodeKey> {
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let interactive = is_terminal && !context.terminal.json;
    membership::open_key(&context.home, &context.environment, file, interactive)
}

fn tell(
    context: &Context,
    arguments: &Arguments,
    domain: &Reached,
    key: &NodeKey,
    state: &State,
) -> anyhow::Result<(Joined, Status)> {
    let knowledge = Knowledge::of(&context.config()?, state.store.as_ref());
    let digest = knowledge
        .digest()
        .context("failed to read what the node knows")?;
    let digest = digest.ok_or_else(|| {
        let words = "the node's knowledge is being changed: join when `gaia knowledge list` shows no document as not complete";
        failure(Exit::Failure, words)
    })?;
    let config = membership::node_config(&context.home, &state.chat, digest)?;
    let place = domain.facts.place();
    let wish = Wish {
        operator: arguments.operator.unwrap_or(key.address()),
        consent: arguments.consent.as_deref().map(read_consent).transpose()?,
        endpoint: arguments.endpoint.clone().unwrap_or_default(),
    };
    let (origin, trust) = (&domain.origin, &domain.trust);
    let joining = join(origin, trust, key.signer(), &place, &wish, &config);
    let standing = runtime()?.block_on(joining);
    let standing = standing.map_err(|error| failure(Exit::Failure, chain(&error)))?;
    knowledge.keep(&context.home, digest);
    let authorities = arguments.authorities.as_deref();
    let authorities = authorities.map(std::path::absolute).transpose()?;
    let joined = Joined {
        url: origin.to_string(),
        place,
        name: domain.facts.name.clone(),
        operator: wish.operator,
        endpoint: wish.endpoint,
        listen: arguments.listen,
        config_hash: config.hash(),
        authorities,
    };
    Ok((joined, standing.status))
}

fn read_consent(path: &Path) -> anyhow::Result<Signed<OperatorConsent>> {
    let shown = path.display();
    let facts = path.metadata();
    let facts = facts.with_context(|| format!("failed to read the consent `{shown}`"))?;
    if facts.len() > CONSENT_BYTES_MAX {
        return Err(failure(
            Exit::Usage,
            format!("`{shown}` is no consent: too long"),
        ));
    }
    let text = std::fs::read(path);
    let text = text.with_context(|| format!("failed to read the consent `{shown}`"))?;
    serde_json::from_slice(&text).with_context(|| {
        format!("`{shown}` is no consent; `gaia join URL --consent-for NODE` makes one")
    })
}

fn show(context: &Context, domain: &Reached, (joined, status): &(Joined, Status)) {
    let facts = &domain.facts;
    context.terminal.answer(
        || {
            json!({
                "domain": facts.domain_id,
                "name": facts.name,
                "url": joined.url,
                "operator": joined.operator,
                "standing": status,
            })
        },
        |_| {
            let standing = match status {
                Status::Serving => "It serves".to_owned(),
                Status::Probation => {
                    "It gets users' requests once it has answered the domain's test questions"
                        .to_owned()
                }
                Status::Suspended { reason, .. } => format!("It is suspended: {reason}"),
                Status::Left { .. } => "It has left".to_owned(),
            };
            format!(
                "The node has joined {} ({}), and earns for {}\n{standing}: see `gaia status`",
                facts.name, facts.domain_id, joined.operator
            )
        },
    );
}
