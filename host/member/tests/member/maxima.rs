//! Maxima of what a node keeps with domains: gateways, reasons, connections.

use std::net::SocketAddr;
use std::time::Duration;

use gaia_member::{GatewayStanding, Standings};
use gaia_tunnel::messages::GATEWAYS_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scene::{Gateway, Node, PATIENCE, PLACE, Running, Says, joined, until};

/// How long it is looked on that something does not happen.
const LOOK: Duration = Duration::from_millis(300);

/// The longest reason that is kept: `standing::REASON_LEN_MAX`.
const REASON_LEN_MAX: usize = 512;

/// Connections of whoever dials a node that listens: `public::CONNECTIONS_MAX`.
const CONNECTIONS_MAX: usize = 64;

/// The domain's gateways, as the node's owner sees them.
fn gateways(agent: &Running) -> Vec<GatewayStanding> {
    let read = Standings::read(&agent.standings).unwrap_or_default();
    let domain = read.0.get(&PLACE.domain_id);
    domain.map_or(Vec::new(), |domain| {
        domain.gateways.values().cloned().collect()
    })
}

#[tokio::test]
async fn a_node_keeps_tunnels_to_so_many_gateways_of_a_domain() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    let gateway = Gateway::start(&says).await;
    // Nobody listens there.
    let port = gateway.server.address.port();
    let listed = (2..=GATEWAYS_MAX + 5).map(|host| format!("http://127.0.0.{host}:{port}"));
    says.facts.lock().unwrap().gateways = listed.collect();
    let agent = Running::start(&home, node.now());
    agent
        .joins
        .put(&joined(&gateway.url(), &node.now()))
        .unwrap();
    until("all gateways", || gateways(&agent).len() >= GATEWAYS_MAX).await;
    tokio::time::sleep(LOOK).await;
    assert_eq!(gateways(&agent).len(), GATEWAYS_MAX);
    agent.stop().await;
}

#[tokio::test]
async fn a_long_reason_is_kept_in_part() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    let reason = "because ".repeat(REASON_LEN_MAX / 4);
    *says.refuses.lock().unwrap() = Some((403, Box::leak(reason.into_boxed_str())));
    let gateway = Gateway::start(&says).await;
    let agent = Running::start(&home, node.now());
    agent
        .joins
        .put(&joined(&gateway.url(), &node.now()))
        .unwrap();
    let reason = || gateways(&agent).first()?.reason.clone();
    until("a reason", || reason().is_some()).await;
    assert_eq!(reason().unwrap().chars().count(), REASON_LEN_MAX);
    agent.stop().await;
}

#[tokio::test]
async fn a_node_that_listens_hears_so_many_connections_at_a_time() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    let gateway = Gateway::start(&says).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = port.local_addr().unwrap();
    drop(port);
    let agent = Running::start(&home, node.now());
    let mut listening = joined(&gateway.url(), &node.now());
    listening.endpoint = "https://node.example".to_owned();
    listening.listen = Some(at);
    agent.joins.put(&listening).unwrap();
    until("the listener", || std::net::TcpStream::connect(at).is_ok()).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = asks(at).await;
        heard(&mut stream).await;
        open.push(stream);
    }
    let mut next = asks(at).await;
    let early = tokio::time::timeout(LOOK, next.peek(&mut [0])).await;
    assert!(early.is_err(), "one more is heard");
    open.pop();
    heard(&mut next).await;
    agent.stop().await;
}

/// A connection that asks for what is not there, and stays.
async fn asks(at: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = b"GET /elsewhere HTTP/1.1\r\nhost: node\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

async fn heard(stream: &mut TcpStream) {
    let mut bytes = [0; 1024];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
    let read = read.expect("an answer").unwrap();
    let text = String::from_utf8_lossy(&bytes[..read]);
    assert!(text.contains(" 404 "), "{text}");
}
