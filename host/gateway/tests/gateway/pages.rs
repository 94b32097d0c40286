//! What a domain shows in a browser: its pages, the headers that hold them, and who may ask from where.

use hyper::header::HeaderMap;

use crate::client;
use crate::node::{Node, Script};
use crate::scene::*;

const EVIL: &str = "https://evil.example";

/// The status and the head of an answer.
async fn head(
    domain: &Domain,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap) {
    let response = client::with(domain.at, method, path, headers).await;
    (response.status().as_u16(), response.headers().clone())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_domains_pages_are_there_for_everybody_and_hold_their_browser_tight() {
    let domain = Domain::with(1).await;
    for path in ["/", "/gaia/dashboard", "/gaia/earnings"] {
        let (status, headers) = head(&domain, "GET", path, &[]).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(text(&headers, "content-type"), "text/html; charset=utf-8");
        let policy = text(&headers, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"));
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(&headers, "referrer-policy"), "no-referrer");
        assert_eq!(text(&headers, "cache-control"), "no-cache");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
    let page = domain.get("/", "").await.text;
    assert!(page.contains("data-place=\"domain\""), "{page}");
    let script = page.split("src=\"").nth(1).unwrap().split('"').next();
    let (status, headers) = head(&domain, "GET", script.unwrap(), &[]).await;
    assert_eq!(status, 200);
    assert!(text(&headers, "cache-control").contains("immutable"));
    let tag = text(&headers, "etag").to_owned();
    let again = head(&domain, "GET", script.unwrap(), &[("if-none-match", &tag)]).await;
    assert_eq!(again.0, 304);
    assert_eq!(domain.get("/gaia/earnings/0x1", "").await.status, 404);
    let posted = client::ask(domain.at, "POST", "/", "", "").await;
    assert_eq!(posted.status, 404);
}

#[tokio::test]
async fn a_page_of_anybody_may_use_the_api_with_its_own_token() {
    let domain = Domain::with(1_000_000).await;
    let preflight = [
        ("origin", EVIL),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization, content-type",
        ),
    ];
    for path in [CHAT, "/v1/models", "/gaia/v1/domain", "/gaia/v1/account"] {
        let (status, headers) = head(&domain, "OPTIONS", path, &preflight).await;
        assert_eq!(status, 204, "{path}");
        assert_eq!(text(&headers, "access-control-allow-origin"), "*");
        assert!(text(&headers, "access-control-allow-headers").contains("authorization"));
        assert!(text(&headers, "access-control-allow-methods").contains("POST"));
        // A star is never good together with what a browser adds by itself.
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }
    let asked = [("origin", EVIL), ("authorization", domain.token.as_str())];
    let (status, headers) = head(&domain, "GET", "/v1/models", &asked).await;
    assert_eq!(status, 200);
    assert_eq!(text(&headers, "access-control-allow-origin"), "*");
    assert!(text(&headers, "access-control-expose-headers").contains("x-gaia-request-id"));
    assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
    assert_eq!(text(&headers, "cache-control"), "no-store");
    // Refusals can be read, too: a page must be able to say why.
    let (status, headers) = head(&domain, "GET", "/v1/models", &[("origin", EVIL)]).await;
    assert_eq!(status, 401);
    assert_eq!(text(&headers, "access-control-allow-origin"), "*");
}

#[tokio::test]
async fn no_other_page_reads_what_is_the_operators() {
    let domain = Domain::with(1).await;
    let token = format!("Bearer {OPERATOR_TOKEN}");
    let own = format!("http://{}", domain.at);
    let host = domain.at.to_string();
    for path in ["/gaia/v1/status", "/metrics"] {
        let check = async |more: &[(&str, &str)], expected: u16| {
            let headers = [&[("authorization", token.as_str())], more].concat();
            let (status, headers) = head(&domain, "GET", path, &headers).await;
            assert_eq!(status, expected, "{path} {more:?}");
            assert!(!headers.contains_key("access-control-allow-origin"));
            assert_eq!(
                text(&headers, "cross-origin-resource-policy"),
                "same-origin"
            );
        };
        check(&[], 200).await;
        check(&[("origin", &own), ("host", &host)], 200).await;
        check(&[("sec-fetch-site", "same-origin")], 200).await;
        check(&[("origin", EVIL)], 403).await;
        check(&[("origin", "null")], 403).await;
        check(&[("sec-fetch-site", "cross-site")], 403).await;
        let preflight = [("origin", EVIL), ("access-control-request-method", "GET")];
        let (status, headers) = head(&domain, "OPTIONS", path, &preflight).await;
        assert_eq!(status, 204);
        assert!(!headers.contains_key("access-control-allow-origin"));
        assert!(!headers.contains_key("access-control-allow-headers"));
    }
}

#[tokio::test]
async fn what_an_operator_has_earned_is_told_by_node() {
    let node = Node::new(10, Script::Say(&["one", "two"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    let operator = "0x0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b";
    let path = format!("/gaia/v1/earnings/{operator}");
    let nobody = domain.get(&path, "").await;
    assert_eq!(nobody.status, 200, "{}", nobody.text);
    assert_eq!(nobody.json()["nodes"].as_array().unwrap().len(), 0);
    for stream in [true, false] {
        assert_eq!(domain.chat(9, stream).await.status, 200);
    }
    // Nine tenths of fourteen, twice, each by the largest remainder.
    let shown = domain.get(&path, "").await.json();
    assert_eq!(shown["open"][0]["role"], "node-operator");
    assert_eq!(shown["open"][0]["epoch"], 1);
    assert_eq!(shown["open"][0]["nanoUsd"], 26);
    let row = &shown["nodes"][0];
    assert_eq!(row["node"], node.address().to_string().to_lowercase());
    assert_eq!(row["earnedNanoUnits"], 26);
    assert_eq!(row["served"]["answered"], 2);
    assert_eq!(row["served"]["tokens"]["output"], 4);
    assert_eq!(row["isConnected"], true);
    assert_eq!(shown["hasMore"], false);
    let behind = format!("{path}?after={}", node.address());
    let behind = domain.get(&behind, "").await.json();
    assert_eq!(behind["nodes"].as_array().unwrap().len(), 0);
    assert_eq!(domain.get("/gaia/v1/earnings/me", "").await.status, 400);
    let bad = domain.get(&format!("{path}?after=me"), "").await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn an_operator_sees_what_each_node_has_served() {
    let node = Node::new(10, Script::Say(&["one", "two"]));
    let domain = Domain::with(1_000_000).await.and(&node).await;
    assert_eq!(domain.chat(9, true).await.status, 200);
    node.follow(Script::Status(500, "{}"));
    assert_eq!(domain.chat(9, true).await.status, 502);
    let shown = domain.status().await;
    let row = &shown["nodes"][0];
    assert_eq!(row["answered"], 1);
    assert!(row["failed"].as_u64().unwrap() >= 1, "{row}");
    assert_eq!(row["paidNanoUsd"], 2 * WORD);
    assert_eq!(row["tokens"]["output"], 2);
    assert!(row["firstByteMs"]["p50"].is_f64(), "{row}");
    assert!(row["silentSeconds"].is_u64(), "{row}");
    assert_eq!(
        (&shown["nodesKnown"], &shown["hasMoreNodes"]),
        (&1.into(), &false.into())
    );
    let income = shown["income"].as_array().unwrap();
    let sum: u64 = income
        .iter()
        .map(|row| row["nanoUsd"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, 2 * WORD);
    let token = format!("Bearer {OPERATOR_TOKEN}");
    let page = format!("/gaia/v1/status?after={}", node.address());
    let behind = domain.get(&page, &token).await.json();
    assert_eq!(behind["nodes"].as_array().unwrap().len(), 0);
    let bad = domain.get("/gaia/v1/status?after=me", &token).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn a_token_is_told_what_it_can_still_spend() {
    let node = Node::new(10, Script::Say(&["one", "two"]));
    let domain = Domain::with(100).await.and(&node).await;
    let left = async || {
        domain.get("/gaia/v1/account", &domain.token).await.json()["availableNanoUsd"].clone()
    };
    assert_eq!(left().await, 100);
    assert_eq!(domain.chat(9, true).await.status, 200);
    domain.until_charged(2 * WORD).await;
    assert_eq!(left().await, 100 - 2 * WORD);
    // Twelve words cost less than what is left, thirteen more.
    assert_eq!(domain.chat(13, true).await.status, 402);
    assert_eq!(domain.chat(12, true).await.status, 200);
}
