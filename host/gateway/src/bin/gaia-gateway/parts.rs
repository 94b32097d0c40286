//! Puts the gateway together, and lets it run until it is told to stop.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use gaia_chain::{Domain, Rpc, Wallet, registry};
use gaia_domain::{Deployment, DomainFile, Folder};
use gaia_gateway::chain::{CHAIN_PATH, Chain, ChainConfig, SHARES_PATH};
use gaia_gateway::{
    Config, DomainInfo, Gateway, Limits, Members, MembersConfig, SplitRule, StartError,
};
use gaia_ingress::TlsFiles;
use gaia_keystore::NodeKey;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{Party, Role};
use gaia_ledger_store::{Ledger, Location};
use gaia_registry::{Place, Policy, Rules};
use gaia_tunnel::Trust;
use gaia_tunnel::messages::JOIN_PATH;
use sha2::{Digest, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::counters;
use crate::end::End;
use crate::place;

/// Pause between two settlements. So late an epoch may be opened.
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);

/// How long a node may take to the first byte of an answer, which is all of it where it is not streamed.
const NODE_ANSWER_MAX: Duration = Duration::from_secs(300);

/// Runs the gateway of this folder.
pub async fn run(
    folder: &Folder,
    file: DomainFile,
    deployment: Deployment,
    key: NodeKey,
) -> Result<(), End> {
    let ledger = open_ledger(folder, &file)?;
    let chain = open_chain(&file, &deployment, &ledger, &key).await?;
    let policy = read_policy(&folder.policy())?;
    let explained = policy.explain();
    let members = members(&file, &deployment, &ledger, &key, policy).await?;
    let operator_token = token()?;
    let config = config(folder, &file, &deployment, explained, ledger, key, &members)?;
    let config = Config {
        operator_token: Some(B256::from_slice(&Sha256::digest(&operator_token))),
        ..config
    };
    let mut gateway = Gateway::bind(config).await.map_err(|error| match error {
        StartError::Bind { .. } => End::port(&error),
        StartError::Config(_) | StartError::Tls(_) => End::config(&error),
        StartError::Random => End::failure(&error),
    })?;
    members.attach(gateway.nodes());
    gateway.mount(CHAIN_PATH, chain.clone());
    gateway.mount(SHARES_PATH, chain.clone());
    for path in [JOIN_PATH, gaia_tunnel::PATH] {
        gateway.mount(path, Arc::new(members.clone()));
    }
    let said = gaia_domain::Gateway {
        pid: std::process::id(),
        url: url(&file, &gateway),
        operator_token,
    };
    place::tell(&folder.state(), &said).map_err(|error| End::failure(&error))?;
    tracing::info!(url = said.url, "the gateway answers");
    let mut tasks = JoinSet::new();
    tasks.spawn(chain.run());
    tasks.spawn(async move { members.run().await });
    gateway.serve(told_to_stop()).await;
    tracing::info!("the gateway has stopped");
    Ok(())
}

fn url(file: &DomainFile, gateway: &Gateway) -> String {
    let scheme = if file.tls.is_some() { "https" } else { "http" };
    match file.listen.port() {
        // Nobody could have written down which port it would be.
        0 => format!("{scheme}://{}", gateway.local_addr()),
        _ => file.urls.first().cloned().unwrap_or_default(),
    }
}

fn open_ledger(folder: &Folder, file: &DomainFile) -> Result<Ledger, End> {
    let location = match Location::parse(&file.ledger) {
        Location::File(path) => Location::File(folder.at(&path)),
        other => other,
    };
    Ledger::open(location).map_err(|error| End::failure(&error))
}

async fn open_chain(
    file: &DomainFile,
    deployment: &Deployment,
    ledger: &Ledger,
    key: &NodeKey,
) -> Result<Arc<Chain>, End> {
    let failed = |error: gaia_chain::ChainError| End::failure(&error);
    let rpc = Rpc::new(&file.chain.rpc);
    let place = gaia_chain::Place {
        chain_id: deployment.chain_id,
        registry: deployment.registry,
        domain_id: deployment.domain_id,
    };
    let domain = Domain::read(rpc.clone(), place).await.map_err(failed)?;
    check_prices(file, &domain).await?;
    let wallet = match file.chain.settles {
        true => Some(
            Wallet::open(rpc, place.chain_id, key.clone())
                .await
                .map_err(failed)?,
        ),
        false => None,
    };
    Ok(Chain::new(ChainConfig {
        domain,
        ledger: ledger.clone(),
        confirmations: file.chain.confirmations,
        wallet,
        poll: Duration::from_secs(file.chain.poll_seconds),
        settle_interval: SETTLE_INTERVAL,
    }))
}

