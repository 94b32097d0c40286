//! The gateway that is measured: the library of `gaia-gateway`, as a process of its own.
//!
//! What stands around it in a domain (a chain, statements of nodes) happens once an epoch or once a node, not once a
//! request, so it is left out: nodes are told to the gateway as its own tests do it, or, where they are real, join it by
//! what they sign. All that a request meets is there: tokens, limits, the balancer, the meter, the model's tokenizer, the ledger with its commits, receipts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{Address, B256};
use anyhow::Context as _;
use clap::Args;
use gaia_balancer::{Offer, Service};
use gaia_counting::Counter;
use gaia_gateway::{
    Config, Count, CountTokens, DomainInfo, Gateway, Limits, Model, NodeInfo, Nodes, Prober,
    SplitRule,
};
use gaia_ledger::price::ModelId;
use gaia_ledger::split::BasisPoints;
use gaia_ledger::{ModelPrice, NanoUsd, Party, PriceTable, Role};
use gaia_ledger_store::{Ledger, Location};
use gaia_metering::{Kind, Metered, ModelLimits};
use gaia_tunnel::Channel;
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

use crate::domain::{self, OPERATOR_TOKEN, PLACE};
use crate::members;
use crate::node::MODEL;

/// Nano-USD for a million tokens.
const INPUT: u64 = 50_000_000;
const CACHED: u64 = 5_000_000;
const OUTPUT: u64 = 200_000_000;

/// Requests that a node computes at a time: with those that the balancer sends ahead as many as a tunnel takes.
pub const SEQUENCES: u32 = 200;

/// How a gateway is started.
#[derive(Debug, Clone, Args)]
pub struct GatewayOptions {
    /// The ledger: a file, or the URL of a database
    #[arg(long)]
    pub ledger: String,
    /// The model's tokenizer
    #[arg(long)]
    pub vocabulary: PathBuf,
    /// Where nodes wait for a tunnel; the first is node 1
    #[arg(long, value_delimiter = ',')]
    pub nodes: Vec<SocketAddr>,
    /// Requests that each node computes at a time
    #[arg(long, default_value_t = SEQUENCES)]
    pub sequences: u32,
    /// Tokens a second that nodes read
    #[arg(long, default_value_t = 1000.0)]
    pub reading: f64,
    /// Take members in, as a domain does: they join by what they sign, and dial
    #[arg(long)]
    pub members: bool,
}

/// A model's own tokenizer, as the gateway's program uses it.
struct Own(Counter);

impl CountTokens for Own {
    fn count(&self, kind: Kind, request: &[u8], answer: &Metered) -> Option<Count> {
        let count = self.0.count(kind, request, answer).ok()?;
        count.certainty.tolerance()?;
        Some(Count {
            counts: count.counted.0,
            // The answers here are numbers, and what the node says of them is no claim of a tokenizer's.
            is_disputed: false,
        })
    }
}

/// A node is well as long as its connection is.
struct Connected;

impl Prober for Connected {
    fn probe(&self, _: NodeInfo, channel: Channel) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        Box::pin(async move { !channel.is_closed() })
    }
}

/// Serves until the process is ended.
///
/// # Errors
/// The gateway cannot start.
pub async fn serve(options: GatewayOptions) -> anyhow::Result<()> {
    let mut config = config(&options)?;
    let members = match options.members {
        true => Some(members::open(&mut config).await?),
        false => None,
    };
    let mut gateway = Gateway::bind(config).await?;
    if let Some(members) = members {
        members::attach(&mut gateway, members);
    }
    let nodes = gateway.nodes();
    for (number, address) in (1..).zip(&options.nodes) {
        join(&nodes, number, *address, &options).await?;
    }
    domain::say_ready(&json!({ "at": gateway.local_addr() }));
    gateway.serve(std::future::pending()).await;
    Ok(())
}

/// Makes a node a member, and tells the gateway when its connection is gone.
async fn join(
    nodes: &Nodes,
    number: u8,
    at: SocketAddr,
    options: &GatewayOptions,
) -> anyhow::Result<()> {
    let address = domain::node_key(number)?.address();
    nodes.joined(NodeInfo {
        address,
        operator: Address::repeat_byte(0x0b),
        offer: Offer {
            services: vec![Service {
                model: MODEL.to_owned(),
                knowledge: None,
            }],
            sequences: options.sequences,
            reading: Some(options.reading),
        },
        split: None,
    });
    let stream = TcpStream::connect(at)
        .await
        .context("a node is not there")?;
    stream.set_nodelay(true)?;
    let channel = Channel::over(TokioIo::new(stream)).await?;
    nodes.connected(address, channel.clone());
    let nodes = nodes.clone();
    tokio::spawn(async move {
        channel.closed().await;
        nodes.connection_lost(address);
    });
    Ok(())
}

fn config(options: &GatewayOptions) -> anyhow::Result<Config> {
    let price = |nano: u64| NanoUsd::new(nano).context("a price");
    let prices = PriceTable::new(
        1,
        vec![ModelPrice {
            model: ModelId::of(MODEL),
            input: price(INPUT)?,
            cached: price(CACHED)?,
            output: price(OUTPUT)?,
        }],
    )?;
    let domain = Party {
        role: Role::Domain,
        address: Address::repeat_byte(0xd0),
    };
    Ok(Config {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        ledger: Ledger::open(Location::parse(&options.ledger))?,
        place: PLACE,
        info: DomainInfo::default(),
        key: domain::gateway_key()?,
        prices,
        models: vec![Model {
            name: MODEL.to_owned(),
            limits: ModelLimits::default(),
            counter: Some(Arc::new(Own(Counter::open(&options.vocabulary)?))),
        }],
        split: SplitRule {
            node_operator: BasisPoints(9_000),
            others: vec![(domain, BasisPoints(1_000))],
        },
        operator_token: Some(B256::from_slice(&Sha256::digest(OPERATOR_TOKEN))),
        prober: Arc::new(Connected),
        notices: gaia_gateway::Notices::default(),
        balancer: gaia_balancer::Config {
            // These nodes send no reports.
            silence_max: Duration::from_secs(3600),
            slow_start: Duration::ZERO,
            ..gaia_balancer::Config::default()
        },
        limits: Limits {
            // One user stands for all.
            key_running_max: 4096,
            key_requests_per_minute_max: u32::MAX,
            requests_running_max: 2048,
            ..Limits::default()
        },
    })
}
