//! A node that listens: the domain's gateway gets a tunnel, and nobody else.

use std::net::SocketAddr;

use alloy_primitives::B256;
use gaia_registry::{Heartbeat, Signed, Statement};
use gaia_tunnel::{Channel, DialError, Trust};
use hyper::{Request, StatusCode};

use crate::scene::{Gateway, Node, PLACE, Running, Says, full, joined, key, signed, until};

/// What the gateway with this key says to the node with that one.
fn proof(gateway: u8, node: u8, sequence: u64, time: u64) -> Signed<Heartbeat> {
    let statement = Heartbeat {
        domain_id: PLACE.domain_id,
        node: key(gateway).address(),
        sequence,
        time,
        state_hash: B256::left_padding_from(key(node).address().as_slice()),
    };
    Signed {
        domain: PLACE.signing,
        signature: signed(&key(gateway), &statement.digest(&PLACE.signing)),
        statement,
    }
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs()
}

async fn dial(at: SocketAddr, proof: &Signed<Heartbeat>) -> Result<Channel, DialError> {
    let origin = format!("http://{at}").parse().unwrap();
    Channel::dial(&origin, &Trust::public(), |_| true, proof).await
}

#[tokio::test]
async fn only_the_domains_gateway_gets_a_tunnel_and_once_for_each_proof() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    let mut gateway = Gateway::start(&says).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = port.local_addr().unwrap();
    drop(port);
    let agent = Running::start(&home, node.now());
    let mut listening = joined(&gateway.url(), &node.now());
    listening.endpoint = "https://node.example".to_owned();
    listening.listen = Some(at);
    agent.joins.put(&listening).unwrap();
    until("the listener", || std::net::TcpStream::connect(at).is_ok()).await;

    let check = async |proof: Signed<Heartbeat>, reason: &str| {
        let error = dial(at, &proof).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    check(proof(98, 1, 1, now()), "not by the domain's gateway key").await;
    check(proof(99, 2, 1, now()), "for another node").await;
    check(proof(99, 1, 1, now() - 3_600), "here it is").await;
    let mut forged = proof(99, 1, 1, now());
    forged.signature = proof(98, 1, 1, now()).signature;
    check(forged, "does not count").await;

    let good = proof(99, 1, 7, now());
    let channel = dial(at, &good).await.unwrap();
    check(good, "used before").await;
    let request = Request::get("http://node/v1/models")
        .body(full(""))
        .unwrap();
    assert_eq!(
        channel.send(request).await.unwrap().status(),
        StatusCode::OK
    );
    assert!(gateway.channels.try_recv().is_err(), "it does not dial");
    agent.stop().await;
    channel.closed().await;
}
