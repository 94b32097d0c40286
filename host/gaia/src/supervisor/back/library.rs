//! `/library/OWNER/v1/files…` and `/library/OWNER/v1/vector_stores…`: what the worker passes on as it is.

use std::sync::Arc;

use gaia_openai::ApiError;
use gaia_records::Owner;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};

use super::{Asked, Reply};
use crate::library::{Given, Library, Question};

/// The longest request: a file and what is said of it.
pub const BODY_BYTES_MAX: usize = crate::library::FILE_BYTES_MAX + (64 << 10);

/// Seconds after which a caller may ask again where no model embeds: its owner has to do something first.
const RETRY_AFTER_SECONDS: u32 = 60;

/// The files and vector stores, and whether the node can look into them.
#[derive(Debug, Clone)]
pub struct KeptLibrary {
    /// What is kept.
    pub library: Arc<Library>,
    /// Whether the node's vector store runs.
    pub has_store: bool,
}

impl KeptLibrary {
    fn answer(&self, question: &Question<'_>) -> Result<Given, ApiError> {
        if !self.has_store && self.needs_store(question) {
            return Err(no_store());
        }
        self.library.answer(question)
    }

    /// Whether the vector store would be asked. A file that is deleted is removed from all vector stores.
    fn needs_store(&self, question: &Question<'_>) -> bool {
        let is_read = question.method == Method::GET;
        let mut parts = question.path.trim_start_matches('/').split('/').skip(1);
        match parts.next() {
            Some("vector_stores") => !is_read,
            Some("create" | "chunks") => true,
            Some("files") => question.method == Method::DELETE && self.has_vector_stores(question),
            _ => false,
        }
    }

    fn has_vector_stores(&self, question: &Question<'_>) -> bool {
        let listed = self.library.answer(&Question {
            method: &Method::GET,
            path: "v1/vector_stores",
            query: "limit=1",
            ..*question
        });
        let listed = listed.ok().and_then(|given| {
            serde_json::from_slice::<serde_json::Value>(&given.body)
                .ok()?
                .get("data")?
                .as_array()
                .map(|stores| !stores.is_empty())
        });
        listed.unwrap_or(true)
    }
}

fn no_store() -> ApiError {
    let message = "This node has no embedding model, so its vector store does not run. Its owner gives it one with \
                   `gaia config set embedding_model NAME` and `gaia restart`; what was in the store is still there.";
    ApiError::model_unavailable(message, RETRY_AFTER_SECONDS)
}

/// Answers. Disk, worker and store may take their time: they are waited for elsewhere.
pub async fn answer(library: KeptLibrary, asked: Asked) -> Reply {
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

fn given(library: &KeptLibrary, asked: &Asked) -> Result<Given, ApiError> {
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
