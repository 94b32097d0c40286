//! `/library/OWNER/v1/files…` and `/library/OWNER/v1/vector_stores…`: what the worker passes on as it is.

use std::sync::Arc;

use gaia_openai::ApiError;
use gaia_records::Owner;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::{Asked, Reply};
use crate::library::{Given, Library, Question};

/// The longest request: a file and what is said of it.
pub const BODY_BYTES_MAX: usize = crate::library::FILE_BYTES_MAX + (64 << 10);

/// Answers. Disk, worker and store may take their time: they are waited for elsewhere.
pub async fn answer(library: Arc<Library>, asked: Asked) -> Reply {
    let answered = tokio::task::spawn_blocking(move || given(&library, &asked));
    let answered = answered.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "a question about files broke off");
        Err(ApiError::internal("The node broke off."))
    });
    match answered {
        Ok(given) => reply(StatusCode::OK, given.content_type, given.body),
        Err(error) => refusal(&error),
    }
}

fn given(library: &Library, asked: &Asked) -> Result<Given, ApiError> {
    let rest = asked.path.strip_prefix("/library/").unwrap_or_default();
    let (owner, path) = rest.split_once('/').unwrap_or_default();
    let owner = Owner::parse(owner).ok_or_else(|| ApiError::not_found("", path))?;
    library.answer(&Question {
        owner: &owner,
        method: &asked.method,
        path,
        query: &asked.query,
        content_type: &asked.content_type,
        body: &asked.body,
    })
}

fn refusal(error: &ApiError) -> Reply {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut reply = reply(status, "application/json", error.to_json().into_bytes());
    if let Some(seconds) = error.retry_after_seconds {
        reply.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    reply
}

fn reply(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}
