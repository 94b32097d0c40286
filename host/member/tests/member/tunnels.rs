//! Tunnels come, go and come back.

use alloy_primitives::B256;
use gaia_member::{Standings, Wish, consent, facts, join};
use gaia_tunnel::messages::ReportLine;
use gaia_tunnel::{Channel, Trust};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use hyper::{Request, StatusCode};

use crate::scene::{
    Gateway, Node, PLACE, Running, Says, Scene, full, joined, key, piece, text, until,
};

/// The first lines of a node's report.
async fn lines(channel: &Channel, challenge: B256, count: usize) -> Vec<ReportLine> {
    let uri = format!("http://node/gaia/v1/report?challenge={challenge}");
    let request = Request::get(uri).body(full("")).unwrap();
    let mut response = channel.send(request).await.unwrap();
    let mut text = Vec::new();
    while text.iter().filter(|byte| **byte == b'\n').count() < count {
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        text.extend(frame.into_data().unwrap());
    }
    let lines = text.split(|byte| *byte == b'\n').take(count);
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_report_begins_with_a_signature_that_could_not_be_known_before() {
    let scene = Scene::start().await;
    let challenge = B256::repeat_byte(0x5a);
    let lines = lines(&scene.channel, challenge, 3).await;
    let beat = lines[0].heartbeat.as_ref().unwrap();
    PLACE.check(beat).unwrap();
    assert_eq!(beat.statement.node, key(1).address());
    assert_eq!(beat.statement.state_hash, challenge);
    assert_eq!(lines[0].offer.as_ref().unwrap().services[0].model, "tiny");
    assert!(lines[1].heartbeat.is_none() && lines[1].offer.is_none());
    assert_eq!(lines[2].report.requests, 0);
}

#[tokio::test]
async fn a_report_counts_what_runs_and_tells_a_new_offer() {
    let mut scene = Scene::start().await;
    let _running = scene.chat(B256::ZERO, true).await;
    let _pipe = scene.node.pipes.recv().await.unwrap();
    let mut other = scene.node.now();
    other.offer.services[0].model = "other".to_owned();
    scene.agent.node.send_replace(Some(other));
    let lines = lines(&scene.channel, B256::ZERO, 1).await;
    assert_eq!(lines[0].report.requests, 1);
    assert_eq!(lines[0].offer.as_ref().unwrap().services[0].model, "other");
}

#[tokio::test]
async fn without_a_challenge_there_is_no_report() {
    let scene = Scene::start().await;
    for query in ["", "?challenge=", "?challenge=0x12", "?other=1"] {
        let uri = format!("http://node/gaia/v1/report{query}");
        let request = Request::get(uri).body(full("")).unwrap();
        let response = scene.channel.send(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_gateway_that_restarts_gets_its_tunnel_back() {
    let Scene {
        home: _home,
        says,
        node,
        gateway,
        agent,
        channel,
    } = Scene::start().await;
    let address = gateway.server.address;
    drop(gateway);
    channel.close();
    let shown = agent.standings.clone();
    until("that the tunnel is gone", || {
        let standings = Standings::read(&shown).unwrap();
        let gateways = standings
            .0
            .values()
            .flat_map(|domain| domain.gateways.values());
        gateways.into_iter().any(|gateway| !gateway.connected)
    })
    .await;
    let mut gateway = Gateway::start_at(&says, address).await;
    let channel = gateway.channel().await;
    let request = Request::get("http://node/v1/models")
        .body(full(""))
        .unwrap();
    assert_eq!(
        channel.send(request).await.unwrap().status(),
        StatusCode::OK
    );
    assert_eq!(node.asked().len(), 1);
    agent.stop().await;
    channel.closed().await;
}

#[tokio::test]
async fn every_gateway_that_is_listed_gets_a_tunnel() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    let mut one = Gateway::start(&says).await;
    let mut two = Gateway::start(&says).await;
    says.facts.lock().unwrap().gateways = vec![one.url(), two.url()];
    let agent = Running::start(&home, node.now());
    agent.joins.put(&joined(&one.url(), &node.now())).unwrap();
    let channels = [one.channel().await, two.channel().await];
    for channel in &channels {
        let request = Request::get("http://node/v1/models")
            .body(full(""))
            .unwrap();
        assert_eq!(
            channel.send(request).await.unwrap().status(),
            StatusCode::OK
        );
    }
    // One of them ends: the other does not notice.
    channels[0].close();
    drop(one);
    let request = Request::get("http://node/v1/models")
        .body(full(""))
        .unwrap();
    assert_eq!(
        channels[1].send(request).await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_domain_that_is_left_has_no_tunnel_any_more() {
    let scene = Scene::start().await;
    scene.agent.joins.remove(PLACE.domain_id).unwrap();
    scene.channel.closed().await;
    let shown = scene.agent.standings.clone();
    until("that the domain is gone", || {
        Standings::read(&shown).unwrap().0.is_empty()
    })
    .await;
}

#[tokio::test]
async fn another_domain_under_the_same_url_is_not_served() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    says.facts.lock().unwrap().domain_id = B256::repeat_byte(0xee);
    let mut gateway = Gateway::start(&says).await;
    let agent = Running::start(&home, node.now());
    agent
        .joins
        .put(&joined(&gateway.url(), &node.now()))
        .unwrap();
    let shown = agent.standings.clone();
    let reason = || {
        let standings = Standings::read(&shown)?;
        standings.0.values().next()?.reason.clone()
    };
    until("the reason", || reason().is_some()).await;
    assert!(reason().unwrap().contains("was joined"), "{:?}", reason());
    assert!(gateway.channels.try_recv().is_err());
}

#[tokio::test]
async fn a_refusal_is_shown_with_its_reason() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    *says.refuses.lock().unwrap() = Some((403, "you are denied"));
    let gateway = Gateway::start(&says).await;
    let agent = Running::start(&home, node.now());
    agent
        .joins
        .put(&joined(&gateway.url(), &node.now()))
        .unwrap();
    let shown = agent.standings.clone();
    until("the reason", || {
        let standings = Standings::read(&shown);
        let text = serde_json::to_string(&standings).unwrap();
        text.contains("you are denied")
    })
    .await;
}

#[tokio::test]
async fn a_node_that_its_domain_forgot_joins_again() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    *says.refuses.lock().unwrap() = Some((404, "join first"));
    let mut gateway = Gateway::start(&says).await;
    let agent = Running::start(&home, node.now());
    agent
        .joins
        .put(&joined(&gateway.url(), &node.now()))
        .unwrap();
    let joins = std::sync::Arc::clone(&gateway.joins);
    until("a join", || !joins.lock().unwrap().is_empty()).await;
    *says.refuses.lock().unwrap() = None;
    gateway.channel().await;
}

#[tokio::test]
async fn a_node_that_serves_something_else_says_so_before_it_serves() {
    let home = tempfile::tempdir().unwrap();
    let (says, node) = (Says::new(), Node::start().await);
    let mut gateway = Gateway::start(&says).await;
    let mut before = joined(&gateway.url(), &node.now());
    before.config_hash = B256::repeat_byte(0xaa);
    let agent = Running::start(&home, node.now());
    agent.joins.put(&before).unwrap();
    gateway.channel().await;
    let said = gateway.joins.lock().unwrap()[0].clone();
    let hash = serde_json::to_value(node.now().config.hash()).unwrap();
    assert_eq!(said["join"]["statement"]["configHash"], hash);
    until("that it is noted", || {
        agent.joins.list().unwrap()[0].config_hash == node.now().config.hash()
    })
    .await;
}

#[tokio::test]
async fn a_join_is_signed_by_node_and_operator() {
    let says = Says::new();
    let gateway = Gateway::start(&says).await;
    let (origin, trust) = (gateway.url().parse().unwrap(), Trust::public());
    let found = facts(&origin, &trust).await.unwrap();
    assert_eq!(found.place(), PLACE);
    let (node, operator) = (key(1), key(2));
    let wish = Wish {
        operator: operator.address(),
        consent: Some(consent(&operator, &PLACE, node.address()).unwrap()),
        endpoint: String::new(),
    };
    let config = Node::start().await.now().config;
    join(&origin, &trust, &node, &PLACE, &wish, &config)
        .await
        .unwrap();
    let said = gateway.joins.lock().unwrap()[0].clone();
    let said: gaia_tunnel::messages::Join = serde_json::from_value(said).unwrap();
    let now = said.join.statement.expiry - 60;
    let verified = said.request().verify(&PLACE, Default::default(), now);
    assert_eq!(verified.unwrap().join().operator, operator.address());
    let other = Node::start().await;
    let other = format!("http://{}", other.server.address).parse().unwrap();
    let nonsense = facts(&other, &trust);
    let error = nonsense.await.unwrap_err().to_string();
    assert!(error.contains("no gateway of a domain"), "{error}");
}

#[tokio::test]
async fn a_node_that_goes_says_so_and_lets_answers_finish() {
    let mut scene = Scene::start().await;
    let mut answer = scene.chat(B256::ZERO, true).await;
    let pipe = scene.node.pipes.recv().await.unwrap();
    let uri = format!("http://node/gaia/v1/report?challenge={}", B256::ZERO);
    let request = Request::get(uri).body(full("")).unwrap();
    let report = scene.channel.send(request).await.unwrap();
    let stopping = tokio::spawn(scene.agent.stop());
    pipe.send(Ok(Frame::data(Bytes::from("data: a\n\n"))))
        .await
        .unwrap();
    assert_eq!(piece(&mut answer).await.unwrap(), "data: a\n\n");
    pipe.send(Ok(Frame::data(Bytes::from("data: b\n\n"))))
        .await
        .unwrap();
    drop(pipe);
    assert_eq!(text(answer).await, "data: b\n\n");
    assert!(text(report).await.ends_with("\"draining\":true}\n"));
    stopping.await.unwrap();
    scene.channel.closed().await;
}
