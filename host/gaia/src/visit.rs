//! A domain as its users meet it: an address of its gateway, and the chain that holds their money.
//!
//! What the gateway says of itself is taken as the user's choice of this domain; that its registry names the escrow,
//! and that this escrow says the same, is checked on the chain before any money moves.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use clap::Args;
use gaia_chain::{Domain, Place, Rpc, Wallet};
use gaia_domain::Gateway;
use gaia_keystore::{NodeKey, load_key, read_address};
use gaia_statements::SigningDomain;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::tls::{RootCerts, TlsConfig, TlsConfigBuilder};
use ureq::{Agent, Body};

use crate::commands::{Context, chain};
use crate::exit::{Exit, failure};
use crate::password::{PasswordSources, generated_file, own_password};

/// How long a question to a gateway may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);
/// The longest answer of a gateway that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// How to reach the chain, and which key pays. Every verb with money has these.
#[derive(Debug, Args)]
pub struct Payer {
    /// The chain's JSON-RPC [default: the one that the domain names]
    #[arg(long, value_name = "URL", env = "GAIA_CHAIN", hide_env_values = true)]
    pub chain: Option<String>,
    /// The password of the wallet is this file's first line
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A gateway and what it says of its domain.
#[derive(Debug)]
pub struct Visit {
    agent: Agent,
    /// The gateway's address, without a slash at its end.
    pub url: String,
    /// What it says.
    pub facts: Facts,
}

/// What a payer must know of a domain.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The domain's id on the chain.
    pub domain_id: B256,
    /// Where statements count.
    pub signing: SigningDomain,
    /// Where its gateways are reached.
    #[serde(default)]
    pub gateways: Vec<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    contracts: Contracts,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Contracts {
    rpc: Option<String>,
}

impl Facts {
    /// What people call the domain: its own word, so that only plain letters of it are shown.
    pub fn shown_name(&self) -> String {
        let plain = |letter: &char| letter.is_alphanumeric() || " -_.".contains(*letter);
        self.name.chars().filter(plain).take(64).collect()
    }

    /// Where the domain is on the chain.
    pub fn place(&self) -> Place {
        Place {
            chain_id: self.signing.chain_id,
            registry: self.signing.verifying_contract,
            domain_id: self.domain_id,
        }
    }
}

impl Visit {
    /// Asks the gateway at `url` what domain it serves.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let words =
                format!("`{url}` is no address of a domain: it begins with http:// or https://");
            return Err(failure(Exit::Usage, words));
        }
        Self::with(url, TlsConfig::builder())
    }

    /// The gateway of this machine, at the address that it listens on: its certificate is for the domain's name, so
    /// it is not looked at. Nothing leaves the machine, and the file that names the address is the operator's.
    pub fn own(gateway: &Gateway) -> anyhow::Result<Self> {
        let url = gateway.asked_at().to_owned();
        let is_here = gateway.own_url.is_some();
        Self::with(url, TlsConfig::builder().disable_verification(is_here))
    }

    fn with(url: String, tls: TlsConfigBuilder) -> anyhow::Result<Self> {
        let tls = tls.root_certs(RootCerts::PlatformVerifier).build();
        let agent: Agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(QUESTION_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        let said = get(&agent, &url, "/gaia/v1/domain")?;
        let facts = serde_json::from_value(said).map_err(|error| {
            let words = format!("{url} does not answer as a domain does ({error}): is it a node?");
            failure(Exit::Failure, words)
        })?;
        Ok(Self { agent, url, facts })
    }

    /// What the gateway answers at `path`.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        get(&self.agent, &self.url, path)
    }

    /// What the gateway answers at `path` to who has this token.
    pub fn get_as(&self, path: &str, token: &str) -> anyhow::Result<Value> {
        let asked = self.agent.get(format!("{}{path}", self.url));
        answer(
            &self.url,
            asked
                .header("authorization", format!("Bearer {token}"))
                .call(),
        )
    }

    /// Hands the gateway `body`.
    pub fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Value> {
        let sent = self
            .agent
            .post(format!("{}{path}", self.url))
            .send_json(body);
        answer(&self.url, sent)
    }

    /// The domain on its chain.
    pub async fn domain(&self, payer: &Payer) -> anyhow::Result<Domain> {
        let rpc = self.rpc(payer)?;
        Domain::read(rpc, self.facts.place())
            .await
            .map_err(|error| failure(Exit::Failure, chain(&error)))
    }

    fn rpc(&self, payer: &Payer) -> anyhow::Result<Rpc> {
        let named = self.facts.contracts.rpc.as_deref();
        match payer.chain.as_deref().or(named) {
            Some(url) => Ok(Rpc::new(url)),
            None => {
                let id = self.facts.signing.chain_id;
                let words =
                    format!("the domain does not say how to reach its chain {id}: --chain URL");
                Err(failure(Exit::Usage, words))
            }
        }
    }
}

