//! A domain with a payer, a price for words, and whatever nodes a test wants; with one gateway, or as [`pair`](crate::pair)
//! says.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync as _;
use gaia_gateway::{
    Config, Count, CountTokens, DomainInfo, Limits, Model, NodeInfo, Prober, SplitRule,
};
use gaia_keystore::NodeKey;
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::price::ModelId;
use gaia_ledger::rows::AccountRow;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{
    AccountId, Command, IdempotencyKey, ModelPrice, NanoUnits, NanoUsd, Party, Price, PriceTable,
    Role,
};
use gaia_ledger_store::{Ledger, Location, Order};
use gaia_metering::{Kind, Metered, ModelLimits};
use gaia_registry::{AccessToken, Place, Signed, Statement, TokenGrant};
use gaia_statements::{Signature, SigningDomain, TokenCounts};
use gaia_tunnel::Channel;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::client::{self, Answer};
use crate::front::Front;
use crate::node::{MODEL, Node};
use crate::pair::{Arrangement, Running, SERVER, Tables};
use crate::server::new_database;

pub const STABLE: Address = Address::repeat_byte(0xaa);
pub const OPERATOR_TOKEN: &str = "the operator's own";
pub const CHAT: &str = "/v1/chat/completions";

/// Nano-USD for a word that is written; reading costs nothing, so that costs are easy to tell.
pub const WORD: u64 = 7;

pub const PLACE: Place = Place {
    signing: SigningDomain {
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(0xc0),
    },
    domain_id: B256::repeat_byte(0xd0),
};

/// A word is a token.
struct Words;

impl CountTokens for Words {
    fn count(&self, _: Kind, request: &[u8], answer: &Metered) -> Option<Count> {
        let request: Value = serde_json::from_slice(request).ok()?;
        let said = request["messages"][0]["content"]
            .as_str()
            .unwrap_or_default();
        let written = answer
            .texts
            .iter()
            .map(|text| text.text.split_whitespace().count());
        let counts = TokenCounts {
            input: said.split_whitespace().count() as u64,
            cached: 0,
            output: written.sum::<usize>() as u64,
        };
        let claimed = answer.claimed.map(|claimed| claimed.0);
        Some(Count {
            counts,
            is_disputed: claimed.is_some_and(|claimed| claimed != counts),
        })
    }
}

/// Finds every node well that answers a chat.
pub struct Chats;

impl Prober for Chats {
    fn probe(&self, _: NodeInfo, channel: Channel) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(async move { !channel.is_closed() })
    }
}

pub fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes(&[number; 32]).unwrap()
}

pub fn gateway_key() -> NodeKey {
    key(200)
}

pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

pub fn account(payer: u8) -> AccountId {
    AccountId {
        payer: key(payer).address(),
        asset: STABLE,
    }
}

pub fn sign<S: Statement>(statement: S, number: u8) -> Signed<S> {
    sign_for(PLACE.signing, statement, number)
}

pub fn sign_for<S: Statement>(domain: SigningDomain, statement: S, number: u8) -> Signed<S> {
    let digest = statement.digest(&domain);
    let signature = key(number).signer().sign_hash_sync(&digest).unwrap();
    Signed {
        domain,
        statement,
        signature: Signature::from_bytes(&signature.as_bytes()).unwrap(),
    }
}

pub fn grant(payer: u8, token: &AccessToken, nonce: u64) -> TokenGrant {
    TokenGrant {
        domain_id: PLACE.domain_id,
        payer: key(payer).address(),
        asset: STABLE,
        token_hash: token.id(),
        limit: 0,
        nonce,
        expiry: now() + 600,
    }
}

pub fn prices() -> PriceTable {
    let price = ModelPrice {
        model: ModelId::of(MODEL),
        input: NanoUsd::ZERO,
        cached: NanoUsd::ZERO,
        output: NanoUsd::new(WORD * 1_000_000).unwrap(),
    };
    PriceTable::new(3, vec![price]).unwrap()
}

