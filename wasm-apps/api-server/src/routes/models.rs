//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use gaia_openai::{ApiError, ModelList};

use super::{Shared, json};
use crate::failure::Failure;

pub(super) async fn list(State(app): Shared) -> Response {
    json(&ModelList::new(app.list()))
}

pub(super) async fn retrieve(
    State(app): Shared,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    app.models()?;
    // What is not UTF-8 is no model's name.
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    let found = app.list().into_iter().find(|model| model.id == id);
    let model = found.ok_or_else(|| ApiError::model_not_found(&id))?;
    Ok(json(&model))
}
