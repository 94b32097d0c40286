//! Many at once: nobody sees another's text, nobody waits for another's prompt, nobody is dropped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use e2e::http;
use e2e::node::Node;
use e2e::process::wait_for;
use serde_json::json;

#[test]
fn streams_keep_to_themselves() {
    let node = Node::started();
    nonces(&node);
    a_long_prompt_does_not_stop_health(&node);
    a_dropped_client_frees_its_sequence(&node);
    past_the_limit_there_is_429(&node);
}

/// Eight interleaved streams, each held by a grammar to its own nonce.
fn nonces(node: &Node) {
    let answers: Vec<(String, String)> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|index| {
                let nonce = format!("nonce-{index}-{}", "abcdefgh".repeat(index + 2));
                let body = json!({
                    "messages": [{"role": "user", "content": format!("Say {index}")}],
                    "grammar": format!("root ::= \"{nonce}\""), "max_tokens": 200});
                scope.spawn(move || (nonce, http::content(&node.chat_stream(&body).rest())))
            })
            .collect();
        asked
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    for (nonce, answer) in answers {
        assert_eq!(answer, nonce);
    }
}

fn a_long_prompt_does_not_stop_health(node: &Node) {
    let text = "All work and no play makes a dull day. ".repeat(120);
    std::thread::scope(|scope| {
        let body = json!({"messages": [{"role": "user", "content": text}], "max_tokens": 2});
        let reading = scope.spawn(move || node.post("/v1/chat/completions", &body).status);
        let mut asked = 0;
        while !reading.is_finished() {
            assert_eq!(node.get("/health").status, 200);
            asked += 1;
        }
        assert_eq!(reading.join().unwrap(), 200);
        assert!(
            asked > 2,
            "health answered {asked} times while the prompt was read"
        );
    });
}

fn a_dropped_client_frees_its_sequence(node: &Node) {
    let body = json!({"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 1500, "ignore_eos": true});
    let mut stream = node.chat_stream(&body);
    stream.next_data().expect("it begins");
    assert_eq!(node.gauge("gaia_requests_running"), Some(1.0));
    drop(stream);
    wait_for("the sequence to be free", Duration::from_secs(20), || {
        (node.gauge("gaia_requests_running") == Some(0.0)).then_some(())
    });
}

fn past_the_limit_there_is_429(node: &Node) {
    let url = format!("{}/v1/chat/completions", node.url());
    let body = json!({"messages": [{"role": "user", "content": "Count."}], "max_tokens": 40, "ignore_eos": true});
    let started = Instant::now();
    let answers: Vec<http::Answer> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..200)
            .map(|_| scope.spawn(|| http::post(&url, &body).expect("an answer, never a reset")))
            .collect();
        asked
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert!(
        !refused.is_empty(),
        "two hundred at once are more than the queue holds ({:?})",
        started.elapsed()
    );
    let sane = |answer: &http::Answer| {
        let seconds = answer.retry_after.as_deref()?.parse::<u32>().ok()?;
        (1..=60).contains(&seconds).then_some(())
    };
    assert!(
        refused.iter().all(|answer| sane(answer).is_some()),
        "with Retry-After"
    );
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 200 | 429)),
        "nothing else"
    );
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 8);
}
