//! A whole node over HTTP, as a client meets it.

use std::path::Path;
use std::time::Instant;

use e2e::node::Node;
use serde_json::{Value, json};

use crate::sample::{Stream, median};
use crate::{at_once, prompt};

/// Seconds from `gaia start` to a node that answers, with everything compiled and pulled before.
pub fn start_seconds(node: &Node) -> f64 {
    let begun = Instant::now();
    node.start();
    begun.elapsed().as_secs_f64()
}

/// So many answers at once.
pub fn streams(node: &Node, count: usize, tokens: u32, seed: u32) -> Vec<Stream> {
    at_once(count, |stream| one(node, tokens, &prompt(seed, stream)))
}

fn one(node: &Node, tokens: u32, text: &str) -> Stream {
    let body = json!({
        "messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": tokens, "ignore_eos": true,
        "stream_options": {"include_usage": true}});
    let asked = Instant::now();
    let mut events = node.chat_stream(&body);
    let (mut first, mut counted) = (None, 0);
    while let Some(data) = events.next_data() {
        let chunk: Value = serde_json::from_str(&data).unwrap_or_default();
        let text = chunk["choices"][0]["delta"]["content"].as_str();
        if text.is_some_and(|text| !text.is_empty()) {
            first.get_or_insert_with(Instant::now);
        }
        if let Some(tokens) = chunk["usage"]["completion_tokens"].as_u64() {
            counted = u32::try_from(tokens).unwrap_or(u32::MAX);
        }
    }
    let ended = Instant::now();
    Stream {
        asked,
        first: first.unwrap_or(ended),
        ended,
        tokens: counted,
    }
}

/// Documents and passages a second, from `gaia knowledge add` to its end.
pub fn ingest(node: &Node, folder: &Path) -> (f64, f64) {
    let begun = Instant::now();
    node.gaia_ok(&["knowledge", "add", &folder.to_string_lossy()]);
    let seconds = begun.elapsed().as_secs_f64();
    let documents = std::fs::read_dir(folder).map_or(0, Iterator::count);
    let passages = node.get("/v1/info").json()["knowledge"]["points"]
        .as_u64()
        .unwrap_or_default();
    (documents as f64 / seconds, passages as f64 / seconds)
}

/// The median time of a question to the store: embedded, searched, cited.
pub fn retrieval_ms(node: &Node, rounds: usize) -> f64 {
    let times = (0..rounds).map(|round| {
        let begun = Instant::now();
        let _ = node.post(
            "/v1/retrieve",
            &json!({"query": format!("How do I add documents? {round}")}),
        );
        begun.elapsed().as_secs_f64() * 1e3
    });
    median(times.collect())
}
