//! What the node is and how it is: `/health`, `/ready`, `/metrics`, `/version`, `/v1/info`; and for the ingress
//! `/gaia/usage/{id}`.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use gaia_openai::ApiError;
use gaia_openai::info::ListedInfo;
use serde_json::{Value, json};

use super::{Shared, json as answer};
use crate::failure::Failure;

const RETRY_SECONDS: u32 = 2;

/// What `/ready` says of the store of a node that knows nothing.
const NO_EMBEDDING: &str = "none: no embedding model is configured (`gaia config set embedding_model NAME`, `gaia restart`)";

/// Alive, whatever else.
pub(super) async fn health() -> Response {
    answer(&json!({"status": "ok"}))
}

/// Able to answer: the chat model is loaded, and the store is there if it has to be.
pub(super) async fn ready(State(app): Shared) -> Result<Response, Failure> {
    let chat = app.chat(None)?;
    let embedding = app.embedding(None).ok();
    let reranking = app.reranking(None).ok();
    let store = match &app.store {
        None if embedding.is_none() => json!(NO_EMBEDDING),
        None => Value::Null,
        Some(store) => match store.count().await {
            Ok(_) => json!("ok"),
            Err(error) if app.options.store_required => {
                return Err(
                    ApiError::retrieval_unavailable(error.to_string(), RETRY_SECONDS).into(),
                );
            }
            Err(error) => json!(error.to_string()),
        },
    };
    Ok(answer(&json!({
        "status": "ready",
        "engine": chat.model.engine.as_str(),
        "chat": chat.model.id,
        "embedding": embedding.map(|model| model.id.as_str()),
        "reranking": reranking.map(|model| model.id.as_str()),
        "store": store,
    })))
}

pub(super) async fn metrics(State(app): Shared) -> Response {
    let mut response = app.metrics.text(app.gauges()).into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

pub(super) async fn version() -> Response {
    answer(&json!({"version": env!("CARGO_PKG_VERSION")}))
}

pub(super) async fn info(State(app): Shared) -> Response {
    answer(&app.info().await)
}

/// The same, as LlamaEdge's clients ask for it.
pub(super) async fn listed_info(State(app): Shared) -> Response {
    answer(&ListedInfo::from(app.info().await))
}

/// What a metered request took that is over: told once, and to the ingress, which lets nobody else ask.
pub(super) async fn usage(State(app): Shared, Path(id): Path<String>) -> Result<Response, Failure> {
    let report = app.ledger.take(&id);
    let report = report.ok_or_else(|| ApiError::not_found("GET", "/gaia/usage"))?;
    Ok(answer(&report))
}
