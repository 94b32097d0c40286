//! What a payer does, from a key to a refund: the real command, a real gateway, the real contracts on an anvil.

#![expect(clippy::unwrap_used, reason = "a test that panics fails with its line")]

mod support;

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
use gaia_gateway::chain::{CHAIN_PATH, Chain, ChainConfig, SHARES_PATH, Target, note_join};
use gaia_gateway::{Config, DomainInfo, Gateway, Limits, NodeInfo, Prober, SplitRule};
use gaia_keystore::NodeKey;
use gaia_ledger::price::{ModelId, ModelPrice};
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{NanoUnits, NanoUsd, Party, PriceTable, Receipt, Role, SignedReceipt};
use gaia_ledger_store::{Ledger, Location};
use gaia_registry::{JoinRequest, NodeJoin, Place, Signed, Statement};
use gaia_statements::{Signature, SigningDomain, TokenCounts};
use gaia_tunnel::Channel;
use serde_json::{Value, json};
use support::Sandbox;

/// Accounts of every anvil: deploys; signs for the domain; pays; serves.
const OWNER: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const GATEWAY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const PAYER: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
const NODE: &str = "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6";

fn key(text: &str) -> NodeKey {
    NodeKey::from_bytes(&text.parse::<B256>().unwrap()).unwrap()
}

fn with_password() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("GAIA_PASSWORD", Path::new("correct horse"));
    sandbox
}

fn signed<S: Statement>(statement: S, domain: SigningDomain, by: &str) -> Signed<S> {
    Signed {
        domain,
        signature: signature(&statement.digest(&domain), by),
        statement,
    }
}

fn signature(digest: &B256, by: &str) -> Signature {
    let signature = key(by).signer().sign_hash_sync(digest).unwrap();
    Signature::from_bytes(&signature.as_bytes()).unwrap()
}