/// The wallet of this home, on the domain's chain.
pub async fn wallet(context: &Context, payer: &Payer, domain: &Domain) -> anyhow::Result<Wallet> {
    let key = key(context, payer)?;
    let opened = Wallet::open(domain.rpc.clone(), domain.place.chain_id, key).await;
    opened.map_err(|error| failure(Exit::Failure, chain(&error)))
}

/// The wallet of this home, which must be there.
pub fn wallet_file(context: &Context) -> anyhow::Result<PathBuf> {
    let path = context.home.wallet();
    path.exists().then_some(path).ok_or_else(|| {
        let words = "there is no wallet here yet; `gaia wallet new` makes one";
        failure(Exit::Failure, words)
    })
}

/// Whose wallet it is; no password is needed for that.
pub fn wallet_address(context: &Context) -> anyhow::Result<Address> {
    let address = read_address(&wallet_file(context)?);
    address.map_err(|error| failure(Exit::Failure, chain(&error)))
}

/// The key of the wallet.
pub fn key(context: &Context, payer: &Payer) -> anyhow::Result<NodeKey> {
    let path = wallet_file(context)?;
    let password = own_password(&passwords(context, payer.password_file.as_deref()))?;
    load_key(&path, &password).map_err(|error| failure(Exit::Failure, chain(&error)))
}

/// Where the wallet's password comes from: beside the node's, never the same by itself.
pub fn passwords<'a>(
    context: &'a Context,
    file: Option<&'a std::path::Path>,
) -> PasswordSources<'a> {
    use std::io::IsTerminal;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    PasswordSources {
        file,
        environment: context.environment.password.as_ref(),
        interactive: is_terminal && !context.terminal.json,
        generated: generated_file(&context.environment.user_config, &context.home.wallet()),
    }
}

fn get(agent: &Agent, url: &str, path: &str) -> anyhow::Result<Value> {
    answer(url, agent.get(format!("{url}{path}")).call())
}

fn answer(
    url: &str,
    reply: Result<ureq::http::Response<Body>, ureq::Error>,
) -> anyhow::Result<Value> {
    let reply = reply.map_err(|error| {
        failure(
            Exit::Failure,
            format!(
                "failed to reach the domain at {url}: {error}; is that its address, and does its gateway run?"
            ),
        )
    })?;
    let status = reply.status();
    let mut text = String::new();
    let read = reply
        .into_body()
        .into_reader()
        .take(ANSWER_BYTES_MAX)
        .read_to_string(&mut text);
    read.map_err(|error| {
        failure(
            Exit::Failure,
            format!("the answer of {url} broke off: {error}"),
        )
    })?;
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    if status.is_success() {
        return parsed
            .ok_or_else(|| failure(Exit::Failure, format!("what {url} answers is not JSON")));
    }
    let message = parsed
        .as_ref()
        .and_then(|json| json["error"]["message"].as_str())
        .unwrap_or(text.trim());
    let message: String = message.chars().take(500).collect();
    Err(failure(
        Exit::Failure,
        format!("the domain answered {status}: {message}"),
    ))
}

/// The same error for a chain's and a wallet's: one line with all causes.
pub fn failed(error: impl std::error::Error) -> anyhow::Error {
    failure(Exit::Failure, chain(&error))
}
