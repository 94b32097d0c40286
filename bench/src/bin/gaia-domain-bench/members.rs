//! Members of the domain that is measured: real nodes, which join by what they sign and are reached through the tunnels
//! that they dial. Of a whole domain only the chain is missing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gaia_gateway::members::STAKES_INTERVAL;
use gaia_gateway::{Config, Gateway, Members, MembersConfig, MembersLimits};
use gaia_registry::canary::Interval;
use gaia_registry::{Policy, Rules};
use gaia_tunnel::Trust;
use gaia_tunnel::messages::JOIN_PATH;
use serde_json::Value;

use crate::domain;
use crate::http::{Connection, Question};

/// Between which times a node that serves is asked something by the domain: as in a domain whose file says nothing.
const CANARY_INTERVAL: Interval = Interval {
    seconds_min: 600,
    seconds_max: 3_600,
};

/// How long a node may take to the first byte of an answer, as in the gateway's program.
const NODE_ANSWER_MAX: Duration = Duration::from_secs(300);

/// How long nodes may take until they serve.
const SERVES_TIME_MAX: Duration = Duration::from_secs(180);

/// Makes the gateway of `config` one that takes members in.
///
/// # Errors
/// The ledger cannot be read.
pub async fn open(config: &mut Config) -> anyhow::Result<Members> {
    let policy = Policy::parse("admission = \"open\"").context("the policy")?;
    let members = Members::open(MembersConfig {
        place: config.place,
        key: domain::gateway_key()?,
        ledger: config.ledger.clone(),
        policy: policy.into(),
        policy_file: None,
        rules: Rules::default(),
        knowledge: Default::default(),
        canaries: Vec::new(),
        canary_interval: CANARY_INTERVAL,
        stakes: None,
        stakes_interval: STAKES_INTERVAL,
        trust: Trust::public(),
        dials_private: false,
        notices: config.notices.clone(),
        limits: MembersLimits::default(),
    })
    .await?;
    config.prober = Arc::new(members.clone());
    config.balancer = gaia_balancer::Config {
        first_byte_max: NODE_ANSWER_MAX,
        ..gaia_balancer::Config::default()
    };
    Ok(members)
}

/// Has them answer at `gateway`, and keeps them.
pub fn attach(gateway: &mut Gateway, members: Members) {
    members.attach(gateway.nodes());
    for path in [JOIN_PATH, gaia_tunnel::PATH] {
        gateway.mount(path, Arc::new(members.clone()));
    }
    tokio::spawn(async move { members.run().await });
}

/// Until so many nodes serve at this gateway.
///
/// # Errors
/// They do not, in time.
pub async fn serving(at: SocketAddr, count: usize) -> anyhow::Result<()> {
    let question = Question::new("GET", JOIN_PATH, "", String::new());
    let begun = Instant::now();
    loop {
        let answer = Connection::open(at).await?.ask(&question).await?;
        let told: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let nodes = told["nodes"].as_array().into_iter().flatten();
        let serve = nodes
            .filter(|node| node["status"] == "serving" && node["connected"] == true)
            .count();
        if serve == count {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < SERVES_TIME_MAX,
            "{serve} of {count} nodes serve: {}",
            answer.text
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