pub fn config(ledger: Ledger) -> Config {
    let domain = Party {
        role: Role::Domain,
        address: Address::repeat_byte(0xd0),
    };
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        ledger,
        place: PLACE,
        info: DomainInfo {
            name: "words".to_owned(),
            gateways: vec!["http://gateway".to_owned()],
            ..DomainInfo::default()
        },
        key: gateway_key(),
        prices: prices(),
        models: vec![Model {
            name: MODEL.to_owned(),
            limits: ModelLimits::default(),
            counter: Some(Arc::new(Words)),
        }],
        split: SplitRule {
            node_operator: BasisPoints(9_000),
            others: vec![(domain, BasisPoints(1_000))],
        },
        operator_token: Some(B256::from_slice(&Sha256::digest(OPERATOR_TOKEN))),
        notices: gaia_gateway::Notices::default(),
        prober: Arc::new(Chats),
        balancer: gaia_balancer::Config {
            // Nodes of these tests send no reports.
            silence_max: Duration::from_secs(3600),
            slow_start: Duration::ZERO,
            ..gaia_balancer::Config::default()
        },
        limits: Limits {
            key_running_max: 4096,
            requests_running_max: 4096,
            key_requests_per_minute_max: 1_000_000,
            ..Limits::default()
        },
    }
}

/// A domain that serves.
pub struct Domain {
    /// Where clients ask.
    pub at: SocketAddr,
    pub ledger: Ledger,
    /// The tables of all its gateways.
    pub nodes: Tables,
    /// The payer's token, as it stands in the header.
    pub token: String,
    /// Where the ledger is.
    pub books: String,
    gateways: Vec<Running>,
    _front: Option<Front>,
    _folder: tempfile::TempDir,
}

/// Where a test keeps its books: a file in its folder, or a new database of the server that the run was given.
pub fn books(folder: &Path) -> String {
    match std::env::var(SERVER) {
        Ok(server) => {
            static NUMBER: AtomicU64 = AtomicU64::new(0);
            let number = NUMBER.fetch_add(1, Ordering::SeqCst);
            let name = format!("test_{}_{number}", std::process::id());
            // The client blocks, which a thread of the runtime may not.
            let made = std::thread::spawn(move || new_database(&server, &name));
            made.join().unwrap()
        }
        Err(_) => folder.join("ledger.db").display().to_string(),
    }
}

pub fn open(books: &str) -> Ledger {
    Ledger::open(Location::parse(books)).unwrap()
}

pub fn ledger(folder: &Path) -> Ledger {
    open(&books(folder))
}

pub async fn must(ledger: &Ledger, name: &str, command: Command) {
    let order = Order {
        key: IdempotencyKey::new(name).unwrap(),
        command,
        now: Timestamp(now()),
        receipt: None,
    };
    ledger.execute(order).await.unwrap();
}

pub async fn deposit(ledger: &Ledger, payer: u8, nano: u64) {
    let command = Command::Deposit {
        account: account(payer),
        units: NanoUnits::new(nano).unwrap(),
    };
    must(ledger, &format!("deposit:{payer}:{nano}"), command).await;
}

pub async fn open_epoch(ledger: &Ledger) {
    let command = Command::OpenEpoch {
        asset: STABLE,
        epoch: EpochNumber(1),
        price: Price::ONE_USD,
    };
    must(ledger, "open", command).await;
}

impl Domain {
    /// With so much deposited by payer 1.
    pub async fn with(deposited: u64) -> Self {
        Self::changed(deposited, |_| {}).await
    }

