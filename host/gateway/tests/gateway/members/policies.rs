//! A policy that changes while the gateway runs, and what operators have staked meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use alloy_primitives::Address;
use gaia_gateway::members::{Answer, StakeUnknown, Stakes};
use gaia_gateway::{MembersConfig, Notices};
use gaia_ledger_store::Ledger;
use gaia_registry::{Policy, Reason, Status};

use super::joins::check;
use super::scene::{Domain, Script, Tunnel, address, books, request, until};
use crate::client;

const OPEN: &str = "admission = \"open\"\n";

fn suspended(status: &Status) -> Option<Reason> {
    match status {
        Status::Suspended { reason, .. } => Some(*reason),
        _ => None,
    }
}

fn denying(number: u8) -> String {
    format!("{OPEN}deny = [\"{}\"]\n", address(number))
}

/// A gateway that reads its policy from a file of its own.
struct Ruled {
    domain: Domain,
    file: PathBuf,
    notices: Notices,
    _folder: tempfile::TempDir,
}

impl Ruled {
    async fn on(ledger: Ledger, policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, policy).unwrap();
        let notices = Notices::default();
        let config = |config: &mut MembersConfig| {
            config.policy = Policy::parse(policy).unwrap().into();
            config.policy_file = Some(file.clone());
            config.notices = notices.clone();
        };
        Self {
            domain: Domain::changed(ledger, config, |_| {}).await,
            file,
            notices,
            _folder: folder,
        }
    }

    fn write(&self, policy: &str) {
        std::fs::write(&self.file, policy).unwrap();
    }

    /// What the domain tells of its policy.
    async fn told(&self) -> String {
        let facts = client::ask(self.domain.at, "GET", "/gaia/v1/domain", "", "").await;
        facts.json()["policy"].to_string()
    }

    async fn until_told(&self, what: &str) {
        until(what, async || self.told().await.contains(what)).await;
    }
}

#[tokio::test]
async fn a_changed_policy_holds_for_who_serves_and_for_who_joins() {
    let (_folder, ledger) = books();
    let ruled = Ruled::on(ledger, OPEN).await;
    let domain = &ruled.domain;
    domain.join(&request(1, 101)).await;
    let _tunnel = Tunnel::open(domain, Script::of(1)).await;
    domain.until_serving(1).await;
    ruled.write(&denying(101));
    domain
        .until_status(1, |status| suspended(status) == Some(Reason::Policy))
        .await;
    until("that it gets nothing", async || {
        domain.nodes.channel(address(1)).is_none()
    })
    .await;
    assert!(ruled.told().await.contains("One address is denied"));
    check(&domain.join(&request(2, 101)).await, 403, "policy");
    // Its tunnel is still there: it serves again without being asked to.
    ruled.write(OPEN);
    domain.until_serving(1).await;
}

#[tokio::test]
async fn what_is_no_policy_changes_nothing_and_is_told() {
    let (_folder, ledger) = books();
    let ruled = Ruled::on(ledger, OPEN).await;
    let about = |what: &str| {
        let all = ruled.notices.all();
        all.iter()
            .any(|(about, text)| *about == "policy" && text.contains(what))
    };
    for (broken, said) in [
        ("admission = \"sometimes\"", "sometimes"),
        ("allow = []", "nobody"),
    ] {
        ruled.write(broken);
        until(said, async || about(said)).await;
        assert!(about("the policy before holds"));
        assert!(ruled.told().await.contains("Anybody"));
    }
    std::fs::remove_file(&ruled.file).unwrap();
    until("the missing file", async || about("failed to read")).await;
    ruled.write(&denying(101));
    ruled.until_told("One address is denied").await;
    assert_eq!(ruled.notices.all(), []);
}

#[tokio::test]
async fn gateways_of_a_domain_hear_the_file_that_was_changed_last() {
    let (_folder, ledger) = books();
    let here = Ruled::on(ledger.clone(), OPEN).await;
    let there = Ruled::on(ledger.clone(), OPEN).await;
    here.domain.join(&request(1, 101)).await;
    there.write(&denying(101));
    here.until_told("One address is denied").await;
    here.domain
        .until_status(1, |status| suspended(status) == Some(Reason::Policy))
        .await;
    // One that starts with an older file is told so, and obeys.
    let old = std::fs::File::options().write(true).open(&here.file);
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
    old.unwrap().set_modified(long_ago).unwrap();
    until("the notice", async || !here.notices.all().is_empty()).await;
    assert!(here.notices.all()[0].1.contains("save it again"));
    assert!(here.told().await.contains("One address is denied"));
    here.write(OPEN);
    until("the other policy", async || {
        !there.told().await.contains("1 addresses")
    })
    .await;
    until("no notice", async || here.notices.all().is_empty()).await;
}

/// Stakes that a test sets; one that is missing cannot be asked for.
#[derive(Default)]
struct Told(Mutex<BTreeMap<Address, u64>>);

impl Told {
    fn set(&self, operator: u8, staked: u64) {
        self.0.lock().unwrap().insert(address(operator), staked);
    }
}

impl Stakes for Told {
    fn staked(&self, operator: Address) -> Answer<'_> {
        let why = "the chain is out of reach".to_owned();
        let unknown = StakeUnknown { operator, why };
        Box::pin(std::future::ready(self.known(operator).ok_or(unknown)))
    }

    fn known(&self, operator: Address) -> Option<u64> {
        self.0.lock().unwrap().get(&operator).copied()
    }
}

#[tokio::test]
async fn who_has_too_little_at_stake_gets_no_requests() {
    let (_folder, ledger) = books();
    let stakes = Arc::new(Told::default());
    let change = |config: &mut MembersConfig| {
        let policy = Policy::parse("admission = \"open\"\nminimum_stake = 5").unwrap();
        config.policy = policy.into();
        config.stakes = Some(stakes.clone());
    };
    let domain = Domain::changed(ledger, change, |_| {}).await;
    let unknown = domain.join(&request(1, 101)).await;
    check(&unknown, 503, "stake_unknown");
    assert!(
        unknown.message().contains("out of reach"),
        "{}",
        unknown.text
    );
    stakes.set(101, 4);
    let refused = domain.join(&request(1, 101)).await;
    check(&refused, 403, "policy");
    assert!(refused.message().contains("asks for 5"), "{}", refused.text);
    stakes.set(101, 5);
    assert_eq!(domain.join(&request(1, 101)).await.status, 200);
    let _tunnel = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    stakes.set(101, 4);
    domain
        .until_status(1, |status| suspended(status) == Some(Reason::Stake))
        .await;
    until("that it gets nothing", async || {
        domain.nodes.channel(address(1)).is_none()
    })
    .await;
    stakes.set(101, 6);
    domain.until_serving(1).await;
}

#[tokio::test]
async fn a_domain_that_asks_for_stakes_without_a_chain_takes_nobody() {
    let (_folder, ledger) = books();
    let change = |config: &mut MembersConfig| {
        let policy = Policy::parse("admission = \"open\"\nminimum_stake = 1").unwrap();
        config.policy = policy.into();
    };
    let domain = Domain::changed(ledger, change, |_| {}).await;
    check(&domain.join(&request(1, 101)).await, 403, "policy");
}
