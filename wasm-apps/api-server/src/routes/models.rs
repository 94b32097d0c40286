//! `GET /v1/models`, `GET /v1/models/{id}` and `GET /props`.

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

/// `GET /props`: what clients of llama.cpp's server ask for first.
pub(super) async fn props(State(app): Shared) -> Result<Response, Failure> {
    let chat = app.chat(None)?;
    let (model, options) = (&chat.model, &app.options);
    let own = model.facts.chat_template.as_ref();
    Ok(json(&serde_json::json!({
        "default_generation_settings": {
            "n_ctx": model.facts.n_ctx,
            "params": {
                "temperature": options.temperature,
                "n_predict": options.n_predict_max.map_or(-1, i64::from),
            },
        },
        "total_slots": options.requests_running_max,
        "model_alias": model.id,
        "model_path": model.id,
        "chat_template": own.filter(|_| options.chat_template.is_none()),
        "bos_token": model.facts.bos_token,
        "eos_token": model.facts.eos_token,
        "modalities": {"vision": model.facts.vision, "audio": false},
        "build_info": concat!("gaia-", env!("CARGO_PKG_VERSION")),
    })))
}
