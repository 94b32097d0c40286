//! Answers: passed on as they come, counted by the gateway, captured before they end.

use std::sync::{Arc, Mutex};

use gaia_ledger::receipt::Expected;
use gaia_ledger::{Command, SignedReceipt};
use gaia_tunnel::messages::DomainFacts;
use tokio::sync::mpsc;

use crate::client::{self, end, piece};
use crate::node::{KNOWLEDGE, MODEL, Node, Script, chunk, ended};
use crate::scene::*;

#[tokio::test]
async fn an_answer_is_counted_by_the_gateway_and_its_receipt_signed_by_both() {
    let node = Node::new(10, Script::Say(&["one", "two", "three"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, false).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "one two three"
    );
    // Not what the node says it took, and not its total.
    assert_eq!(domain.charged().await, 3 * WORD);
    assert_eq!(domain.standing().await, 0);

    let path = format!("/gaia/v1/receipts/{}", answer.id.unwrap());
    until(async || domain.get(&path, "").await.text.contains("nodeSignature")).await;
    let receipt: SignedReceipt = serde_json::from_str(&domain.get(&path, "").await.text).unwrap();
    let prices = prices();
    let expected = Expected {
        domain: PLACE.signing,
        domain_id: PLACE.domain_id,
        gateway: gateway_key().address(),
        node_admitted: Some(true),
        prices: Some(&prices),
    };
    receipt.verify(&expected).unwrap();
    assert_eq!(receipt.receipt.node, node.address());
    assert_eq!(receipt.receipt.tokens.output, 3);
    assert_eq!(receipt.receipt.tokens.input, 2);
    domain.ledger.audit().await.unwrap();
}

#[tokio::test]
async fn a_stream_passes_piece_by_piece_and_ends_when_it_is_paid() {
    let (say, pieces) = mpsc::channel(1);
    let node = Node::new(10, Script::Follow(Arc::new(Mutex::new(pieces))));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let response = client::begin(domain.at, "POST", CHAT, &domain.token, request(9, true));
    let (response, ()) = tokio::join!(response, async {
        say.send(Ok(chunk("one"))).await.unwrap();
    });
    let mut body = response.into_body();
    // The next is said only once the one before was read: nothing is held back.
    assert_eq!(piece(&mut body).await.unwrap(), chunk("one"));
    say.send(Ok(chunk("two"))).await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap(), chunk("two"));
    say.send(Ok(ended())).await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap(), ended());
    assert_eq!(domain.charged().await, 0);
    say.send(Ok("data: [DONE]\n\n".to_owned())).await.unwrap();
    drop(say);
    assert_eq!(piece(&mut body).await.unwrap(), "data: [DONE]\n\n");
    assert_eq!(domain.charged().await, 2 * WORD);
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test]
async fn usage_is_asked_for_and_shown_to_none_who_did_not_ask() {
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let answer = domain.chat(9, true).await;
    assert!(node.last_body().contains("include_usage"));
    assert!(!answer.text.contains("usage"), "{}", answer.text);
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    let asked = request(9, true).replace(
        "\"stream\":true",
        "\"stream\":true,\"stream_options\":{\"include_usage\":true}",
    );
    let answer = domain.post(CHAT, asked.clone()).await;
    assert_eq!(node.last_body(), asked);
    assert!(answer.text.contains("usage"), "{}", answer.text);
    assert_eq!(domain.charged().await, 2 * WORD);
}

#[tokio::test]
async fn a_knowledge_base_is_asked_for_behind_an_at() {
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let of = |name: &str| request(9, false).replace(MODEL, name);
    let answer = domain.post(CHAT, of(&format!("{MODEL}@{KNOWLEDGE}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(node.last_body(), request(9, false));
    let answer = domain.post(CHAT, of(&format!("{MODEL}@rome"))).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    domain.until_released().await;
    let answer = domain.post(CHAT, of("other")).await;
    assert_eq!((answer.status, answer.id), (404, None));
    let listed = domain.get("/v1/models", &domain.token).await.json();
    let names: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    assert_eq!(names, [MODEL, &format!("{MODEL}@{KNOWLEDGE}")]);
}

#[tokio::test]
async fn without_a_counter_the_claim_holds_within_what_was_set_aside() {
    let node = Node::new(10, Script::Say(&["one", "two"]));
    let without = |config: &mut gaia_gateway::Config| config.models[0].counter = None;
    let domain = Domain::changed(1_000_000, without).await.and(&node).await;
    // The node says 60, and five were the most.
    assert_eq!(domain.chat(5, true).await.status, 200);
    assert_eq!(domain.charged().await, 5 * WORD);
    let entries = domain.ledger.entries(0).await.unwrap();
    let captured = entries
        .iter()
        .find(|entry| matches!(entry.command, Command::Capture { .. }));
    let key = captured.unwrap().key.as_str().to_owned();
    assert!(key.starts_with("capture:claimed:"), "{key}");
}

#[tokio::test]
async fn the_whole_api_takes_its_way() {
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    for (path, body, script) in [
        (
            "/v1/completions",
            "\"prompt\":\"Say\"",
            "{\"choices\":[{\"index\":0,\"text\":\"a\",\"finish_reason\":\"stop\"}]}",
        ),
        (
            "/v1/embeddings",
            "\"input\":\"Say\"",
            "{\"data\":[{\"embedding\":[1]}],\"usage\":{\"prompt_tokens\":1}}",
        ),
        (
            "/v1/rerank",
            "\"query\":\"a\",\"documents\":[\"b\"]",
            "{\"results\":[],\"usage\":{\"total_tokens\":1}}",
        ),
        (
            "/v1/responses",
            "\"input\":\"Say\"",
            "{\"status\":\"completed\",\"output\":[]}",
        ),
    ] {
        node.follow(Script::Reply(script));
        let answer = domain
            .post(path, format!("{{\"model\":\"{MODEL}\",{body}}}"))
            .await;
        assert_eq!((answer.status, &*answer.text), (200, script), "{path}");
    }
    let again = format!("{{\"model\":\"{MODEL}\",\"input\":\"a\",\"previous_response_id\":\"x\"}}");
    let answer = domain.post("/v1/responses", again).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "previous_response_id");
    for path in ["/v1/files", "/v1/vector_stores/a", "/v1/responses/resp_1"] {
        let answer = domain.post(path, "{}").await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.message().contains("one node"), "{}", answer.text);
    }
    assert_eq!(domain.get(CHAT, &domain.token).await.status, 405);
    assert_eq!(domain.get("/v1/nothing", &domain.token).await.status, 404);
}

#[tokio::test]
async fn a_domain_says_what_it_is() {
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let shown = domain.get("/gaia/v1/domain", "").await;
    let facts: DomainFacts = serde_json::from_str(&shown.text).unwrap();
    assert_eq!(facts.place(), PLACE);
    assert_eq!(facts.gateway_key, gateway_key().address());
    let shown = shown.json();
    assert_eq!(shown["models"][0]["name"], MODEL);
    assert_eq!(shown["models"][0]["output"], WORD * 1_000_000);
    assert_eq!(shown["models"][0]["knowledge"][0], KNOWLEDGE);
    assert_eq!(shown["priceVersion"], 3);
    assert_eq!(
        end(client::begin(domain.at, "GET", "/health", "", "").await)
            .await
            .status,
        200
    );
}
