//! The most of what members take up, reached.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use gaia_gateway::members::{DIALLED_MAX, MEMBERS_LISTED_MAX, TUNNELS_MAX};
use gaia_gateway::{Members, MembersConfig, MembersLimits, NODES_MAX, NodeInfo, Nodes};
use gaia_tunnel::messages::JOIN_PATH;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::scene::{
    Domain, Script, Tunnel, address, beat, books, join_of, members_config, request, until,
};
use crate::client;
use crate::scene::{Chats, sign};

#[test]
fn unless_said_otherwise_the_constants_hold() {
    let limits = MembersLimits::default();
    assert_eq!(limits.tunnels_max, TUNNELS_MAX);
    assert_eq!(limits.listed_max, MEMBERS_LISTED_MAX);
    assert_eq!(limits.dialled_max, DIALLED_MAX);
}

#[tokio::test]
async fn a_gateway_has_only_so_many_tunnels() {
    let (_folder, ledger) = books();
    let change = |config: &mut MembersConfig| config.limits.tunnels_max = 1;
    let domain = Domain::changed(ledger, change, |_| {}).await;
    domain.join(&request(1, 101)).await;
    domain.join(&request(2, 101)).await;
    let first = Tunnel::open(&domain, Script::of(1)).await;
    domain.until_serving(1).await;
    let (status, reason) = domain.refused(&beat(2, B256::ZERO)).await;
    assert_eq!(status, 503, "{reason}");
    assert!(reason.contains("try another one"), "{reason}");
    drop(first);
    until("that there is room", async || {
        domain.dial(&beat(2, B256::ZERO)).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn members_are_listed_page_by_page() {
    let (_folder, ledger) = books();
    let change = |config: &mut MembersConfig| config.limits.listed_max = 2;
    let domain = Domain::changed(ledger, change, |_| {}).await;
    let mut expected: Vec<Address> = (1..=5).map(address).collect();
    expected.sort();
    for number in 1..=5 {
        assert_eq!(domain.join(&request(number, 101)).await.status, 200);
    }
    let (mut found, mut after) = (Vec::new(), String::new());
    for has_more in [true, true, false] {
        let page = client::ask(domain.at, "GET", &format!("{JOIN_PATH}{after}"), "", "").await;
        let page = page.json();
        assert_eq!(page["has_more"], has_more, "{page}");
        for node in page["nodes"].as_array().unwrap() {
            found.push(node["node"].as_str().unwrap().parse::<Address>().unwrap());
        }
        after = format!("?after={}", found.last().unwrap());
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn only_so_many_nodes_are_dialled_at_a_time() {
    let (_folder, ledger) = books();
    let change = |config: &mut MembersConfig| config.limits.dialled_max = 1;
    let domain = Domain::changed(ledger, change, |_| {}).await;
    // Nobody answers there, so that a dial lasts.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let held = Arc::new(Mutex::new(Vec::new()));
    let holding = Arc::clone(&held);
    let accepting = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            holding.lock().await.push(stream);
        }
    });
    for number in 1..=3 {
        let mut join = request(number, 101);
        let said = gaia_registry::NodeJoin {
            endpoint: endpoint.clone(),
            ..join_of(number, 101)
        };
        join.join = sign(said, number);
        assert_eq!(domain.join(&join).await.status, 200);
    }
    until("a dial", async || !held.lock().await.is_empty()).await;
    // Three looks later it is still the same one.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(held.lock().await.len(), 1);
    held.lock().await.clear();
    until("the next dial", async || !held.lock().await.is_empty()).await;
    accepting.abort();
}

#[tokio::test]
async fn a_notice_names_so_many_records_without_sense_and_counts_the_others() {
    let (_folder, ledger) = books();
    for number in 1..=6 {
        let id = address(number).to_string();
        let put = ledger.put_record("member", &id, "{}", None).await;
        put.unwrap();
    }
    let config = members_config(ledger);
    let notices = config.notices.clone();
    let _members = Members::open(config).await.unwrap();
    let all = notices.all();
    let (_, text) = all.iter().find(|(about, _)| *about == "members").unwrap();
    assert_eq!(text.matches("makes no sense").count(), 4, "{text}");
    assert!(text.ends_with("and 2 more"), "{text}");
}

#[test]
fn a_gateway_knows_only_so_many_nodes() {
    let nodes = Nodes::new(gaia_balancer::Config::default(), Arc::new(Chats), 1);
    let info = |number: usize| NodeInfo {
        address: Address::from_word(B256::left_padding_from(&number.to_be_bytes())),
        operator: Address::ZERO,
        offer: gaia_balancer::Offer {
            services: Vec::new(),
            sequences: 1,
            reading: None,
        },
        split: None,
    };
    for number in 0..NODES_MAX {
        assert!(nodes.joined(info(number)), "{number}");
    }
    assert!(!nodes.joined(info(NODES_MAX)), "no room");
    assert!(nodes.joined(info(0)), "known already");
    nodes.left(info(0).address);
    assert!(nodes.joined(info(NODES_MAX)));
}
