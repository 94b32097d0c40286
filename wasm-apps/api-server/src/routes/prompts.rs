//! `GET /v1/prompts`: which prompts a request may name. Not what they say: that is the owner's.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Shared, json as answer};
use crate::failure::Failure;
use crate::prompts;

pub(super) async fn list(State(app): Shared) -> Result<Response, Failure> {
    let chat = app.chat(None)?;
    let set = app.prompts.current();
    let configured = app.options.prompt.as_deref();
    let prompts = set.for_model(&prompts::facts(chat));
    let data: Vec<Value> = prompts
        .into_iter()
        .map(|prompt| {
            json!({
                "id": prompt.version(),
                "object": "prompt",
                "name": prompt.name(),
                "kind": prompt.kind().as_str(),
                "description": prompt.description(),
                "variables": prompt.variables().keys().collect::<Vec<_>>(),
                "made_by": prompt.made_by(),
                "is_default": configured == Some(prompt.name()),
            })
        })
        .collect();
    Ok(answer(&json!({"object": "list", "data": data})))
}
