//! The models that the domain serves, in OpenAI's list.

use gaia_openai::ApiError;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::reply::{self, Reply};
use crate::shared::Shared;

/// `GET /v1/models`: what healthy nodes serve, a knowledge base behind an `@`.
pub(crate) fn list(shared: &Shared) -> Response<Reply> {
    let data = names(shared).into_iter().map(|name| model(&name));
    let list = json!({ "object": "list", "data": data.collect::<Vec<_>>() });
    reply::json(StatusCode::OK, &list)
}

/// `GET /v1/models/{name}`.
pub(crate) fn one(shared: &Shared, name: &str) -> Response<Reply> {
    match names(shared).iter().any(|known| known == name) {
        true => reply::json(StatusCode::OK, &model(name)),
        false => reply::error(&ApiError::model_not_found(name)),
    }
}

fn names(shared: &Shared) -> Vec<String> {
    let services = shared.nodes.services().into_iter();
    let offered = services.filter(|service| {
        let models = shared.config.models.iter();
        models.into_iter().any(|model| model.name == service.model)
    });
    let named = offered.map(|service| match service.knowledge {
        Some(knowledge) => format!("{}@{knowledge}", service.model),
        None => service.model,
    });
    named.collect()
}

fn model(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "domain" })
}
