//! What of a domain all measurements need: keys, money, an access token, and programs that say when they are ready.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use alloy_signer::SignerSync as _;
use anyhow::{Context as _, ensure};
use gaia_bench::child::Held;
use gaia_keystore::NodeKey;
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::{AccountId, Command as Booked, IdempotencyKey, NanoUnits, Price};
use gaia_ledger_store::{Ledger, Location, Order};
use gaia_registry::{AccessToken, Place, Signed, Statement as _, TokenGrant};
use gaia_statements::{Signature, SigningDomain};
use serde_json::Value;

use crate::gateway::GatewayOptions;
use crate::http::{Connection, Question};

/// The operator's token, for the status.
pub const OPERATOR_TOKEN: &str = "the operator's own";

/// Where the domain's statements hold.
pub const PLACE: Place = Place {
    signing: SigningDomain {
        chain_id: 31337,
        verifying_contract: Address::repeat_byte(0xc0),
    },
    domain_id: B256::repeat_byte(0xd0),
};

const ASSET: Address = Address::repeat_byte(0xaa);

/// Nano-units of the one payer: more than all measurements cost.
const DEPOSIT: u64 = 1 << 60;

/// How long the token's grant may be handed in, in seconds.
const GRANT_SECONDS: u64 = 600;

const GATEWAY_KEY: u8 = 200;
const PAYER_KEY: u8 = 201;

/// The key of a node.
///
/// # Errors
/// The number makes none.
pub fn node_key(number: u8) -> anyhow::Result<NodeKey> {
    Ok(NodeKey::from_bytes(&[number; 32])?)
}

/// The gateway's key.
///
/// # Errors
/// Never.
pub fn gateway_key() -> anyhow::Result<NodeKey> {
    node_key(GATEWAY_KEY)
}

/// The one account.
///
/// # Errors
/// Never.
pub fn account() -> anyhow::Result<AccountId> {
    Ok(AccountId {
        payer: node_key(PAYER_KEY)?.address(),
        asset: ASSET,
    })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Opens an epoch and deposits, in a new ledger at `path`.
///
/// # Errors
/// The ledger would not.
pub async fn fund(path: &Path) -> anyhow::Result<()> {
    let ledger = Ledger::open(Location::File(path.to_owned()))?;
    let open = Booked::OpenEpoch {
        asset: ASSET,
        epoch: EpochNumber(1),
        price: Price::ONE_USD,
    };
    let deposit = Booked::Deposit {
        account: account()?,
        units: NanoUnits::new(DEPOSIT).context("the deposit")?,
    };
    for (key, command) in [("open", open), ("deposit", deposit)] {
        let order = Order {
            key: IdempotencyKey::new(key)?,
            command,
            now: Timestamp(now()),
            receipt: None,
        };
        ledger.execute(order).await?;
    }
    Ok(())
}

/// Has the gateway grant the one token; what stands behind `Authorization:`. The same at every call.
///
/// # Errors
/// It refuses.
pub async fn grant(at: SocketAddr) -> anyhow::Result<String> {
    let token = AccessToken::new([7; 32]);
    let payer = node_key(PAYER_KEY)?;
    let statement = TokenGrant {
        domain_id: PLACE.domain_id,
        payer: payer.address(),
        asset: ASSET,
        token_hash: token.id(),
        limit: 0,
        nonce: 1,
        expiry: now() + GRANT_SECONDS,
    };
    let signature = payer
        .signer()
        .sign_hash_sync(&statement.digest(&PLACE.signing))?;
    let signed = Signed {
        domain: PLACE.signing,
        statement,
        signature: Signature::from_bytes(&signature.as_bytes())?,
    };
    let question = Question::new(
        "POST",
        "/gaia/v1/tokens",
        "",
        serde_json::to_string(&signed)?,
    );
    let answer = Connection::open(at).await?.ask(&question).await?;
    // 409: an earlier process has granted it.
    ensure!(
        matches!(answer.status, 201 | 409),
        "no token: {}",
        answer.text
    );
    Ok(format!("Bearer {}", token.reveal()))
}

/// Says to who has started this process that it is ready, and where.
pub fn say_ready(at: &Value) {
    println!("ready={at}");
    let _ = std::io::stdout().flush();
}

/// A process of this same program.
pub struct Own {
    /// The process.
    pub held: Held,
    /// Where it listens.
    pub at: Value,
}

impl Own {
    /// Starts this program with these arguments, and waits until it is ready.
    ///
    /// # Errors
    /// It ends before it is ready.
    pub fn start(arguments: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut held = Held::start(command.args(arguments).stdout(Stdio::piped()))?;
        let output = held.process().stdout.take().context("no output")?;
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        let said = lines
            .filter_map(|line| Some(line.split_once("ready=")?.1.to_owned()))
            .next();
        let said = said.with_context(|| format!("{} has ended", arguments.join(" ")))?;
        Ok(Self {
            held,
            at: serde_json::from_str(&said)?,
        })
    }

    /// An address that it said.
    ///
    /// # Errors
    /// It did not.
    pub fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let text = self.at[name]
            .as_str()
            .with_context(|| format!("no {name}"))?;
        Ok(text.parse()?)
    }

    /// A node.
    ///
    /// # Errors
    /// It does not start.
    pub fn node(number: usize, more: &[&str]) -> anyhow::Result<Self> {
        let mut arguments = vec!["serve-node".to_owned(), format!("--number={number}")];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        Self::start(&arguments)
    }

    /// A gateway.
    ///
    /// # Errors
    /// It does not start.
    pub fn gateway(options: &GatewayOptions) -> anyhow::Result<Self> {
        let mut arguments = vec![
            "serve-gateway".to_owned(),
            format!("--ledger={}", options.ledger),
            format!("--vocabulary={}", options.vocabulary.display()),
            format!("--sequences={}", options.sequences),
            format!("--reading={}", options.reading),
        ];
        let nodes = options.nodes.iter().map(|node| format!("--nodes={node}"));
        arguments.extend(nodes);
        arguments.extend(options.members.then(|| "--members".to_owned()));
        Self::start(&arguments)
    }
}
