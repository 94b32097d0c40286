//! Puts the gateway together, and lets it run until it is told to stop.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use gaia_chain::Rpc;
use gaia_chain::stake::StakeVault;
use gaia_domain::{Deployment, DomainFile, Folder, LEDGER_VARIABLE, LedgerAddress};
use gaia_gateway::chain::{CHAIN_PATH, Chain, ChainConfig, ConnectError, SHARES_PATH, Target};
use gaia_gateway::members::{ChainStakes, STAKE_AGE_MAX, STAKES_INTERVAL};
use gaia_gateway::{
    Config, CurrentPolicy, DomainInfo, Gateway, Limits, Members, MembersConfig, MembersLimits,
    Notices, StartError,
};
use gaia_ingress::TlsFiles;
use gaia_keystore::NodeKey;
use gaia_ledger_store::{Ledger, Location};
use gaia_registry::policy::PolicyError;
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

/// How long the chain is waited for at the start. It is asked again and again after that.
const CHAIN_WAIT: Duration = Duration::from_secs(10);

/// What all parts are made of.
struct Domain<'a> {
    folder: &'a Folder,
    file: DomainFile,
    deployment: Deployment,
    key: NodeKey,
    ledger: Ledger,
    policy: CurrentPolicy,
    notices: Notices,
}

/// Runs the gateway of this folder.
pub async fn run(
    folder: &Folder,
    file: DomainFile,
    deployment: Deployment,
    key: NodeKey,
) -> Result<(), End> {
    let domain = Domain {
        policy: read_policy(&folder.policy())?.into(),
        ledger: open_ledger(folder, &file)?,
        notices: Notices::default(),
        folder,
        file,
        deployment,
        key,
    };
    let chain = domain.chain().await?;
    let members = domain.members().await?;
    let operator_token = place::token(&folder.operator_token())?;
    let config = domain.config(&members, &operator_token)?;
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
        url: url(&domain.file, &gateway),
        own_url: Some(own_url(&domain.file, gateway.local_addr())),
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

/// Where users and nodes reach the domain.
fn url(file: &DomainFile, gateway: &Gateway) -> String {
    match file.listen.port() {
        // Nobody could have written down which port it would be.
        0 => own_url(file, gateway.local_addr()),
        _ => file.urls.first().cloned().unwrap_or_default(),
    }
}

/// Where this gateway is reached from its own machine, whatever `urls` lists first.
fn own_url(file: &DomainFile, mut at: SocketAddr) -> String {
    let scheme = if file.tls.is_some() { "https" } else { "http" };
    match at.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => at.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => at.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("{scheme}://{at}")
}

fn open_ledger(folder: &Folder, file: &DomainFile) -> Result<Ledger, End> {
    let variable = std::env::var(LEDGER_VARIABLE).ok().map(LedgerAddress::new);
    let address = file.ledger_in(folder, variable);
    let address = address.map_err(|error| End::config(&error))?;
    Ledger::open(Location::parse(address.reveal())).map_err(|error| End::failure(&error))
}

/// The policy at the start.
#[derive(Debug, thiserror::Error)]
enum PolicyFileError {
    #[error("failed to read `{path}`; gaia domain init makes one", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("`{path}` cannot be used", path = .0.display())]
    Form(PathBuf, #[source] PolicyError),
}

fn read_policy(path: &Path) -> Result<Policy, End> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| End::config(&PolicyFileError::Read(path.to_owned(), error)))?;
    Policy::parse(&text)
        .map_err(|error| End::config(&PolicyFileError::Form(path.to_owned(), error)))
}

impl Domain<'_> {
    /// The chain. One that is out of reach is looked for while the gateway serves; one that says something else than
    /// the domain's files stops the start.
    async fn chain(&self) -> Result<Arc<Chain>, End> {
        let file = &self.file;
        let chain = Chain::new(ChainConfig {
            target: Target {
                rpc: Rpc::new(&file.chain.rpc),
                place: gaia_chain::Place {
                    chain_id: self.deployment.chain_id,
                    registry: self.deployment.registry,
                    domain_id: self.deployment.domain_id,
                },
                prices: Some(file.prices().map_err(|error| End::config(&error))?),
                settles: file.chain.settles.then(|| self.key.clone()),
                confirmations: file.chain.confirmations,
            },
            ledger: self.ledger.clone(),
            poll: Duration::from_secs(file.chain.poll_seconds),
            settle_interval: SETTLE_INTERVAL,
            notices: self.notices.clone(),
        });
        match tokio::time::timeout(CHAIN_WAIT, chain.connect()).await {
            Ok(Err(error @ ConnectError::Prices(_))) => Err(End::config(&error)),
            Ok(Err(error)) if !error.is_passing() => Err(End::failure(&error)),
            // What it was told says why; it is asked again.
            Ok(Err(_) | Ok(())) => Ok(chain),
            Err(_) => {
                tracing::warn!("the chain has not answered yet: the gateway starts without it");
                Ok(chain)
            }
        }
    }

    async fn members(&self) -> Result<Members, End> {
        let (file, deployment) = (&self.file, &self.deployment);
        let rpc = Rpc::new(&file.chain.rpc);
        let vault = StakeVault::new(rpc, deployment.stake, deployment.domain_id);
        let opened = Members::open(MembersConfig {
            place: self.place(),
            key: self.key.clone(),
            ledger: self.ledger.clone(),
            policy: self.policy.clone(),
            policy_file: Some(self.folder.policy()),
            rules: Rules::default(),
            knowledge: file.knowledge.clone(),
            canaries: file.canaries.clone(),
            canary_interval: file.canary_interval,
            stakes: Some(Arc::new(ChainStakes::new(vault, STAKE_AGE_MAX))),
            stakes_interval: STAKES_INTERVAL,
            trust: Trust::public(),
            dials_private: file.dials_private,
            notices: self.notices.clone(),
            limits: MembersLimits::default(),
        });
        opened.await.map_err(|error| End::failure(&error))
    }

    fn place(&self) -> Place {
        Place {
            signing: self.deployment.signing_domain(),
            domain_id: self.deployment.domain_id,
        }
    }

    fn config(&self, members: &Members, operator_token: &str) -> Result<Config, End> {
        let (folder, file) = (self.folder, &self.file);
        Ok(Config {
            listen: file.listen,
            tls: file.tls.as_ref().map(|tls| TlsFiles {
                certificate: folder.at(&tls.certificate),
                key: folder.at(&tls.key),
            }),
            ledger: self.ledger.clone(),
            place: self.place(),
            info: self.info(),
            key: self.key.clone(),
            prices: file.prices().map_err(|error| End::config(&error))?,
            models: counters::models(folder, file)?,
            split: file.split.rule(),
            operator_token: Some(B256::from_slice(&Sha256::digest(operator_token))),
            prober: Arc::new(members.clone()),
            balancer: gaia_balancer::Config {
                // An answer that is not streamed says nothing before its end.
                first_byte_max: NODE_ANSWER_MAX,
                ..gaia_balancer::Config::default()
            },
            notices: self.notices.clone(),
            limits: Limits {
                requests_running_max: file.requests_running_max,
                ..Limits::default()
            },
        })
    }

    fn info(&self) -> DomainInfo {
        let (file, deployment) = (&self.file, &self.deployment);
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
            policy: self.policy.clone(),
            contracts,
        }
    }
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
