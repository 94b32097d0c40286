//! What the operator sees, and paths that other parts answer.

use std::pin::Pin;
use std::sync::Arc;

use gaia_gateway::{Endpoint, Gateway, Reply, json_reply};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use crate::client;
use crate::node::{MODEL, Node, Script};
use crate::scene::*;

#[tokio::test]
async fn an_operator_sees_nodes_income_and_refusals() {
    let node = Node::new(10, Script::Say(&["one", "two"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    assert_eq!(domain.chat(9, true).await.status, 200);
    assert_eq!(domain.get("/v1/models", "").await.status, 401);
    let shown = domain.status().await;
    assert_eq!(shown["captured"], 1);
    assert_eq!(shown["incomeNanoUsd"], 2 * WORD);
    assert_eq!(shown["tokens"]["output"], 2);
    assert_eq!(shown["refused"]["401"], 1);
    assert_eq!(shown["nodes"][0]["services"][0], MODEL);
    assert_eq!(shown["nodes"][0]["connected"], true);
    until(async || domain.status().await["firstByteMs"]["p99"].is_f64()).await;

    let metrics = domain
        .get("/metrics", &format!("Bearer {OPERATOR_TOKEN}"))
        .await;
    assert_eq!(metrics.status, 200);
    for row in [
        "gaia_gateway_captured_total 1\n",
        "gaia_gateway_refused_total{status=\"401\"} 1\n",
        "gaia_gateway_tokens_total{kind=\"output\"} 2\n",
        "gaia_gateway_nodes_serving 1\n",
        "gaia_gateway_first_byte_seconds_count 1\n",
    ] {
        assert!(metrics.text.contains(row), "{row} in {}", metrics.text);
    }
}

struct Echo;

impl Endpoint for Echo {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Reply>> + Send + '_>> {
        let path = request.uri().path().to_owned();
        Box::pin(async move { json_reply(StatusCode::OK, &path) })
    }
}

#[tokio::test]
async fn other_parts_answer_below_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let mut gateway = Gateway::bind(config(ledger)).await.unwrap();
    gateway.mount("/gaia/v1/nodes", Arc::new(Echo));
    let at = gateway.local_addr();
    tokio::spawn(gateway.serve(std::future::pending()));
    let get = async |path| client::ask(at, "GET", path, "", "").await;
    assert_eq!(get("/gaia/v1/nodes").await.text, "\"/gaia/v1/nodes\"");
    assert_eq!(
        get("/gaia/v1/nodes/leave").await.text,
        "\"/gaia/v1/nodes/leave\""
    );
    assert_eq!(get("/gaia/v1/nodesandmore").await.status, 404);
}

#[tokio::test]
async fn a_gateway_that_stops_lets_running_answers_end() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    let gateway = Gateway::bind(config(ledger)).await.unwrap();
    let at = gateway.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(gateway.serve(async {
        let _ = stopped.await;
    }));
    assert_eq!(client::ask(at, "GET", "/health", "", "").await.status, 200);
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(tokio::net::TcpStream::connect(at).await.is_err());
}