    pub async fn changed(deposited: u64, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let books = books(folder.path());
        let ledger = open(&books);
        open_epoch(&ledger).await;
        deposit(&ledger, 1, deposited).await;
        let mut config = config(ledger.clone());
        change(&mut config);
        let arrangement = Arrangement::of_this_run();
        let mut gateways = vec![Running::start(config.clone()).await];
        let mut front = None;
        if arrangement != Arrangement::One {
            config.ledger = open(&books);
            gateways.push(Running::start(config).await);
            let at: Vec<SocketAddr> = gateways.iter().map(|gateway| gateway.at).collect();
            front = Some(Front::start(folder.path(), &at));
        }
        let mut domain = Self {
            at: front.as_ref().map_or(gateways[0].at, |front| front.at),
            ledger,
            nodes: Tables(gateways.iter().map(|it| it.nodes.clone()).collect()),
            token: String::new(),
            books,
            gateways,
            _front: front,
            _folder: folder,
        };
        domain.token = domain.token_of(1, 1).await;
        if arrangement == Arrangement::OneOfTwo {
            domain.kill_a_gateway();
        }
        domain
    }

    /// Ends the newest gateway without a word to anybody; HAProxy has not heard of it.
    pub fn kill_a_gateway(&mut self) {
        let killed = self.gateways.pop().unwrap().at;
        self.nodes.0.pop();
        // Its threads end behind it.
        while std::net::TcpStream::connect(killed).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub async fn and(self, node: &Node) -> Self {
        node.join(&self.nodes).await;
        self
    }

    /// A new token of a payer's.
    pub async fn token_of(&self, payer: u8, nonce: u64) -> String {
        let token = AccessToken::new([payer + 64 * u8::try_from(nonce).unwrap(); 32]);
        let granted = self
            .hand_in("", &sign(grant(payer, &token, nonce), payer))
            .await;
        assert_eq!(granted.status, 201, "{}", granted.text);
        format!("Bearer {}", token.reveal())
    }

    pub async fn hand_in(&self, path: &str, statement: &impl serde::Serialize) -> Answer {
        let body = serde_json::to_vec(statement).unwrap();
        client::ask(self.at, "POST", &format!("/gaia/v1/tokens{path}"), "", body).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        client::ask(self.at, "GET", path, token, "").await
    }

    pub async fn post(&self, path: &str, body: impl Into<hyper::body::Bytes>) -> Answer {
        client::ask(self.at, "POST", path, &self.token, body).await
    }

    /// Asks for an answer of so many words at most.
    pub async fn chat(&self, words: u64, stream: bool) -> Answer {
        self.post(CHAT, request(words, stream)).await
    }

    pub async fn account(&self) -> AccountRow {
        self.ledger.account(account(1)).await.unwrap()
    }

    /// Nano-USD that payer 1 was charged.
    pub async fn charged(&self) -> u64 {
        self.account().await.charged.get()
    }

    /// Waits until payer 1 was charged so much.
    pub async fn until_charged(&self, expected: u64) {
        until(async || self.charged().await == expected).await;
    }

    /// Waits until nothing is set aside for payer 1.
    pub async fn until_released(&self) {
        until(async || self.standing().await == 0).await;
    }

    /// Reservations that were neither captured nor given back, by the journal.
    pub async fn standing(&self) -> i64 {
        let entries = self.ledger.entries(0).await.unwrap();
        let change = entries.iter().map(|entry| match entry.command {
            Command::Reserve(_) => 1,
            Command::Capture { .. } | Command::Release { .. } | Command::Expire { .. } => -1,
            _ => 0,
        });
        change.sum()
    }

    /// What the first gateway tells its operator.
    pub async fn status(&self) -> Value {
        status(self.gateways[0].at).await
    }

    /// How often nodes failed, at whatever gateway.
    pub async fn failed_at_nodes(&self) -> u64 {
        let mut failed = 0;
        for gateway in &self.gateways {
            failed += status(gateway.at).await["failedAtNodes"].as_u64().unwrap();
        }
        failed
    }
}

async fn status(at: SocketAddr) -> Value {
    let operator = format!("Bearer {OPERATOR_TOKEN}");
    let shown = client::ask(at, "GET", "/gaia/v1/status", &operator, "").await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    shown.json()
}

/// Waits until something holds, a minute at most.
pub async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..6000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be");
}

pub fn request(words: u64, stream: bool) -> String {
    format!(
        "{{\"model\":\"{MODEL}\",\"max_tokens\":{words},\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"Say it\"}}]}}"
    )
}
