//! Hundreds of answers over sixty-four clients, each forced by a grammar to be a nonce of its own: whole ones,
//! streamed ones, and ones whose client goes away in the middle. Nobody may see a piece of another's.

use std::time::Duration;

use e2e::http;
use e2e::node::Node;
use e2e::process::wait_for;
use e2e::random_model::{self, TINY};
use serde_json::{Value, json};

const CLIENTS: u64 = 64;
const TURNS: u64 = 6;
/// Long enough that a client can go in the middle.
const NONCE_WORDS: u64 = 6;

/// How a client takes its answer.
#[derive(Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    Streamed,
    /// Goes away after so many events.
    Cancelled(u64),
}

#[test]
fn nobody_sees_a_piece_of_anothers_answer() {
    let node = Node::new();
    // A model of random numbers: what keeps answers apart does not depend on what they say.
    node.set("chat_model", &random_model::path(TINY).to_string_lossy());
    node.set("embedding_model", "");
    node.set("requests_running_max", "16");
    node.set("ctx_size", "512");
    node.start();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let node = &node;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let turns = 0..TURNS;
                    turns
                        .filter_map(|turn| wrong(node, client, turn))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client does not panic"))
            .collect()
    });
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
    wait_for("all sequences to be free", Duration::from_secs(20), || {
        (node.gauge("gaia_requests_running") == Some(0.0)).then_some(())
    });
    assert!(
        node.gauge("gaia_aborted_total") > Some(0.0),
        "clients went away while they were answered"
    );
}

/// What is wrong with the answer to this client, if anything.
fn wrong(node: &Node, client: u64, turn: u64) -> Option<String> {
    let manner = manner(client, turn);
    let nonce = nonce(client, turn);
    let body = json!({
        "messages": [{"role": "user", "content": format!("Say {nonce}.")}],
        "grammar": format!("root ::= \"{nonce}\""), "max_tokens": 200});
    let (text, good) = match manner {
        Manner::Whole => {
            let answer = node.post("/v1/chat/completions", &body);
            let text = match answer.status {
                200 => answer.json()["choices"][0]["message"]["content"].clone(),
                _ => Value::String(answer.text),
            };
            let text = text.as_str().unwrap_or_default().to_owned();
            let good = text == nonce;
            (text, good)
        }
        Manner::Streamed => {
            let text = http::content(&node.chat_stream(&body).rest());
            let good = text == nonce;
            (text, good)
        }
        Manner::Cancelled(events) => {
            let mut stream = node.chat_stream(&body);
            let seen: Vec<String> = (0..events).map_while(|_| stream.next_data()).collect();
            drop(stream);
            let text = http::content(&seen);
            let good = nonce.starts_with(&text);
            (text, good)
        }
    };
    (!good).then(|| format!("{manner:?}: {text:?} instead of {nonce:?}"))
}

/// A third each, by chance that is the same in every run.
fn manner(client: u64, turn: u64) -> Manner {
    let chance = mixed(client, turn, 0);
    match chance % 3 {
        0 => Manner::Whole,
        1 => Manner::Streamed,
        _ => Manner::Cancelled(chance / 3 % 8),
    }
}

/// Words that no other request has.
fn nonce(client: u64, turn: u64) -> String {
    let words = (1..=NONCE_WORDS).map(|word| format!("{:06x}", mixed(client, turn, word) >> 40));
    format!("{client}x{turn}-{}", words.collect::<Vec<_>>().join("-"))
}

fn mixed(client: u64, turn: u64, word: u64) -> u64 {
    let mut mixed = client << 32 | turn << 16 | word;
    for _ in 0..3 {
        mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
    }
    mixed
}

#[test]
fn there_is_some_of_everything() {
    let all = || (0..CLIENTS).flat_map(|client| (0..TURNS).map(move |turn| (client, turn)));
    let count = |wanted: fn(&Manner) -> bool| {
        all()
            .filter(|(client, turn)| wanted(&manner(*client, *turn)))
            .count()
    };
    assert!(count(|manner| *manner == Manner::Whole) > 90);
    assert!(count(|manner| *manner == Manner::Streamed) > 90);
    assert!(count(|manner| matches!(manner, Manner::Cancelled(_))) > 90);
    let nonces: std::collections::HashSet<_> =
        all().map(|(client, turn)| nonce(client, turn)).collect();
    assert_eq!(nonces.len() as u64, CLIENTS * TURNS);
}
