//! `/v1/files` and `/v1/vector_stores`: what the host keeps and does; the request is passed on as it is.

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use gaia_openai::ApiError;

use super::{Sent, Shared};
use crate::back::{Back, Passed, Said};
use crate::failure::Failure;
use crate::log;
use crate::records::Owner;

/// Seconds after which a caller may ask again when the host did not answer.
const RETRY_AFTER_SECONDS: u32 = 2;

pub(super) async fn pass(
    State(app): Shared,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Result<Response, Failure> {
    let Some(back) = Back::of(&app.options) else {
        let message = "This node has no host that keeps files.";
        return Err(ApiError::not_implemented(message).into());
    };
    let asked = uri.path_and_query().map_or("", |path| path.as_str());
    let kind = headers.get(header::CONTENT_TYPE);
    let path = format!("/library/{}{asked}", Owner::of(&headers).as_str());
    let passed = back.pass(Passed {
        method: method.as_str(),
        path: &path,
        content_type: kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default(),
        body,
    });
    match passed.await {
        Ok(said) => Ok(response(said)),
        Err(error) => {
            log::warn(format_args!("files: {error}"));
            let message = "The node's host does not answer.";
            Err(ApiError::unavailable(message, RETRY_AFTER_SECONDS).into())
        }
    }
}

fn response(said: Said) -> Response {
    let status = StatusCode::from_u16(said.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = (status, said.body).into_response();
    for name in [header::CONTENT_TYPE, header::RETRY_AFTER] {
        match said.headers.get(&name) {
            Some(value) => response.headers_mut().insert(name, value.clone()),
            None => response.headers_mut().remove(name),
        };
    }
    response
}
