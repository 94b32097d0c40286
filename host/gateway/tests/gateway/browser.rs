//! The gateway that `web/tests/domain.spec.mjs` looks at through a browser: real sockets, a real ledger, members and
//! nodes in each state. Only the chain answers by a script.

use std::pin::Pin;
use std::sync::Arc;

use gaia_balancer::{Offer, Service};
use gaia_gateway::chain::{CHAIN_PATH, SHARES_PATH};
use gaia_gateway::{Endpoint, Gateway, Members, NodeInfo, Reply, json_reply};
use gaia_registry::AccessToken;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::client;
use crate::members::scene::{address, members_config, request};
use crate::node::{Node, Script};
use crate::scene::*;

const ASKED: &str = "GAIA_TEST_BROWSER";

/// What nodes could call a model to get at who reads it.
const HOSTILE: &str = "<img src=x onerror=document.title='broken'>";

/// Nano-USD that the payer has: enough for a few answers of the length that is asked for, and then no more.
const DEPOSITED: u64 = 1_000;

/// Says always the same.
struct Told(Value);

impl Endpoint for Told {
    fn answer(
        &self,
        _: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<Reply>> + Send + '_>> {
        Box::pin(async { json_reply(StatusCode::OK, &self.0) })
    }
}

/// What the process does: serves until it is killed.
pub fn serve_if_asked() {
    if std::env::var_os(ASKED).is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(serve());
}

async fn serve() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path());
    open_epoch(&ledger).await;
    deposit(&ledger, 1, DEPOSITED).await;
    let members = Members::open(members_config(ledger.clone())).await.unwrap();
    let mut config = config(ledger);
    config.info.gateways.clear();
    config.info.genesis = now() - 4_000;
    config.info.epoch_seconds = 3_600;
    let stable = json!({"stable": STABLE});
    config.info.contracts = stable.as_object().unwrap().clone();
    let mut gateway = Gateway::bind(config).await.unwrap();
    let (at, nodes) = (gateway.local_addr(), gateway.nodes());
    gateway.mount("/gaia/v1/nodes", Arc::new(members));
    gateway.mount(CHAIN_PATH, Arc::new(Told(chain())));
    gateway.mount(SHARES_PATH, Arc::new(Told(shares())));
    tokio::spawn(gateway.serve(std::future::pending()));
    let node = Node::new(
        10,
        Script::Say(&[
            "The",
            "lighthouse",
            "is",
            "**forty-six**",
            "metres",
            "high.",
        ]),
    );
    node.join(std::slice::from_ref(&nodes)).await;
    let strange = Node::new(11, Script::Nothing);
    strange.join(std::slice::from_ref(&nodes)).await;
    nodes.joined(brings_hostile(&strange));
    let joined = serde_json::to_vec(&request(1, 101)).unwrap();
    let joined = client::ask(at, "POST", "/gaia/v1/nodes", "", joined).await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    let token = AccessToken::new([65; 32]);
    let granted = serde_json::to_vec(&sign(grant(1, &token, 1), 1)).unwrap();
    let granted = client::ask(at, "POST", "/gaia/v1/tokens", "", granted).await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    let told = json!({
        "url": format!("http://{at}"),
        "token": token.reveal(),
        "operatorToken": OPERATOR_TOKEN,
        "node": node.address(),
        "member": address(1),
        "hostile": HOSTILE,
    });
    println!("browser={told}");
    std::future::pending::<()>().await;
}

/// A node whose model is called what no model should be.
fn brings_hostile(node: &Node) -> NodeInfo {
    NodeInfo {
        address: node.address(),
        operator: address(109),
        offer: Offer {
            services: vec![Service {
                model: HOSTILE.to_owned(),
                knowledge: None,
            }],
            sequences: 1,
            reading: None,
        },
        split: None,
    }
}

fn chain() -> Value {
    json!({
        "isFollowed": true, "creditedThrough": 1204, "head": 1216, "epoch": 1,
        "proposals": [{"id": "3", "state": "final"}, {"id": "4", "state": "proposed"}],
        "waiting": ["the charges of proposal 4 can be challenged still"],
    })
}

fn shares() -> Value {
    let share = json!({"account": STABLE, "asset": STABLE, "cumulative": 1_500_000_000_u64});
    json!({"shares": [{"share": share, "paid": 500_000_000_u64, "proof": [], "root": PLACE.domain_id}]})
}
