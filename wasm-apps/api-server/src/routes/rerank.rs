//! `POST /v1/rerank`: texts in the order of how well they answer a query.

use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use gaia_openai::{ApiError, RerankRequest, ServiceTier};
use gaia_trace::What;

use super::{Sent, Shared, json};
use crate::answer::enter;
use crate::failure::{Failure, from_inference};
use crate::inference::{Engine, InferenceError, Model};
use crate::meter::Meter;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = RerankRequest::parse(&body, &app.limits)?;
    let model = app.reranking(request.model.as_deref())?;
    if model.engine == Engine::Stock {
        return Err(without_our_plugin(model).into());
    }
    let started = Instant::now();
    let _pass = enter(&app, model, 1, ServiceTier::Default).await?;
    let scored = match model.rank(&request).await {
        Ok(scored) => scored,
        Err(error) => return Err(refused(model, &request, error).await.into()),
    };
    app.metrics.reranking_tokens.add(scored.tokens.into());
    if let Some(meter) = Meter::current() {
        meter.add(scored.tokens.into(), 0);
        let what = What::Reranking {
            model: model.id.clone(),
            tokens: scored.tokens.into(),
        };
        meter.phase(started, what, None, None);
    }
    Ok(json(&request.reply(
        &model.id,
        &scored.scores,
        scored.tokens,
    )))
}

fn without_our_plugin(model: &Model) -> ApiError {
    let message = format!(
        "`{}` cannot rank texts here: WasmEdge's stock GGML plugin does not. Start the node with Gaia's plugin.",
        model.id
    );
    ApiError::unsupported("model", message)
}

/// A text that is too long is told with its length.
async fn refused(model: &Model, request: &RerankRequest, error: InferenceError) -> ApiError {
    let key = request.form.key();
    if error != InferenceError::PromptTooLong {
        return from_inference(error, key, None);
    }
    let max = model.facts.n_ctx;
    match model.too_long(request).await {
        Ok(Some((index, len))) => ApiError {
            message: format!(
                "`{key}[{index}]` and the query have {len} tokens together, and the model takes {max}. Texts are not \
                 cut: shorten one of the two."
            ),
            ..ApiError::context_length_exceeded(key, max, len, 0)
        },
        _ => from_inference(error, key, None),
    }
}
