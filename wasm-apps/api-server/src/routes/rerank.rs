//! `POST /v1/rerank`: what is asked is checked, and then refused by name: no model that ranks can be loaded yet.

use axum::extract::State;
use gaia_openai::{ApiError, RerankRequest};

use super::{Sent, Shared};
use crate::failure::Failure;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Failure {
    match RerankRequest::parse(&body, &app.limits) {
        Err(error) => error.into(),
        Ok(request) => {
            let model = request.model.as_deref().unwrap_or("This node");
            let message =
                format!("{model} cannot rank texts: no model that does can be loaded yet.");
            ApiError::unsupported("model", message).into()
        }
    }
}
