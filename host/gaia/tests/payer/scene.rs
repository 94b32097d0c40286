//! A chain of one's own, a domain's contracts on it, a gateway that follows it: all real.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256, U256};
use alloy_signer::SignerSync as _;
use gaia_chain::contracts::Token;
use gaia_chain::{Domain, Rpc, Wallet};
use gaia_domain::Deployment;
use gaia_gateway::chain::{CHAIN_PATH, Chain, ChainConfig, SHARES_PATH, Target};
use gaia_gateway::{Config, DomainInfo, Gateway, Limits, NodeInfo, Notices, Prober, SplitRule};
use gaia_keystore::NodeKey;
use gaia_ledger::price::{ModelId, ModelPrice};
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{NanoUsd, Party, PriceTable, Role};
use gaia_ledger_store::{Ledger, Location};
use gaia_registry::{Place, Signed, Statement};
use gaia_statements::{Signature, SigningDomain};
use gaia_tunnel::Channel;
use serde_json::{Value, json};

use crate::support::Sandbox;

/// Accounts of every anvil: deploys; signs for the domain; pays; serves.
pub const OWNER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
pub const GATEWAY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
pub const PAYER: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
pub const NODE: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";

pub fn key(text: &str) -> NodeKey {
    NodeKey::from_bytes(&text.parse::<B256>().unwrap()).unwrap()
}

pub fn with_password() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("GAIA_PASSWORD", Path::new("correct horse"));
    sandbox
}

pub fn signed<S: Statement>(statement: S, domain: SigningDomain, by: &str) -> Signed<S> {
    Signed {
        domain,
        signature: signature(&statement.digest(&domain), by),
        statement,
    }
}

pub fn signature(digest: &B256, by: &str) -> Signature {
    let signature = key(by).signer().sign_hash_sync(digest).unwrap();
    Signature::from_bytes(&signature.as_bytes()).unwrap()
}

/// The process, and where it answers.
pub struct Anvil(Child, pub String);

impl Drop for Anvil {
    fn drop(&mut self) {
        let _it_may_be_over = self.0.kill();
        let _it_may_be_over = self.0.wait();
    }
}

fn script() -> Command {
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(project.join("scripts/contracts.sh"))
}

pub fn anvil() -> Anvil {
    let mut command = script();
    command.args(["anvil", "--host", "127.0.0.1", "--port", "0"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let found = lines.find_map(|line| {
        line.unwrap()
            .strip_prefix("Listening on ")
            .map(str::to_owned)
    });
    std::thread::spawn(move || lines.for_each(drop));
    Anvil(child, format!("http://{}", found.unwrap()))
}

/// No nodes, nobody to ask.
struct Nobody;

impl Prober for Nobody {
    fn probe(
        &self,
        _node: NodeInfo,
        _channel: Channel,
    ) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(std::future::ready(false))
    }
}

pub fn config(ledger: Ledger, deployment: &Deployment) -> Config {
    let price = ModelPrice {
        model: ModelId::of("model"),
        input: NanoUsd::new(1).unwrap(),
        cached: NanoUsd::new(1).unwrap(),
        output: NanoUsd::new(1).unwrap(),
    };
    let domain = Party {
        role: Role::Domain,
        address: Address::repeat_byte(0xd0),
    };
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        ledger,
        place: Place {
            signing: deployment.signing_domain(),
            domain_id: deployment.domain_id,
        },
        info: DomainInfo::default(),
        key: key(GATEWAY),
        prices: PriceTable::new(1, vec![price]).unwrap(),
        models: Vec::new(),
        split: SplitRule {
            node_operator: BasisPoints(9_000),
            others: vec![(domain, BasisPoints(1_000))],
        },
        operator_token: None,
        notices: Notices::default(),
        prober: Arc::new(Nobody),
        balancer: gaia_balancer::Config::default(),
        limits: Limits::default(),
    }
}

/// Where the contracts of a new domain on `anvil` are.
pub async fn deployed(anvil: &Anvil, folder: &Path) -> Deployment {
    let file = folder.join("deployment.json");
    let mut deploy = script();
    deploy
        .args(["deploy", "--rpc", &anvil.1, "--out"])
        .arg(&file);
    deploy.env("GAIA_GATEWAY", key(GATEWAY).address().to_string());
    // One at a time: a deployment writes into contracts/out.
    static DEPLOYS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = DEPLOYS.lock().await;
    assert!(deploy.status().unwrap().success());
    Deployment::read(&file).unwrap()
}

