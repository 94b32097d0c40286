//! Many at once: nobody sees another's text, nobody waits for another's prompt, nobody is dropped.

use std::time::Duration;

use e2e::http;
use e2e::node::{Node, READY_LIMIT};
use e2e::process::wait_for;
use serde_json::json;

/// All the streams that interleave at once, and a queue that is soon full.
const RUNNING_MAX: u32 = 8;
const WAITING_MAX: u32 = 4;

#[test]
fn streams_keep_to_themselves() {
    let node = Node::new();
    node.set("requests_running_max", &RUNNING_MAX.to_string());
    node.set("queue_len_max", &WAITING_MAX.to_string());
    node.start();
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

/// As many as may run tell long stories, as many as may wait do: whoever comes then is refused, however fast the
/// machine is, and the others go on.
fn past_the_limit_there_is_429(node: &Node) {
    let story = json!({"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 1500, "ignore_eos": true});
    let mut stories: Vec<_> = (0..RUNNING_MAX).map(|_| node.chat_stream(&story)).collect();
    for story in &mut stories {
        story.next_data().expect("it begins");
    }
    let url = format!("{}/v1/chat/completions", node.url());
    let short = json!({"messages": [{"role": "user", "content": "Count."}], "max_tokens": 2});
    let ask = || http::post(&url, &short).expect("an answer, never a reset");
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..WAITING_MAX).map(|_| scope.spawn(ask)).collect();
        wait_for("a full queue", READY_LIMIT, || {
            (node.gauge("gaia_requests_waiting") == Some(WAITING_MAX.into())).then_some(())
        });
        let refused: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        for refused in refused {
            let refused = refused.join().unwrap();
            assert_eq!(refused.status, 429, "{}", refused.text);
            let seconds: u32 = refused.retry_after.unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
        assert!(waiting.iter().all(|waits| !waits.is_finished()));
        drop(stories);
        for waited in waiting {
            assert_eq!(waited.join().unwrap().status, 200);
        }
    });
}
