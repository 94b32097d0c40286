//! Encodes what `get_output` gives.

use gaia_engine::{Embeddings, FinishReason, ModelFacts, TokenEvent, TokenId, TopToken, Usage};
use serde::Serialize;
use serde_json::json;

/// The number in `gaia-engine` by which a guest knows this plugin from the stock one.
const EXTENSION_VERSION: u32 = 1;

/// Output 1.
pub(crate) fn metadata(usage: Usage, finish: Option<&FinishReason>) -> Vec<u8> {
    let build = gaia_engine::engine_build();
    let stop_sequence = match finish {
        Some(FinishReason::StopString(stop)) => Some(stop),
        _ => None,
    };
    json(&json!({
        "input_tokens": usage.prompt,
        "output_tokens": usage.generated,
        "cached_tokens": usage.cached,
        "llama_build_number": build.number,
        "llama_commit": build.commit,
        "finish_reason": finish.map(finish_name),
        "stop_sequence": stop_sequence,
    }))
}

fn finish_name(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopString(_) => "stop",
        FinishReason::Length | FinishReason::ContextFull => "length",
        FinishReason::Aborted | FinishReason::Failed(_) => "abort",
    }
}

/// Output 9.
pub(crate) fn cells(used: usize, facts: &ModelFacts) -> Vec<u8> {
    json(&json!({"used": used, "cells": facts.n_cells}))
}

/// Output 2; `loaded`: whether the model is in memory now.
pub(crate) fn facts(facts: &ModelFacts, loaded: bool) -> Vec<u8> {
    #[derive(Serialize)]
    struct Output<'a> {
        #[serde(rename = "gaia-engine")]
        version: u32,
        loaded: bool,
        #[serde(flatten)]
        facts: &'a ModelFacts,
    }
    json(&Output {
        version: EXTENSION_VERSION,
        loaded,
        facts,
    })
}

/// Output 5.
pub(crate) fn events(events: &[TokenEvent]) -> Vec<u8> {
    let encoded: Vec<_> = events
        .iter()
        .map(|event| {
            json!({
                "id": event.id,
                "text": String::from_utf8_lossy(&event.bytes),
                "bytes": event.bytes,
                "logprob": event.logprob,
                "top": event.top.iter().map(top).collect::<Vec<_>>(),
            })
        })
        .collect();
    json(&encoded)
}

fn top(token: &TopToken) -> serde_json::Value {
    json!({
        "id": token.id,
        "text": String::from_utf8_lossy(&token.bytes),
        "bytes": token.bytes,
        "logprob": token.logprob,
    })
}

/// Output 0 of an embedding graph, as the stock plugin writes it.
pub(crate) fn first_embedding(embeddings: &Embeddings) -> Vec<u8> {
    let first = embeddings.values.get(..embeddings.dimensions);
    json(&json!({
        "n_embedding": embeddings.dimensions,
        "embedding": first.unwrap_or_default(),
    }))
}

/// Outputs 3 and 6.
pub(crate) fn numbers(numbers: &[TokenId]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Output 6.
pub(crate) fn counts(counts: &[usize]) -> Vec<u8> {
    let number = |count: &usize| i32::try_from(*count).unwrap_or(i32::MAX).to_le_bytes();
    counts.iter().flat_map(number).collect()
}

/// Output 4.
pub(crate) fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

/// Encodes what is always encodable: our own structs, without maps keyed by anything but text.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_the_stock_keys_and_ours() {
        let usage = Usage {
            prompt: 3,
            generated: 2,
            cached: 1,
            ..Usage::default()
        };
        let reason = FinishReason::StopString("END".to_owned());
        let value: serde_json::Value =
            serde_json::from_slice(&metadata(usage, Some(&reason))).unwrap();
        assert_eq!(value["input_tokens"], 3);
        assert_eq!(value["output_tokens"], 2);
        assert_eq!(value["cached_tokens"], 1);
        assert_eq!(value["finish_reason"], "stop");
        assert_eq!(value["stop_sequence"], "END");
        assert!(value["llama_commit"].is_string());
    }

    #[test]
    fn logprobs_that_are_no_numbers_become_null() {
        let event = TokenEvent {
            id: 1,
            bytes: vec![0xf0],
            logprob: Some(f32::NEG_INFINITY),
            top: Vec::new(),
        };
        let value: serde_json::Value = serde_json::from_slice(&events(&[event])).unwrap();
        assert_eq!(value[0]["bytes"][0], 0xf0);
        assert!(value[0]["logprob"].is_null());
    }
}
