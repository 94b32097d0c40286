//! A domain on its chain: deposits, tokens, refunds, nodes, stakes.

use std::time::Duration;

use alloy_primitives::{B256, U256};
use gaia_chain::contracts::Token;
use gaia_chain::{Rpc, Wallet};
use gaia_gateway::chain::{CHAIN_PATH, SHARES_PATH, note_join};
use gaia_registry::{JoinRequest, NodeJoin};
use serde_json::json;

use crate::scene::{GATEWAY, Ground, NODE, OWNER, PAYER, Scene, ask, config, key, signed};

#[tokio::test(flavor = "multi_thread")]
async fn from_a_deposit_to_a_token_to_a_refund() {
    let scene = Scene::new().await;
    scene.mint(100).await;
    let sandbox = scene.payer();
    let early = sandbox.gaia(&["token", "new", &scene.url]);
    assert!(early.err.contains("Nothing was deposited"), "{}", early.err);
    let deposited = sandbox
        .gaia(&["deposit", &scene.url, "12.50", "--json"])
        .json();
    assert_eq!(
        (&deposited["balance"], &deposited["credited"]),
        (&json!("12.5"), &json!(true))
    );
    let made = sandbox
        .gaia(&[
            "token", "new", &scene.url, "--limit", "5", "--name", "laptop", "--json",
        ])
        .json();
    let token = made["token"].as_str().unwrap();
    let account_at = format!("{}/gaia/v1/account", scene.url);
    let (status, account) = ask(&account_at, Some(token));
    assert_eq!(
        (status, &account["heldUnits"]),
        (200, &json!(12_500_000_000_u64))
    );
    assert_eq!(account["limitNanoUsd"], json!(5_000_000_000_u64));
    let kept = std::fs::read_to_string(sandbox.path("home/tokens.json")).unwrap();
    assert!(!kept.contains(&token[5..]), "the token itself is kept");
    assert!(sandbox.gaia(&["token", "list"]).ok().contains("laptop"));
    sandbox.gaia(&["token", "revoke", "laptop"]).ok();
    assert_eq!(ask(&account_at, Some(token)).0, 401);
    let refund = sandbox
        .gaia(&["refund", &scene.url, "2.5", "--json"])
        .json();
    assert_eq!(
        (&refund["balance"], &refund["askedBack"]),
        (&json!("12.5"), &json!("2.5"))
    );
    let early = sandbox.gaia(&["refund", &scene.url, "--draw"]);
    assert!(early.err.contains("wait until then"), "{}", early.err);
    let nothing = sandbox.gaia(&["claim", &scene.url]).ok();
    assert!(nothing.contains("no share"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lacks_money_is_told_of_what_and_how_much() {
    let scene = Scene::new().await;
    let sandbox = scene.payer();
    let poor = sandbox.gaia(&["deposit", &scene.url, "12.50"]);
    assert_eq!(poor.code, 1);
    assert!(
        poor.err.contains("has 0 TUSD, 12.5 are needed"),
        "{}",
        poor.err
    );
    scene.mint(100).await;
    scene.ground.set_coin(key(PAYER).address(), 0).await;
    let broke = sandbox.gaia(&["deposit", &scene.url, "12.50"]);
    assert_eq!(broke.code, 1);
    let words = format!(
        "{} has too little of the chain's coin",
        key(PAYER).address()
    );
    assert!(broke.err.contains(&words), "{}", broke.err);
}

fn join(scene: &Scene, expiry: u64) -> JoinRequest {
    let node = key(NODE).address();
    let join = NodeJoin {
        domain_id: scene.domain.place.domain_id,
        node,
        operator: node,
        config_hash: B256::ZERO,
        endpoint: String::new(),
        nonce: expiry,
        expiry,
    };
    JoinRequest {
        join: signed(join, scene.domain.signing_domain(), NODE),
        consent: None,
    }
}

/// What the operator is told, until `look` finds it so.
async fn until_told(scene: &Scene, look: impl Fn(&str) -> bool) {
    loop {
        let all = scene.ground.notices.all();
        let about = all.iter().find(|(about, _)| *about == "admission");
        if look(about.map_or("", |(_, text)| text)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_is_told_of_nodes_that_join() {
    let scene = Scene::new().await;
    let ledger = &scene.ground.ledger;
    let node = key(NODE).address();
    // A statement that is over admits nobody: its node's receipts would prove nothing.
    note_join(ledger, &join(&scene, 1)).await.unwrap();
    until_told(&scene, |told| {
        told.contains(&node.to_string()) && told.contains("gaia join")
    })
    .await;
    // A gateway without coin cannot admit, and says so.
    let gateway = key(GATEWAY).address();
    scene.ground.set_coin(gateway, 0).await;
    note_join(ledger, &join(&scene, u64::MAX)).await.unwrap();
    until_told(&scene, |told| {
        told.contains(&format!("{gateway} has too little of the chain's coin"))
    })
    .await;
    scene.ground.set_coin(gateway, u64::MAX).await;
    until_told(&scene, str::is_empty).await;
    let admitted = gaia_chain::registry::was_admitted(&scene.domain, node).await;
    assert!(admitted.unwrap());
}

/// What comes to `listener` goes to `to`, both ways.
async fn pass_on(listener: tokio::net::TcpListener, to: String) {
    loop {
        let (mut inside, _) = listener.accept().await.unwrap();
        let to = to.clone();
        tokio::spawn(async move {
            let mut outside = tokio::net::TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_starts_without_its_chain_and_finds_it_later() {
    let ground = Ground::new().await;
    // A port where nobody listens yet.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = port.local_addr().unwrap();
    drop(port);
    let rpc = format!("http://{at}");
    let chain = ground.chain(&rpc, None, None);
    let error = chain.connect().await.unwrap_err();
    assert!(error.is_passing(), "{error}");
    assert!(ground.notices.all()[0].1.contains("failed to reach"));
    let url = ground.serve(chain).await;
    let ask = |path: &str| ask(&format!("{url}{path}"), None);
    let shares = format!("{SHARES_PATH}/{}", key(NODE).address());
    let (status, told) = ask(CHAIN_PATH);
    assert_eq!(
        (status, &told["isFollowed"]),
        (200, &json!(false)),
        "{told}"
    );
    assert_eq!(ask(&shares).0, 503);
    // Now it is there.
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let anvil_at = ground.anvil.1.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(pass_on(listener, anvil_at));
    while ask(CHAIN_PATH).1["isFollowed"] != json!(true) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(CHAIN_PATH).1["escrow"], json!(ground.deployment.escrow));
    assert_eq!(ask(&shares).0, 200);
    assert_eq!(ground.notices.all(), []);
    // A chain that says something else is another matter.
    let prices = config(ground.ledger.clone(), &ground.deployment).prices;
    let error = ground
        .chain(&rpc, None, Some(prices))
        .connect()
        .await
        .unwrap_err();
    assert!(
        !error.is_passing() && error.to_string().contains("publish-prices"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_chain_said_of_a_stake_is_believed_when_it_is_gone() {
    use gaia_chain::stake::StakeVault;
    use gaia_gateway::members::{ChainStakes, Stakes as _};
    let ground = Ground::new().await;
    let deployment = &ground.deployment;
    let rpc = Rpc::new(&ground.anvil.1);
    let vault = StakeVault::new(rpc.clone(), deployment.stake, deployment.domain_id);
    let stakes = ChainStakes::new(vault, Duration::ZERO);
    let (owner, node) = (key(OWNER).address(), key(NODE).address());
    assert_eq!(stakes.known(owner), None);
    let wallet = Wallet::open(rpc, 31337, key(OWNER)).await.unwrap();
    let assets = U256::from(3) * U256::from(10).pow(U256::from(18));
    let approve = Token::approveCall {
        spender: deployment.stake,
        value: assets,
    };
    wallet.send(deployment.token, approve).await.unwrap();
    let deposit = gaia_chain::contracts::Stake::depositCall {
        assets,
        receiver: owner,
    };
    wallet.send(deployment.stake, deposit).await.unwrap();
    assert_eq!(stakes.staked(owner).await.unwrap(), 3_000_000_000);
    assert_eq!(stakes.known(owner), Some(3_000_000_000));
    drop(ground.anvil);
    assert_eq!(stakes.staked(owner).await.unwrap(), 3_000_000_000);
    let error = stakes.staked(node).await.unwrap_err().to_string();
    assert!(
        error.contains("failed to reach") && error.contains(&node.to_string()),
        "{error}"
    );
    assert_eq!(stakes.known(node), None);
}
