//! Who has plenty does not wait for the ledger before the first word; who has not, does. Nobody is served what the
//! ledger refuses.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use gaia_ledger::command::Reserve;
use gaia_ledger::{Command, NanoUsd};
use hyper::StatusCode;

use crate::client::{self, Answer, piece};
use crate::node::{Node, Script};
use crate::scene::*;

const WORDS: u64 = 3;

/// A database that lets nobody write, until it is let go.
struct Held {
    let_go: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Held {
    async fn new(domain: &Domain) -> Self {
        let books = domain.books.clone();
        let (let_go, wait) = mpsc::channel();
        let (holds, held) = tokio::sync::oneshot::channel();
        // Clients of databases block.
        let thread = std::thread::spawn(move || match books.starts_with("postgres") {
            true => {
                let mut client = postgres::Client::connect(&books, postgres::NoTls).unwrap();
                let mut holding = client.transaction().unwrap();
                holding.batch_execute("LOCK TABLE entries").unwrap();
                holds.send(()).unwrap();
                let_go_of(&wait);
            }
            false => {
                let client = rusqlite::Connection::open(&books).unwrap();
                client.execute_batch("BEGIN IMMEDIATE").unwrap();
                holds.send(()).unwrap();
                let_go_of(&wait);
                client.execute_batch("ROLLBACK").unwrap();
            }
        });
        held.await.unwrap();
        Self { let_go, thread }
    }

    fn let_go(self) {
        drop(self.let_go);
        self.thread.join().unwrap();
    }
}

fn let_go_of(wait: &mpsc::Receiver<()>) {
    wait.recv().unwrap_err();
}

/// A domain with so much deposited, whose gateways have all heard of it.
async fn heard_of(deposited: u64) -> Domain {
    let node = Node::new(10, Script::Say(&["one", "two", "three"]));
    let domain = Domain::with(deposited).await.and(&node).await;
    for _ in 0..2 {
        assert_eq!(domain.chat(WORDS, false).await.status, 200);
    }
    domain
}

#[tokio::test]
async fn who_has_plenty_hears_the_first_word_while_the_ledger_is_held_up() {
    let domain = heard_of(1_000_000 * WORD).await;
    let before = domain.charged().await;
    let held = Held::new(&domain).await;
    let request = request(WORDS, true);
    let response = client::begin(domain.at, "POST", CHAT, &domain.token, request).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let mut said = piece(&mut body).await.unwrap();
    assert!(said.contains("one"), "{said}");
    held.let_go();
    while let Some(more) = piece(&mut body).await {
        said.push_str(&more);
    }
    assert!(said.ends_with("data: [DONE]\n\n"), "{said}");
    assert_eq!(domain.charged().await, before + WORDS * WORD);
    assert_eq!(domain.standing().await, 0);
}

#[tokio::test]
async fn who_has_little_waits_for_the_ledger() {
    let domain = heard_of(12 * WORDS * WORD).await;
    let held = Held::new(&domain).await;
    let response = domain.chat(WORDS, true);
    tokio::pin!(response);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut response).await;
    assert!(early.is_err(), "{early:?}");
    held.let_go();
    assert_eq!(response.await.status, 200);
}

fn is_refused(answer: &Answer) -> bool {
    match answer.status {
        402 => true,
        // The first words went out before the ledger had answered.
        200 => answer.text.contains("\"error\"") && !answer.text.contains("[DONE]"),
        _ => false,
    }
}

#[tokio::test]
async fn credit_that_another_gateway_took_is_not_served_to_the_end() {
    let domain = heard_of(1_000_000 * WORD).await;
    let charged = domain.charged().await;
    let taken = Reserve {
        reservation: alloy_primitives::B256::repeat_byte(1),
        account: account(1),
        key: alloy_primitives::B256::repeat_byte(2),
        amount: NanoUsd::new(1_000_000 * WORD - charged).unwrap(),
        key_limit: None,
        lifetime_seconds: 500,
    };
    must(&open(&domain.books), "elsewhere", Command::Reserve(taken)).await;
    for stream in [true, false] {
        let answer = domain.chat(WORDS, stream).await;
        assert!(is_refused(&answer), "{answer:?}");
    }
    assert_eq!(domain.charged().await, charged);
    assert_eq!(domain.standing().await, 1);
    domain.ledger.audit().await.unwrap();
}
