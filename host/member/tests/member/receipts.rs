//! The node signs what it has seen, and nothing else.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{Address, B256};
use gaia_ledger::account::{EpochNumber, Timestamp};
use gaia_ledger::price::ModelId;
use gaia_ledger::{NanoUnits, NanoUsd, Receipt};
use gaia_statements::TokenCounts;
use gaia_tunnel::messages::{MESSAGE_BYTES_MAX, ReceiptAsked, ReceiptSigned};
use hyper::{Request, StatusCode};

use crate::scene::{PLACE, Running, Scene, full, key, signed, text};

const ASSET: Address = Address::repeat_byte(0xa5);

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

/// What the gateway says of a request that took what the node of the tests always takes.
fn receipt(request: B256, earned: u64) -> Receipt {
    Receipt {
        domain_id: PLACE.domain_id,
        request_id: request,
        key_id: B256::repeat_byte(0x6e),
        payer: Address::repeat_byte(0xaa),
        asset: ASSET,
        node: key(1).address(),
        operator: key(1).address(),
        model: ModelId::of("tiny"),
        price_version: 1,
        tokens: TokenCounts {
            input: 100,
            cached: 0,
            output: 50,
        },
        cost: NanoUsd::new(10).unwrap(),
        key_cumulative: NanoUsd::new(10).unwrap(),
        account_cumulative: NanoUsd::new(10).unwrap(),
        node_cumulative: NanoUnits::new(earned).unwrap(),
        epoch: EpochNumber((now() - 1_700_000_000) / 3_600),
        time: Timestamp(now()),
    }
}

fn asked_by(number: u8, receipt: Receipt) -> ReceiptAsked {
    ReceiptAsked {
        domain: PLACE.signing,
        receipt,
        gateway_signature: signed(&key(number), &receipt.digest(&PLACE.signing)),
    }
}

fn asked(receipt: Receipt) -> ReceiptAsked {
    asked_by(99, receipt)
}

async fn post(scene: &Scene, body: String) -> (StatusCode, String) {
    let request = Request::post("http://node/gaia/v1/receipt")
        .body(full(body))
        .unwrap();
    let response = scene.channel.send(request).await.unwrap();
    (response.status(), text(response).await)
}

async fn sign(scene: &Scene, asked: &ReceiptAsked) -> Result<ReceiptSigned, String> {
    let (status, text) = post(scene, serde_json::to_string(asked).unwrap()).await;
    match status {
        StatusCode::OK => Ok(serde_json::from_str(&text).unwrap()),
        StatusCode::CONFLICT => Err(text),
        status => panic!("{status}: {text}"),
    }
}

async fn refuses(scene: &Scene, asked: &ReceiptAsked, reason: &str) {
    let refusal = sign(scene, asked).await.unwrap_err();
    assert!(refusal.contains(reason), "{refusal}");
}

/// With a request that was served, whose id is this.
async fn served(number: u8) -> (Scene, B256) {
    let scene = Scene::start().await;
    let request = B256::repeat_byte(number);
    text(scene.chat(request, false).await).await;
    (scene, request)
}

#[tokio::test]
async fn a_true_receipt_is_signed_once_and_the_same_again() {
    let (scene, request) = served(1).await;
    let asked = asked(receipt(request, 5));
    let first = sign(&scene, &asked).await.unwrap();
    let digest = asked.receipt.digest(&PLACE.signing);
    assert_eq!(first.node_signature.signer(&digest), Ok(key(1).address()));
    assert_eq!(sign(&scene, &asked).await.unwrap(), first);
}

