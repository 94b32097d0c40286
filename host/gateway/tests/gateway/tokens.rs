//! Access tokens: none, wrong ones and old ones open nothing; grants count once.

use alloy_primitives::{Address, B256};
use gaia_registry::{AccessToken, TokenGrant, TokenRevocation};
use gaia_statements::SigningDomain;

use crate::client;
use crate::node::{Node, Script};
use crate::scene::*;

#[tokio::test]
async fn without_a_good_token_it_is_401_always() {
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let unknown = format!("Bearer {}", AccessToken::new([9; 32]).reveal());
    let bare = domain.token.trim_start_matches("Bearer ").to_owned();
    let tokens = [
        "",
        &bare,
        "Bearer",
        "Bearer ",
        "Bearer gaia_",
        "Basic Z2FpYTpnYWlh",
        &format!("Basic {bare}"),
        &unknown,
        &format!("{}0", domain.token),
        &format!("Bearer {OPERATOR_TOKEN}"),
    ];
    for token in tokens {
        for (method, path) in [
            ("POST", CHAT),
            ("POST", "/v1/completions"),
            ("POST", "/v1/embeddings"),
            ("POST", "/v1/rerank"),
            ("POST", "/v1/responses"),
            ("GET", "/v1/models"),
            ("GET", "/v1/files"),
            ("GET", "/v1/anything"),
            ("GET", "/gaia/v1/account"),
        ] {
            let answer = client::ask(domain.at, method, path, token, request(9, false)).await;
            assert_eq!(
                answer.status, 401,
                "{method} {path} with `{token}`: {}",
                answer.text
            );
        }
    }
    assert_eq!(node.requests(), 0);
    for path in ["/gaia/v1/status", "/metrics"] {
        assert_eq!(domain.get(path, &domain.token).await.status, 401, "{path}");
        assert_eq!(domain.get(path, "").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_grant_counts_once_and_only_as_it_was_signed() {
    let domain = Domain::with(1_000_000).await;
    let token = AccessToken::new([7; 32]);
    let check = async |statement: &_, status: u16, said: &str| {
        let answer = domain.hand_in("", statement).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.message().contains(said), "{}", answer.text);
    };
    let good = grant(1, &token, 5);
    let late = TokenGrant {
        expiry: now() - 10,
        ..good.clone()
    };
    check(&sign(late, 1), 400, "was good until").await;
    let long = TokenGrant {
        expiry: now() + 100_000,
        ..good.clone()
    };
    check(&sign(long, 1), 400, "nearer expiry").await;
    let chain = SigningDomain {
        chain_id: 1,
        ..PLACE.signing
    };
    check(&sign_for(chain, good.clone(), 1), 400, "signed for chain 1").await;
    let elsewhere = TokenGrant {
        domain_id: B256::ZERO,
        ..good.clone()
    };
    check(&sign(elsewhere, 1), 400, "signed for the domain").await;
    check(&sign(good.clone(), 2), 403, "signed it").await;
    let mut altered = sign(good.clone(), 1);
    altered.statement.limit = 1_000;
    check(&altered, 403, "signed it").await;
    let poor = TokenGrant {
        asset: Address::repeat_byte(0xbb),
        ..good.clone()
    };
    check(&sign(poor, 1), 402, "Nothing was deposited").await;

    let signed = sign(good.clone(), 1);
    assert_eq!(domain.hand_in("", &signed).await.status, 201);
    check(&signed, 409, "nonce 5 was used").await;
    // Somebody else's token cannot be taken over, nor one's own be granted twice.
    deposit(&domain.ledger, 2, 10).await;
    check(&sign(grant(2, &token, 1), 2), 409, "draw a new token").await;
    check(&sign(grant(1, &token, 6), 1), 409, "draw a new token").await;
    assert_eq!(domain.hand_in("", &"{}").await.status, 400);
    let answer = domain
        .get("/gaia/v1/account", &format!("Bearer {}", token.reveal()))
        .await;
    assert_eq!(answer.json()["heldUnits"], 1_000_000);
}

#[tokio::test]
async fn a_payer_has_so_many_tokens_and_no_more() {
    let domain = Domain::with(1_000_000).await;
    let payer = account(1).payer.to_string();
    let many = "{\"nonce\":1,\"tokens\":1000}";
    domain
        .ledger
        .put_record("payer", &payer, many, None)
        .await
        .unwrap();
    let token = AccessToken::new([7; 32]);
    let answer = domain.hand_in("", &sign(grant(1, &token, 5), 1)).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let node = Node::new(10, Script::Say(&["one"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    deposit(&domain.ledger, 2, 1_000).await;
    let other = domain.token_of(2, 1).await;
    let revocation = |payer: u8, token: &str, nonce| TokenRevocation {
        domain_id: PLACE.domain_id,
        payer: account(payer).payer,
        token_hash: AccessToken::parse(token.trim_start_matches("Bearer "))
            .unwrap()
            .id(),
        nonce,
        expiry: now() + 60,
    };
    assert_eq!(domain.chat(9, false).await.status, 200);
    // Another's token is none of one's own.
    let foreign = sign(revocation(1, &other, 8), 1);
    assert_eq!(domain.hand_in("/revoke", &foreign).await.status, 404);
    let forged = sign(revocation(1, &domain.token, 8), 2);
    assert_eq!(domain.hand_in("/revoke", &forged).await.status, 403);
    assert_eq!(domain.chat(9, false).await.status, 200);
    let signed = sign(revocation(1, &domain.token, 8), 1);
    assert_eq!(domain.hand_in("/revoke", &signed).await.status, 200);
    assert_eq!(domain.chat(9, false).await.status, 401);
    assert_eq!(domain.hand_in("/revoke", &signed).await.status, 409);
    let answer = client::ask(domain.at, "POST", CHAT, &other, request(9, false)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_token_spends_no_more_than_its_limit() {
    let node = Node::new(10, Script::Say(&["one", "two"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let token = AccessToken::new([7; 32]);
    let limited = TokenGrant {
        limit: 5 * WORD,
        ..grant(1, &token, 5)
    };
    assert_eq!(domain.hand_in("", &sign(limited, 1)).await.status, 201);
    let token = format!("Bearer {}", token.reveal());
    let ask = async || client::ask(domain.at, "POST", CHAT, &token, request(2, false)).await;
    assert_eq!(ask().await.status, 200);
    assert_eq!(ask().await.status, 200);
    let answer = ask().await;
    assert_eq!(answer.status, 402, "{}", answer.text);
    assert!(
        answer.message().contains("raise its limit"),
        "{}",
        answer.text
    );
    assert_eq!(domain.charged().await, 4 * WORD);
}