/// A domain's contracts on a chain of its own, and books beside them.
pub struct Ground {
    pub anvil: Anvil,
    pub deployment: Deployment,
    pub ledger: Ledger,
    pub notices: Notices,
    _folder: tempfile::TempDir,
}

impl Ground {
    pub async fn new() -> Self {
        let anvil = anvil();
        let folder = tempfile::tempdir().unwrap();
        Self {
            deployment: deployed(&anvil, folder.path()).await,
            ledger: Ledger::open(Location::File(folder.path().join("ledger.sqlite"))).unwrap(),
            notices: Notices::default(),
            anvil,
            _folder: folder,
        }
    }

    /// Where the domain is on the chain.
    pub fn place(&self) -> gaia_chain::Place {
        gaia_chain::Place {
            chain_id: self.deployment.chain_id,
            registry: self.deployment.registry,
            domain_id: self.deployment.domain_id,
        }
    }

    /// The chain as a gateway follows it by way of `rpc`.
    pub fn chain(
        &self,
        rpc: &str,
        settles: Option<NodeKey>,
        prices: Option<PriceTable>,
    ) -> Arc<Chain> {
        Chain::new(ChainConfig {
            target: Target {
                rpc: Rpc::new(rpc),
                place: self.place(),
                prices,
                settles,
                confirmations: 0,
            },
            ledger: self.ledger.clone(),
            poll: Duration::from_millis(100),
            settle_interval: Duration::from_millis(200),
            notices: self.notices.clone(),
        })
    }

    /// A gateway over it; where it answers.
    pub async fn serve(&self, chain: Arc<Chain>) -> String {
        let config = config(self.ledger.clone(), &self.deployment);
        let mut gateway = Gateway::bind(config).await.unwrap();
        gateway.mount(CHAIN_PATH, chain.clone());
        gateway.mount(SHARES_PATH, chain.clone());
        let url = format!("http://{}", gateway.local_addr());
        tokio::spawn(chain.run());
        tokio::spawn(gateway.serve(std::future::pending()));
        url
    }

    /// What `owner` can pay for gas with.
    pub async fn set_coin(&self, owner: Address, wei: u64) {
        let rpc = Rpc::new(&self.anvil.1);
        let params = json!([owner, U256::from(wei)]);
        let _nothing: Value = rpc.ask("anvil_setBalance", params).await.unwrap();
    }
}

/// A domain with its gateway, on a chain of its own.
pub struct Scene {
    pub ground: Ground,
    pub url: String,
    pub domain: Domain,
}

impl Scene {
    pub async fn new() -> Self {
        let ground = Ground::new().await;
        let rpc = Rpc::new(&ground.anvil.1);
        let domain = Domain::read(rpc, ground.place()).await.unwrap();
        let chain = ground.chain(&ground.anvil.1, Some(key(GATEWAY)), None);
        let url = ground.serve(chain).await;
        Self {
            ground,
            url,
            domain,
        }
    }

    pub async fn mint(&self, dollars: u64) {
        let wallet = Wallet::open(self.domain.rpc.clone(), 31337, key(OWNER))
            .await
            .unwrap();
        let call = Token::mintCall {
            account: key(PAYER).address(),
            baseUnits: U256::from(dollars * 1_000_000),
        };
        let stable = self.domain.asset("stable").unwrap().address;
        wallet.send(stable, call).await.unwrap();
    }

    /// The payer's home.
    pub fn payer(&self) -> Sandbox {
        let mut sandbox = with_password();
        sandbox.set("GAIA_CHAIN", Path::new(&self.ground.anvil.1));
        sandbox
            .gaia_with_input(&["wallet", "import", "--hex"], PAYER)
            .ok();
        sandbox
    }
}

/// What is answered at `url`, to who has `token`, and with which status.
pub fn ask(url: &str, token: Option<&str>) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut asked = agent.get(url);
    if let Some(token) = token {
        asked = asked.header("authorization", format!("Bearer {token}"));
    }
    let mut reply = asked.call().unwrap();
    let status = reply.status().as_u16();
    (status, reply.body_mut().read_json().unwrap())
}
