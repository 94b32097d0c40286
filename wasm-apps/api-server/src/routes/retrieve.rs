//! `POST /v1/retrieve`: what the node knows, without an answer.

use axum::extract::State;
use axum::response::Response;
use gaia_openai::{ApiError, RetrieveReply, RetrieveRequest};

use super::{Sent, Shared, json};
use crate::failure::Failure;
use crate::retrieval;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let query = match RetrieveRequest::parse(&body, &app.limits)? {
        RetrieveRequest::Query(query) => gaia_rag::query(&[query], 1),
        RetrieveRequest::Messages(messages) => {
            gaia_chat::query_of(&messages, app.options.context_window.max(1))
        }
    };
    let query = query.ok_or_else(|| ApiError::invalid_value("query", "The query is empty."))?;
    let hits = retrieval::search(&app, &query, app.options.limit.max(1)).await?;
    let hits = hits.iter().map(gaia_chat::to_wire).collect();
    Ok(json(&RetrieveReply { hits }))
}