#[test]
fn a_wallet_is_made_once_and_shown_to_who_says_so() {
    let sandbox = with_password();
    let made = sandbox.gaia(&["wallet", "new"]).ok();
    let address = sandbox.gaia(&["wallet", "show"]).ok().trim().to_owned();
    assert!(made.starts_with(&address), "{made}");
    let again = sandbox.gaia(&["wallet", "new"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains(&address), "{}", again.err);
    let refused = sandbox.gaia(&["wallet", "export"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    let shown = sandbox.gaia(&["wallet", "export", "--yes"]).ok();
    assert_eq!(key(shown.trim()).address().to_string(), address);
    assert!(!made.contains(shown.trim()));
}

#[test]
fn a_key_is_taken_over_without_being_repeated() {
    let sandbox = with_password();
    let wrong = sandbox.gaia_with_input(&["wallet", "import", "--hex"], "4711secret");
    assert_eq!(wrong.code, 2);
    assert!(!format!("{}{}", wrong.out, wrong.err).contains("4711secret"));
    let taken = sandbox
        .gaia_with_input(&["wallet", "import", "--hex"], PAYER)
        .ok();
    assert!(taken.contains(&key(PAYER).address().to_string()));
    let other = with_password();
    let keystore = sandbox.path("home/wallet.json");
    other
        .gaia(&["wallet", "import", keystore.to_str().unwrap()])
        .ok();
    assert_eq!(
        other.gaia(&["wallet", "show"]).ok(),
        sandbox.gaia(&["wallet", "show"]).ok()
    );
}

#[test]
fn amounts_are_exact_or_refused() {
    let sandbox = with_password();
    for amount in ["1e3", "1,5", "-1", "0.0000000001", "99999999999999"] {
        let refused = sandbox.gaia(&["deposit", "http://127.0.0.1:1", "--", amount]);
        assert_eq!(refused.code, 2, "{amount}: {}", refused.err);
    }
}

fn receipt(cost: u64) -> SignedReceipt {
    let domain = SigningDomain {
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(7),
    };
    let usd = |nano| NanoUsd::new(nano).unwrap();
    let receipt = Receipt {
        domain_id: B256::repeat_byte(1),
        request_id: B256::repeat_byte(2),
        key_id: B256::repeat_byte(3),
        payer: key(PAYER).address(),
        asset: Address::repeat_byte(4),
        node: key(NODE).address(),
        operator: key(NODE).address(),
        model: ModelId::of("model"),
        price_version: 1,
        tokens: TokenCounts::default(),
        cost: usd(cost),
        key_cumulative: usd(10),
        account_cumulative: usd(20),
        node_cumulative: NanoUnits::new(5).unwrap(),
        epoch: gaia_ledger::account::EpochNumber(1),
        time: gaia_ledger::account::Timestamp(1),
    };
    let digest = receipt.digest(&domain);
    SignedReceipt {
        domain,
        receipt,
        node_signature: signature(&digest, NODE),
        gateway_signature: signature(&digest, GATEWAY),
    }
}

#[test]
fn a_receipt_is_checked_without_asking_anybody() {
    let sandbox = with_password();
    let verify = |receipt: &SignedReceipt| {
        let text = serde_json::to_string(receipt).unwrap();
        sandbox.gaia_with_input(&["receipt", "verify", "-", "--json"], &text)
    };
    let verdict = |checks: &Value, what: &str| {
        let checks = checks["checks"].as_array().unwrap().iter();
        checks.clone().find(|check| check["what"] == what).unwrap()["holds"].clone()
    };
    let checks = verify(&receipt(5)).json();
    assert_eq!(verdict(&checks, "node's signature"), "holds");
    assert_eq!(verdict(&checks, "sums"), "holds");
    // Whose gateway that is, only the chain knows.
    assert_eq!(verdict(&checks, "gateway's signature"), "unknown");
    let mut altered = receipt(5);
    altered.receipt.cost = NanoUsd::new(6).unwrap();
    let refused = verify(&altered);
    assert_eq!(refused.code, 1);
    let checks = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(verdict(&checks, "node's signature"), "fails");
    assert_eq!(verify(&receipt(11)).code, 1, "a sum without its part");
}

struct Anvil(Child, String);

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

fn anvil() -> Anvil {
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

fn config(ledger: Ledger, deployment: &Deployment) -> Config {
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
        notices: gaia_gateway::Notices::default(),
        prober: Arc::new(Nobody),
        balancer: gaia_balancer::Config::default(),
        limits: Limits::default(),
    }
}

/// Where the contracts of a new domain on `anvil` are.
async fn deployed(anvil: &Anvil, folder: &Path) -> Deployment {
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

fn place_of(deployment: &Deployment) -> gaia_chain::Place {
    gaia_chain::Place {
        chain_id: deployment.chain_id,
        registry: deployment.registry,
        domain_id: deployment.domain_id,
    }
}

/// A domain with its gateway, on a chain of its own.
struct Scene {
    anvil: Anvil,
    url: String,
    domain: Domain,
    ledger: Ledger,
    _folder: tempfile::TempDir,
}

async fn scene() -> Scene {
    let anvil = anvil();
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployed(&anvil, folder.path()).await;
    let ledger = Ledger::open(Location::File(folder.path().join("ledger.sqlite"))).unwrap();
    let rpc = Rpc::new(&anvil.1);
    let place = place_of(&deployment);
    let domain = Domain::read(rpc.clone(), place).await.unwrap();
    let chain = Chain::new(ChainConfig {
        target: Target {
            rpc,
            place,
            prices: None,
            settles: Some(key(GATEWAY)),
            confirmations: 0,
        },
        ledger: ledger.clone(),
        poll: Duration::from_millis(100),
        settle_interval: Duration::from_millis(200),
        notices: gaia_gateway::Notices::default(),
    });
    let mut gateway = Gateway::bind(config(ledger.clone(), &deployment))
        .await
        .unwrap();
    gateway.mount(CHAIN_PATH, chain.clone());
    gateway.mount(SHARES_PATH, chain.clone());
    let url = format!("http://{}", gateway.local_addr());
    tokio::spawn(chain.run());
    tokio::spawn(gateway.serve(std::future::pending()));
    Scene {
        anvil,
        url,
        domain,
        ledger,
        _folder: folder,
    }
}

impl Scene {
    async fn mint(&self, dollars: u64) {
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

    /// What the account of `token` is told, and with which status.
    fn account(&self, token: &str) -> (u16, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let asked = agent
            .get(format!("{}/gaia/v1/account", self.url))
            .header("authorization", format!("Bearer {token}"))
            .call();
        let mut reply = asked.unwrap();
        (
            reply.status().as_u16(),
            reply.body_mut().read_json().unwrap(),
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_deposit_to_a_token_to_a_refund() {
    let scene = scene().await;
    scene.mint(100).await;
    let mut sandbox = with_password();
    sandbox.set("GAIA_CHAIN", Path::new(&scene.anvil.1));
    sandbox
        .gaia_with_input(&["wallet", "import", "--hex"], PAYER)
        .ok();
    let early = sandbox.gaia(&["token", "new", &scene.url]);
    assert!(early.err.contains("Nothing was deposited"), "{}", early.err);
    let deposited = sandbox
        .gaia(&["deposit", &scene.url, "12.50", "--json"])
        .json();
    assert_eq!(
        (&deposited["balance"], &deposited["credited"]),
        (&json!("12.5"), &json!(true))
    );
    let made = sandbox
        .gaia(&[
            "token", "new", &scene.url, "--limit", "5", "--name", "laptop", "--json",
        ])
        .json();
    let token = made["token"].as_str().unwrap();
    let (status, account) = scene.account(token);
    assert_eq!(
        (status, &account["heldUnits"]),
        (200, &json!(12_500_000_000_u64))
    );
    assert_eq!(account["limitNanoUsd"], json!(5_000_000_000_u64));
    let kept = std::fs::read_to_string(sandbox.path("home/tokens.json")).unwrap();
    assert!(!kept.contains(&token[5..]), "the token itself is kept");
    assert!(sandbox.gaia(&["token", "list"]).ok().contains("laptop"));
    sandbox.gaia(&["token", "revoke", "laptop"]).ok();
    assert_eq!(scene.account(token).0, 401);
    let refund = sandbox
        .gaia(&["refund", &scene.url, "2.5", "--json"])
        .json();
    assert_eq!(
        (&refund["balance"], &refund["askedBack"]),
        (&json!("12.5"), &json!("2.5"))
    );
    let early = sandbox.gaia(&["refund", &scene.url, "--draw"]);
    assert!(early.err.contains("wait until then"), "{}", early.err);
    let nothing = sandbox.gaia(&["claim", &scene.url]).ok();
    assert!(nothing.contains("no share"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_told_of_nodes_that_join() {
    let scene = scene().await;
    let place = scene.domain.place;
    let node = key(NODE).address();
    let join = NodeJoin {
        domain_id: place.domain_id,
        node,
        operator: node,
        config_hash: B256::ZERO,
        endpoint: String::new(),
        nonce: 1,
        expiry: u64::MAX,
    };
    let request = JoinRequest {
        join: signed(join, scene.domain.signing_domain(), NODE),
        consent: None,
    };
    note_join(&scene.ledger, &request).await.unwrap();
    while !gaia_chain::registry::was_admitted(&scene.domain, node)
        .await
        .unwrap()
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What comes to `listener` goes to `to`, both ways.
async fn pass_on(listener: tokio::net::TcpListener, to: String) {
    loop {
        let (mut inside, _) = listener.accept().await.unwrap();
        let to = to.clone();
        tokio::spawn(async move {
            let mut outside = tokio::net::TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_its_chain_and_finds_it_later() {
    let anvil = anvil();
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployed(&anvil, folder.path()).await;
    let ledger = Ledger::open(Location::File(folder.path().join("ledger.sqlite"))).unwrap();
    // A port where nobody listens yet.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = port.local_addr().unwrap();
    drop(port);
    let notices = gaia_gateway::Notices::default();
    let target = |prices| Target {
        rpc: Rpc::new(&format!("http://{at}")),
        place: place_of(&deployment),
        prices,
        settles: None,
        confirmations: 0,
    };
    let chain_of = |prices| {
        Chain::new(ChainConfig {
            target: target(prices),
            ledger: ledger.clone(),
            poll: Duration::from_millis(100),
            settle_interval: Duration::from_millis(200),
            notices: notices.clone(),
        })
    };
    let chain = chain_of(None);
    let error = chain.connect().await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert!(notices.all()[0].1.contains("failed to reach"));
    let mut gateway = Gateway::bind(config(ledger.clone(), &deployment))
        .await
        .unwrap();
    gateway.mount(CHAIN_PATH, chain.clone());
    gateway.mount(SHARES_PATH, chain.clone());
    let url = format!("http://{}", gateway.local_addr());
    tokio::spawn(chain.run());
    tokio::spawn(gateway.serve(std::future::pending()));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let ask = |path: &str| -> (u16, Value) {
        let mut reply = agent.get(format!("{url}{path}")).call().unwrap();
        (
            reply.status().as_u16(),
            reply.body_mut().read_json().unwrap(),
        )
    };
    let shares = format!("{SHARES_PATH}/{}", key(NODE).address());
    let (status, told) = ask(CHAIN_PATH);
    assert_eq!(
        (status, &told["isFollowed"]),
        (200, &json!(false)),
        "{told}"
    );
    assert_eq!(ask(&shares).0, 503);
    // Now it is there.
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let anvil_at = anvil.1.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(pass_on(listener, anvil_at));
    while ask(CHAIN_PATH).1["isFollowed"] != json!(true) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(CHAIN_PATH).1["escrow"], json!(deployment.escrow));
    assert_eq!(ask(&shares).0, 200);
    assert_eq!(notices.all(), []);
    // A chain that says something else is another matter.
    let prices = config(ledger.clone(), &deployment).prices;
    let error = chain_of(Some(prices)).connect().await.unwrap_err();
    assert!(
        !error.is_passing() && error.to_string().contains("publish-prices"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_said_of_a_stake_is_believed_when_it_is_gone() {
    use gaia_chain::stake::StakeVault;
    use gaia_gateway::members::{ChainStakes, Stakes as _};
    let anvil = anvil();
    let folder = tempfile::tempdir().unwrap();
    let deployment = deployed(&anvil, folder.path()).await;
    let rpc = Rpc::new(&anvil.1);
    let vault = StakeVault::new(rpc.clone(), deployment.stake, deployment.domain_id);
    let stakes = ChainStakes::new(vault, Duration::ZERO);
    let (owner, node) = (key(OWNER).address(), key(NODE).address());
    assert_eq!(stakes.known(owner), None);
    let wallet = Wallet::open(rpc, 31337, key(OWNER)).await.unwrap();
    let assets = U256::from(3) * U256::from(10).pow(U256::from(18));
    let approve = Token::approveCall {
        spender: deployment.stake,
        value: assets,
    };
    wallet.send(deployment.token, approve).await.unwrap();
    let deposit = gaia_chain::contracts::Stake::depositCall {
        assets,
        receiver: owner,
    };
    wallet.send(deployment.stake, deposit).await.unwrap();
    assert_eq!(stakes.staked(owner).await.unwrap(), 3_000_000_000);
    assert_eq!(stakes.known(owner), Some(3_000_000_000));
    drop(anvil);
    assert_eq!(stakes.staked(owner).await.unwrap(), 3_000_000_000);
    let error = stakes.staked(node).await.unwrap_err().to_string();
    assert!(
        error.contains("failed to reach") && error.contains(&node.to_string()),
        "{error}"
    );
    assert_eq!(stakes.known(node), None);
}
