//! `POST /v1/embeddings`.

use axum::extract::State;
use axum::response::Response;
use gaia_openai::{EmbeddingReply, EmbeddingRequest};

use super::{Sent, Shared, json};
use crate::answer::enter;
use crate::failure::{Failure, from_inference};

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = EmbeddingRequest::parse(&body, &app.limits)?;
    let model = app.embedding(request.model.as_deref())?;
    if model.facts.n_embd > 0 {
        request.check_dimensions(model.facts.n_embd)?;
    }
    let _pass = enter(&app, model).await?;
    let embedded = model.embed(&request.input).await;
    let embedded = embedded.map_err(|error| from_inference(error, "input", None))?;
    app.metrics.embedding_tokens.add(embedded.tokens.into());
    let reply = EmbeddingReply::new(
        &model.id,
        &embedded.vectors,
        request.encoding,
        embedded.tokens,
    );
    Ok(json(&reply))
}