/// A receipt names a price table; what is not on the chain would answer no challenge.
async fn check_prices(file: &DomainFile, domain: &Domain) -> Result<(), End> {
    let table = file.prices().map_err(|error| End::config(&error))?;
    let published = registry::price_table(domain, table.version())
        .await
        .map_err(|error| End::failure(&error))?;
    match published == table.hash() {
        true => Ok(()),
        false => Err(End::config(&PricesUnpublished(table.version()))),
    }
}

/// The chain does not know the prices.
#[derive(Debug, thiserror::Error)]
#[error(
    "the prices in domain.toml are not what the chain has as version {0}: gaia domain publish-prices puts them there, with the owner's key"
)]
struct PricesUnpublished(u32);

fn read_policy(path: &Path) -> Result<Policy, End> {
    let text = std::fs::read_to_string(path).map_err(|error| End::config(&error))?;
    Policy::parse(&text).map_err(|error| End::config(&error))
}

async fn members(
    file: &DomainFile,
    deployment: &Deployment,
    ledger: &Ledger,
    key: &NodeKey,
    policy: Policy,
) -> Result<Members, End> {
    let opened = Members::open(MembersConfig {
        place: place_of(deployment),
        key: key.clone(),
        ledger: ledger.clone(),
        policy,
        rules: Rules::default(),
        canaries: file.canaries.clone(),
        canary_interval: file.canary_interval,
        stakes: None,
        trust: Trust::public(),
        dials_private: file.dials_private,
    });
    opened.await.map_err(|error| End::failure(&error))
}

fn place_of(deployment: &Deployment) -> Place {
    Place {
        signing: deployment.signing_domain(),
        domain_id: deployment.domain_id,
    }
}

fn config(
    folder: &Folder,
    file: &DomainFile,
    deployment: &Deployment,
    policy: Vec<String>,
    ledger: Ledger,
    key: NodeKey,
    members: &Members,
) -> Result<Config, End> {
    Ok(Config {
        listen: file.listen,
        tls: file.tls.as_ref().map(|tls| TlsFiles {
            certificate: folder.at(&tls.certificate),
            key: folder.at(&tls.key),
        }),
        ledger,
        place: place_of(deployment),
        info: info(file, deployment, policy),
        key,
        prices: file.prices().map_err(|error| End::config(&error))?,
        models: counters::models(folder, file)?,
        split: split(file),
        operator_token: None,
        prober: Arc::new(members.clone()),
        balancer: gaia_balancer::Config {
            // An answer that is not streamed says nothing before its end.
            first_byte_max: NODE_ANSWER_MAX,
            ..gaia_balancer::Config::default()
        },
        limits: Limits {
            requests_running_max: file.requests_running_max,
            ..Limits::default()
        },
    })
}

fn info(file: &DomainFile, deployment: &Deployment, policy: Vec<String>) -> DomainInfo {
    let contracts = serde_json::to_value(deployment).unwrap_or_default();
    let mut contracts = contracts.as_object().cloned().unwrap_or_default();
    if let Some(rpc) = &file.chain.public_rpc {
        contracts.insert("rpc".to_owned(), rpc.as_str().into());
    }
    DomainInfo {
        name: file.name.clone(),
        gateways: file.urls.clone(),
        genesis: deployment.genesis,
        epoch_seconds: deployment.epoch_seconds,
        policy,
        contracts,
    }
}

fn split(file: &DomainFile) -> SplitRule {
    let party = |role, address| Party { role, address };
    let own = (
        party(Role::Domain, file.split.domain_address),
        BasisPoints(file.split.domain),
    );
    let own = (file.split.domain > 0).then_some(own);
    let others = file.split.others.iter();
    let others = others.map(|other| (party(other.role, other.address), BasisPoints(other.part)));
    SplitRule {
        node_operator: BasisPoints(file.split.node_operator),
        others: own.into_iter().chain(others).collect(),
    }
}

/// A token for the operator's commands, new with every start.
fn token() -> Result<String, End> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| End::failure(&error))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Ready at the first SIGTERM or SIGINT.
async fn told_to_stop() {
    let wait = |kind| -> io::Result<_> { signal(kind) };
    match (wait(SignalKind::terminate()), wait(SignalKind::interrupt())) {
        (Ok(mut term), Ok(mut interrupt)) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        // Without signals only SIGKILL ends it; the ledger stands that.
        _ => std::future::pending().await,
    }
}
