//! Reading the bodies of requests, whatever a caller sends.

#![no_main]

use gaia_openai::completion::NativeRequest;
use gaia_openai::responses::ResponseRequest;
use gaia_openai::vector_store::{BatchRequest, SearchRequest};
use gaia_openai::{
    ApiError, ChatRequest, CompletionRequest, DetokenizeRequest, EmbeddingRequest, Limits,
    RetrieveRequest, Sampling, TokenizeRequest,
};
use libfuzzer_sys::fuzz_target;

/// What the caller is told is an error of theirs, in the form that clients read.
fn refused<T>(outcome: Result<T, ApiError>) -> Option<T> {
    match outcome {
        Ok(request) => Some(request),
        Err(error) => {
            assert!((400..500).contains(&error.status), "{error:?}");
            assert!(!error.message.is_empty());
            let told = ApiError::from_json(error.status, error.to_json().as_bytes());
            assert_eq!(told.map(|told| told.message), Some(error.message));
            None
        }
    }
}

/// What goes on to C++ is within the ranges that it is said to have.
fn in_range(sampling: &Sampling, limits: &Limits) {
    let within = |value: Option<f32>, least: f32, most: f32| {
        assert!(
            value.is_none_or(|value| (least..=most).contains(&value)),
            "{sampling:?}"
        );
    };
    within(sampling.temperature, 0.0, 2.0);
    within(sampling.top_p, 0.0, 1.0);
    within(sampling.min_p, 0.0, 1.0);
    within(sampling.repeat_penalty, 0.01, 10.0);
    within(sampling.presence_penalty, -2.0, 2.0);
    within(sampling.frequency_penalty, -2.0, 2.0);
    assert!(sampling.top_k.is_none_or(|top| top <= limits.top_k_max));
    assert!(
        sampling
            .tokens_max
            .is_none_or(|tokens| tokens <= limits.tokens_max)
    );
    assert_ne!(sampling.seed, Some(u32::MAX));
    assert!(sampling.stop.len() <= limits.stop_max);
    for bias in &sampling.logit_bias {
        // The least means never.
        assert!(
            bias.bias == f32::NEG_INFINITY || bias.bias.abs() <= 100.0,
            "{bias:?}"
        );
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let limits = Limits {
        messages_max: 8,
        text_bytes_max: 2000,
        inputs_max: 8,
        ..Limits::default()
    };
    match kind % 8 {
        0 | 1 => {
            if let Some(request) = refused(ChatRequest::parse(body, &limits)) {
                assert!((1..=limits.messages_max).contains(&request.messages.len()));
                assert!((1..=limits.choices_max).contains(&request.choices));
                in_range(&request.sampling, &limits);
            }
        }
        2 => {
            if let Some(request) = refused(CompletionRequest::parse(body, &limits)) {
                assert!((1..=limits.inputs_max).contains(&request.prompts.len()));
                in_range(&request.sampling, &limits);
            }
        }
        3 => {
            if let Some(request) = refused(EmbeddingRequest::parse(body, &limits)) {
                assert!((1..=limits.inputs_max).contains(&request.input.len()));
            }
        }
        4 => {
            if let Some(request) = refused(NativeRequest::parse(body, &limits)) {
                in_range(&request.request.sampling, &limits);
            }
        }
        5 => drop(refused(TokenizeRequest::parse(body, &limits))),
        6 => drop(refused(DetokenizeRequest::parse(body, &limits))),
        _ => {
            refused(RetrieveRequest::parse(body, &limits));
            refused(ResponseRequest::parse(body, &limits));
            refused(SearchRequest::parse(body, &limits));
            refused(BatchRequest::parse(body, &limits));
        }
    }
});
