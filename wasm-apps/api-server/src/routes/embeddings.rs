//! `POST /v1/embeddings`.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use gaia_openai::embedding::EmbeddingInput;
use gaia_openai::{ApiError, EmbeddingReply, EmbeddingRequest, ServiceTier};
use gaia_trace::What;

use super::{Sent, Shared, json};
use crate::answer::enter;
use crate::failure::{Failure, from_inference};
use crate::inference::{InferenceError, Model};
use crate::meter::Meter;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = EmbeddingRequest::parse(&body, &app.limits)?;
    let model = app.embedding(request.model.as_deref())?;
    if let Some(size) = model.vocabulary() {
        request.check_vocabulary(size)?;
    }
    if model.facts.n_embd > 0 {
        let shorter = &app.options.embedding_dimensions;
        request.check_dimensions(model.facts.n_embd, shorter)?;
    }
    let started = Instant::now();
    let _pass = enter(&app, model, 1, ServiceTier::Default).await?;
    let embedded = model.embed(&request.input).await;
    let mut embedded = embedded.map_err(|error| refused(model, &request.input, error))?;
    request.cut(&mut embedded.vectors);
    app.metrics.embedding_tokens.add(embedded.tokens.into());
    if let Some(meter) = Meter::current() {
        meter.add(embedded.tokens.into(), 0);
        let what = What::Embeddings {
            model: model.id.clone(),
            tokens: embedded.tokens.into(),
        };
        meter.phase(started, what, None, None);
    }
    let reply = EmbeddingReply::new(
        &model.id,
        &embedded.vectors,
        request.encoding,
        embedded.tokens,
    );
    Ok(json(&reply))
}

// An input that is too long is told with its length, where the engine counts tokens.
fn refused(model: &Model, input: &EmbeddingInput, error: InferenceError) -> ApiError {
    if error != InferenceError::PromptTooLong {
        return from_inference(error, "input", None);
    }
    let len_max = match input {
        EmbeddingInput::Texts(texts) => {
            let counts = texts
                .iter()
                .filter_map(|text| model.count_tokens(text).ok());
            counts.max()
        }
        EmbeddingInput::Tokens(lists) => longest(lists.iter().map(Vec::len)),
        EmbeddingInput::Several(inputs) => {
            let tokens = inputs
                .iter()
                .filter_map(|input| model.tokens_of(input).ok());
            longest(tokens.map(|tokens| tokens.len()))
        }
    };
    let context = model.facts.n_ctx;
    match len_max.filter(|len| *len > context) {
        Some(len) => {
            let error = ApiError::context_length_exceeded("input", context, len, 0);
            // The words that clients of llama.cpp's server look for.
            let message = format!("The input is too large. {}", error.message);
            ApiError { message, ..error }
        }
        None => from_inference(error, "input", None),
    }
}

fn longest(lens: impl Iterator<Item = usize>) -> Option<u32> {
    lens.max().and_then(|len| u32::try_from(len).ok())
}
