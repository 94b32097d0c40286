//! An anvil of its own for each test, with the contracts on it.

use alloy_primitives::{Address, B256, U256};
use gaia_chain::contracts::Token;
use gaia_chain::{Domain, Place, Rpc, Wallet};
use gaia_keystore::NodeKey;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tokio::sync::OnceCell;

pub const EPOCH_SECONDS: u64 = 1_000;
pub const CHALLENGE_SECONDS: u64 = 300;
pub const RESPONSE_SECONDS: u64 = 200;
pub const REFUND_SECONDS: u64 = 2_000;

/// Keys that every anvil has given ether; known to everybody.
const KEYS: [&str; 8] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
];

/// Deploys everything, owns the domain, reports prices, has all tokens.
pub const OWNER: usize = 0;
/// The domain's gateway.
pub const GATEWAY: usize = 1;
pub const ALICE: usize = 2;
pub const BOB: usize = 3;
/// The node, and who earns for it.
pub const NODE: usize = 4;
pub const OPERATOR: usize = 5;
pub const STRANGER: usize = 6;
/// What the domain's own part goes to.
pub const TREASURY: usize = 7;

pub fn key(number: usize) -> NodeKey {
    let bytes: B256 = KEYS[number].parse().unwrap();
    NodeKey::from_bytes(&bytes).unwrap()
}

pub fn address(number: usize) -> Address {
    key(number).address()
}

/// A deployment, and the chain that it is on.
struct Prepared {
    deployment: Value,
    state: String,
}

/// A chain that ends with the test.
pub struct Chain {
    _anvil: Anvil,
    pub url: String,
    pub rpc: Rpc,
    deployment: Value,
}

struct Anvil(Child);

impl Drop for Anvil {
    fn drop(&mut self) {
        let _it_may_be_over = self.0.kill();
        let _it_may_be_over = self.0.wait();
    }
}

pub fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn script() -> Command {
    Command::new(project().join("scripts/contracts.sh"))
}

fn anvil() -> (Anvil, String) {
    let mut command = script();
    command.args(["anvil", "--host", "127.0.0.1", "--port", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let anvil = Anvil(child);
    let listening = lines.find_map(|line| {
        line.unwrap()
            .strip_prefix("Listening on ")
            .map(str::to_owned)
    });
    let listening = listening.expect("anvil starts; scripts/contracts.sh setup brings it");
    // What it says is read for ever, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (anvil, format!("http://{listening}"))
}

async fn prepare() -> Prepared {
    let (_anvil, url) = anvil();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deployment.json");
    let mut deploy = script();
    deploy.args(["deploy", "--rpc", &url, "--out"]).arg(&file);
    deploy
        .env("GAIA_EPOCH_SECONDS", EPOCH_SECONDS.to_string())
        .env("GAIA_CHALLENGE_SECONDS", CHALLENGE_SECONDS.to_string())
        .env("GAIA_RESPONSE_SECONDS", RESPONSE_SECONDS.to_string())
        .env("GAIA_REFUND_SECONDS", REFUND_SECONDS.to_string())
        .env("GAIA_GATEWAY", address(GATEWAY).to_string());
    let status = deploy.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "the contracts were not deployed");
    let deployment = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let state = Rpc::new(&url)
        .ask("anvil_dumpState", json!([]))
        .await
        .unwrap();
    Prepared { deployment, state }
}

impl Chain {
    pub async fn start() -> Self {
        // Once for all tests, whatever runs beside: a deployment writes into contracts/out.
        static PREPARED: OnceCell<Prepared> = OnceCell::const_new();
        let prepared = PREPARED.get_or_init(prepare).await;
        let (anvil, url) = anvil();
        let rpc = Rpc::new(&url);
        let loaded: bool = rpc
            .ask("anvil_loadState", json!([prepared.state]))
            .await
            .unwrap();
        assert!(loaded);
        let chain = Self {
            _anvil: anvil,
            url,
            rpc,
            deployment: prepared.deployment.clone(),
        };
        chain.mine(1).await;
        chain
    }

    pub fn place(&self) -> Place {
        Place {
            chain_id: 31337,
            registry: self.contract("registry"),
            domain_id: self.deployment["domainId"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
        }
    }

    pub fn contract(&self, name: &str) -> Address {
        self.deployment[name].as_str().unwrap().parse().unwrap()
    }

    pub async fn domain(&self) -> Domain {
        Domain::read(self.rpc.clone(), self.place()).await.unwrap()
    }

    pub async fn wallet(&self, number: usize) -> Wallet {
        Wallet::open(self.rpc.clone(), 31337, key(number))
            .await
            .unwrap()
    }

    pub async fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            let _: Value = self.rpc.ask("evm_mine", json!([])).await.unwrap();
        }
    }

    pub async fn pass(&self, seconds: u64) {
        let _: Value = self
            .rpc
            .ask("evm_increaseTime", json!([seconds]))
            .await
            .unwrap();
        self.mine(1).await;
    }

    pub async fn snapshot(&self) -> String {
        self.rpc.ask("evm_snapshot", json!([])).await.unwrap()
    }

    pub async fn revert(&self, snapshot: &str) {
        let done: bool = self.rpc.ask("evm_revert", json!([snapshot])).await.unwrap();
        assert!(done);
    }

    /// Base units of a token.
    pub async fn balance(&self, token: Address, account: Address) -> U256 {
        let call = Token::balanceOfCall { account };
        self.rpc
            .view(token, call, gaia_chain::rpc::At::Latest)
            .await
            .unwrap()
    }

    /// Gives an account dollars: anybody may make as many as they like.
    pub async fn mint(&self, account: usize, dollars: u64) {
        let call = Token::mintCall {
            account: address(account),
            baseUnits: U256::from(dollars * 1_000_000),
        };
        let stable = self.contract("stable");
        self.wallet(OWNER).await.send(stable, call).await.unwrap();
    }

    /// Gives an account payment tokens.
    pub async fn give_tokens(&self, account: usize, tokens: u64) {
        let call = Token::transferCall {
            to: address(account),
            value: U256::from(tokens) * U256::from(10).pow(U256::from(18)),
        };
        let token = self.contract("token");
        self.wallet(OWNER).await.send(token, call).await.unwrap();
    }
}
