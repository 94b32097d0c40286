//! The routes. A handler decodes, calls one function, encodes.

mod chat;
mod completions;
mod embeddings;
mod library;
mod models;
mod node;
mod openapi;
mod page;
mod prompts;
mod public_config;
mod rerank;
mod responses;
mod retrieve;
mod tokenize;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use gaia_openai::ApiError;
use serde::Serialize;

use crate::app::App;
use crate::edge;
use crate::failure::Failure;

/// Routes while they are put together: their paths are known, so that the description can be held to them.
#[derive(Default)]
struct Table {
    router: Router<Arc<App>>,
    paths: Vec<&'static str>,
}

impl Table {
    fn route(mut self, path: &'static str, methods: MethodRouter<Arc<App>>) -> Self {
        self.paths.push(path);
        self.router = self.router.route(path, methods);
        self
    }
}

/// All routes. `docs/openapi.yaml` describes each of them, but for what only the ingress may ask: `/gaia/…`.
fn table() -> Table {
    Table::default()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .route("/v1/responses", post(responses::create))
        .route("/responses", post(responses::create))
        .route("/v1/responses/input_tokens", post(responses::count_input))
        .route(
            "/v1/responses/{id}",
            get(responses::retrieve).delete(responses::delete),
        )
        .route(
            "/v1/responses/{id}/input_items",
            get(responses::input_items),
        )
        .route("/v1/responses/{id}/cancel", post(responses::cancel))
        .route("/v1/create/rag", post(library::pass))
        .route("/v1/chunks", post(library::pass))
        .route("/v1/files", get(library::pass).post(library::pass))
        .route("/v1/files/{id}", get(library::pass).delete(library::pass))
        .route("/v1/files/{id}/content", get(library::pass))
        .route("/v1/vector_stores", get(library::pass).post(library::pass))
        .route(
            "/v1/vector_stores/{id}",
            get(library::pass).post(library::pass).delete(library::pass),
        )
        .route("/v1/vector_stores/{id}/search", post(library::pass))
        .route(
            "/v1/vector_stores/{id}/files",
            get(library::pass).post(library::pass),
        )
        .route(
            "/v1/vector_stores/{id}/files/{file_id}",
            get(library::pass).post(library::pass).delete(library::pass),
        )
        .route(
            "/v1/vector_stores/{id}/files/{file_id}/content",
            get(library::pass),
        )
        .route("/v1/vector_stores/{id}/file_batches", post(library::pass))
        .route(
            "/v1/vector_stores/{id}/file_batches/{batch_id}",
            get(library::pass),
        )
        .route(
            "/v1/vector_stores/{id}/file_batches/{batch_id}/cancel",
            post(library::pass),
        )
        .route(
            "/v1/vector_stores/{id}/file_batches/{batch_id}/files",
            get(library::pass),
        )
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list).post(models::list))
        .route("/v1/models/{*id}", get(models::retrieve))
        .route("/v1/info", get(node::info).post(node::listed_info))
        .route("/v1/prompts", get(prompts::list))
        .route("/v1/retrieve", post(retrieve::create))
        .route("/v1/rerank", post(rerank::create))
        .route("/rerank", post(rerank::create))
        .route("/chat/completions", post(chat::create))
        .route(
            "/v1/chat/completions/input_tokens",
            post(tokenize::count_input),
        )
        .route(
            "/chat/completions/input_tokens",
            post(tokenize::count_input),
        )
        .route("/embeddings", post(embeddings::create))
        .route("/models", get(models::list))
        .route("/completion", post(completions::native::create))
        .route("/completions", post(completions::native::create))
        .route("/props", get(models::props))
        .route("/config_pub.json", get(public_config::get))
        .route("/tokenize", post(tokenize::create))
        .route("/detokenize", post(tokenize::reverse))
        .route("/apply-template", post(tokenize::apply_template))
        .route("/health", get(node::health))
        .route("/ready", get(node::ready))
        .route("/metrics", get(node::metrics))
        .route("/version", get(node::version))
        .route("/openapi.json", get(openapi::description))
        .route("/gaia/usage/{id}", get(node::usage))
}

/// All routes, behind the guard.
pub(crate) fn router(app: Arc<App>) -> Router {
    let Table { router, .. } = table();
    router
        .fallback(page::file_or_nothing)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&app), edge::guard))
        .with_state(app)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    ApiError::method_not_allowed(method.as_str(), uri.path()).into()
}

/// The bytes of a request's body, within the limits.
struct Sent(axum::body::Bytes);

impl FromRequest<Arc<App>> for Sent {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let headers: HeaderMap = parts.headers;
        Ok(Self(edge::read_body(app, &headers, body).await?))
    }
}

/// A JSON response.
fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = bytes.into_response();
            let kind = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => Failure(ApiError::internal(error.to_string())).into_response(),
    }
}

type Shared = State<Arc<App>>;
