//! What reading a stream costs: the same chunks through the meter, and through `serde_json::Value`.
//!
//! `valgrind --tool=callgrind target/release/examples/cost meter 20000` counts instructions; `cut` hands the meter half
//! an event at a time, `value` reads each event into a `Value` with its own loop, `nothing` only makes the bytes.
//! `BENCH=logprobs` before it adds log-probabilities of twenty tokens to each chunk.

use std::hint::black_box;

use gaia_metering::{Kind, Meter};
use serde_json::Value;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let how = arguments.next().unwrap_or_default();
    let chunks = arguments.next().and_then(|count| count.parse().ok());
    let chunk = chunk(std::env::var_os("BENCH").is_some());
    let written = match how.as_str() {
        "meter" => meter(&chunk, chunks.unwrap_or(1000), chunk.len()),
        "cut" => meter(&chunk, chunks.unwrap_or(1000), chunk.len().div_ceil(2)),
        "value" => value(&chunk, chunks.unwrap_or(1000)),
        "nothing" => black_box(&chunk).len(),
        _ => panic!("usage: cost meter|cut|value|nothing [CHUNKS]"),
    };
    println!("{written}");
}

/// A chunk as our nodes send it.
fn chunk(with_logprobs: bool) -> Vec<u8> {
    let token = r#"{"token":" word","logprob":-1.25,"bytes":[32,119,111,114,100]}"#;
    let top = [token; 20].join(",");
    let logprobs = match with_logprobs {
        true => format!(
            r#"{{"content":[{{"token":" word","logprob":-1.25,"bytes":[32,119],"top_logprobs":[{top}]}}]}}"#
        ),
        false => "null".to_owned(),
    };
    format!(
        "data: {{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",\
         \"created\":1790000000,\"model\":\"smollm2-135m-instruct\",\"system_fingerprint\":null,\"choices\":[{{\"index\":0,\
         \"delta\":{{\"content\":\" word\"}},\"logprobs\":{logprobs},\"finish_reason\":null}}],\"usage\":null}}\n\n"
    )
    .into_bytes()
}

fn meter(chunk: &[u8], chunks: usize, piece: usize) -> usize {
    let mut meter = Meter::new(Kind::Chat, true).hiding_usage();
    for _ in 0..chunks {
        for piece in black_box(chunk).chunks(piece) {
            black_box(meter.pass(piece));
        }
    }
    meter.finish().bytes()
}

fn value(chunk: &[u8], chunks: usize) -> usize {
    let mut text = String::new();
    for _ in 0..chunks {
        let data = black_box(chunk).trim_ascii().strip_prefix(b"data: ");
        let Some(Ok(event)) = data.map(serde_json::from_slice::<Value>) else {
            continue;
        };
        for choice in event["choices"].as_array().into_iter().flatten() {
            text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
        }
    }
    text.len()
}
