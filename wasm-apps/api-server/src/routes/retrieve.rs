//! `POST /v1/retrieve`: what the node knows, without an answer.

use axum::extract::State;
use axum::response::Response;
use gaia_openai::info::Question;
use gaia_openai::{ApiError, RetrieveReply, RetrieveRequest};
use gaia_rag::SelectLimits;

use super::{Sent, Shared, json};
use crate::app::App;
use crate::failure::Failure;
use crate::retrieval;

pub(super) async fn create(State(app): Shared, Sent(body): Sent) -> Result<Response, Failure> {
    let request = RetrieveRequest::parse(&body, &app.limits)?;
    request.check_collection(&app.options.collection)?;
    let limits = limits(&app, &request);
    let query = match request.question {
        Question::Query(query) => gaia_rag::query(&[query], 1),
        Question::Messages(messages) => {
            gaia_chat::query_of(&messages, app.options.context_window.max(1))
        }
    };
    let query = query.ok_or_else(|| ApiError::invalid_value("query", "The query is empty."))?;
    let hits = retrieval::search(&app, &query, limits).await?;
    let hits = hits.iter().map(gaia_chat::to_wire).collect();
    Ok(json(&RetrieveReply::new(
        hits,
        limits.limit,
        limits.score_threshold,
    )))
}

/// What the request asks for, or the node's own.
fn limits(app: &App, request: &RetrieveRequest) -> SelectLimits {
    let asked = request.limit.and_then(|limit| usize::try_from(limit).ok());
    SelectLimits {
        limit: asked.unwrap_or(app.options.limit.max(1)),
        score_threshold: request
            .score_threshold
            .unwrap_or(app.options.score_threshold),
    }
}

#[cfg(test)]
mod tests {
    use gaia_openai::Limits;

    use super::*;
    use crate::options::Options;

    #[test]
    fn a_request_may_say_how_much_it_wants() {
        let app = App::new(Options {
            limit: 3,
            score_threshold: 0.5,
            ..Options::default()
        });
        let of = |body: &str| {
            let request = RetrieveRequest::parse(body.as_bytes(), &Limits::default()).unwrap();
            let SelectLimits {
                limit,
                score_threshold,
            } = limits(&app, &request);
            (limit, score_threshold)
        };
        assert_eq!(of(r#"{"query": "a"}"#), (3, 0.5));
        assert_eq!(of(r#"{"query": "a", "limit": 9}"#), (9, 0.5));
        assert_eq!(of(r#"{"query": "a", "score_threshold": 0}"#), (3, 0.0));
    }
}