#[tokio::test]
async fn a_receipt_of_somewhere_or_somebody_else_is_refused() {
    let (scene, request) = served(1).await;
    let other = Address::repeat_byte(0xbb);
    let right = receipt(request, 5);
    let check = |receipt, reason: &'static str| {
        let (scene, asked) = (&scene, asked(receipt));
        async move { refuses(scene, &asked, reason).await }
    };
    let domain_id = B256::repeat_byte(0xdd);
    check(Receipt { domain_id, ..right }, "not of the domain").await;
    check(
        Receipt {
            node: other,
            ..right
        },
        "is for the node",
    )
    .await;
    check(
        Receipt {
            operator: other,
            ..right
        },
        "pays the operator",
    )
    .await;
    let mut foreign = asked(right);
    foreign.domain.chain_id = 1;
    refuses(&scene, &foreign, "not of the domain").await;
    refuses(
        &scene,
        &asked_by(98, right),
        "not signed by the domain's gateway",
    )
    .await;
    let mut altered = asked(right);
    altered.receipt.cost = NanoUsd::new(11).unwrap();
    refuses(&scene, &altered, "not signed by the domain's gateway").await;
    // None of this stands in the way of the true one.
    sign(&scene, &asked(right)).await.unwrap();
}

#[tokio::test]
async fn a_receipt_of_another_time_is_refused() {
    let (scene, request) = served(1).await;
    let right = receipt(request, 5);
    let time = Timestamp(now() - 2 * 3_600);
    refuses(&scene, &asked(Receipt { time, ..right }), "here it is").await;
    let epoch = EpochNumber(right.epoch.0 + 2);
    refuses(&scene, &asked(Receipt { epoch, ..right }), "for the epoch").await;
}

#[tokio::test]
async fn a_receipt_for_what_was_not_served_or_counted_so_is_refused() {
    let (scene, request) = served(1).await;
    let unknown = receipt(B256::repeat_byte(0x99), 5);
    refuses(&scene, &asked(unknown), "has not served").await;
    let mut fewer = receipt(request, 5);
    fewer.tokens.output = 10;
    refuses(&scene, &asked(fewer), "has counted").await;
    let mut about = receipt(request, 5);
    about.tokens.output = 48;
    sign(&scene, &asked(about)).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_was_broken_off_is_paid_as_the_gateway_says() {
    let mut scene = Scene::start().await;
    let request = B256::repeat_byte(3);
    let response = scene.chat(request, true).await;
    let pipe = scene.node.pipes.recv().await.unwrap();
    drop(response);
    pipe.closed().await;
    let mut part = receipt(request, 5);
    part.tokens.output = 3;
    sign(&scene, &asked(part)).await.unwrap();
}

#[tokio::test]
async fn no_request_gets_two_receipts() {
    let (scene, request) = served(1).await;
    sign(&scene, &asked(receipt(request, 5))).await.unwrap();
    refuses(&scene, &asked(receipt(request, 6)), "another receipt").await;
}

#[tokio::test]
async fn what_was_earned_is_never_taken_back_also_not_after_a_restart() {
    let mut scene = Scene::start().await;
    let id = |number: u64| B256::left_padding_from(&number.to_be_bytes());
    // Sixty-four may overtake one another; the sixty-fifth after the first makes the first final.
    for number in 0..66_u64 {
        text(scene.chat(id(number), false).await).await;
        let earned = 1_000 + number;
        sign(&scene, &asked(receipt(id(number), earned)))
            .await
            .unwrap();
    }
    text(scene.chat(id(100), false).await).await;
    refuses(&scene, &asked(receipt(id(100), 1_000)), "has earned 1000").await;
    sign(&scene, &asked(receipt(id(100), 1_003))).await.unwrap();

    let node = scene.node.now();
    scene.agent.stop().await;
    scene.agent = Running::start(&scene.home, node);
    scene.channel = scene.gateway.channel().await;
    text(scene.chat(id(101), false).await).await;
    refuses(&scene, &asked(receipt(id(101), 999)), "has earned 999").await;
    text(scene.chat(id(5), false).await).await;
    refuses(&scene, &asked(receipt(id(5), 2_000)), "another receipt").await;
    sign(&scene, &asked(receipt(id(101), 1_066))).await.unwrap();
}

#[tokio::test]
async fn what_is_no_receipt_is_refused() {
    let scene = Scene::start().await;
    let (status, _) = post(&scene, "{}".to_owned()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = post(&scene, " ".repeat(MESSAGE_BYTES_MAX + 1)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
