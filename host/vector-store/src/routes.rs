//! HTTP: who may ask, how much, and the shape of every answer.
//!
//! Handlers decode, call one function on a blocking thread, encode. The engine never runs on the
//! threads that answer.

mod collections;
mod payload;
mod points;
mod service;
mod snapshots;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::VectorStore;
use crate::error::StoreError;
use crate::options::ApiKey;

/// Seconds after which a client that was told to wait may come back.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

struct Gate {
    api_key: Option<ApiKey>,
    running: Semaphore,
    running_max: usize,
}

/// All routes.
pub(crate) fn router(store: VectorStore, api_key: Option<ApiKey>) -> Router {
    let limits = store.registry().limits().clone();
    let gate = Arc::new(Gate {
        api_key,
        running: Semaphore::new(limits.requests_running_max),
        running_max: limits.requests_running_max,
    });
    Router::new()
        .merge(service::routes())
        .merge(collection_routes())
        .layer(DefaultBodyLimit::max(limits.body_bytes_max))
        // Uploads stream to disk under a limit of their own.
        .merge(snapshots::routes())
        .fallback(|| async {
            Reply::started().error(StoreError::NotFound("no such route".to_owned()))
        })
        .layer(from_fn_with_state(gate, admit))
        .with_state(store)
}

fn collection_routes() -> Router<VectorStore> {
    let one = get(collections::info)
        .put(collections::create)
        .patch(collections::update)
        .delete(collections::delete);
    let points = put(points::upsert).post(points::retrieve);
    let payload = post(payload::set).put(payload::overwrite);
    let vectors = put(payload::update_vectors);
    let inside = Router::new()
        .route("/", one)
        .route("/exists", get(collections::exists))
        .route("/aliases", get(collections::aliases_of))
        .route("/optimize", post(collections::optimize))
        .route("/index", put(payload::create_index))
        .route(
            "/index/{field}",
            axum::routing::delete(payload::delete_index),
        )
        .route("/facet", post(points::facet))
        .route("/points", points)
        .route("/points/{id}", get(points::retrieve_one))
        .route("/points/delete", post(points::delete))
        .route("/points/scroll", post(points::scroll))
        .route("/points/count", post(points::count))
        .route("/points/query", post(points::query))
        .route("/points/query/batch", post(points::query_batch))
        .route("/points/query/groups", post(points::query_groups))
        .route("/points/search", post(points::search))
        .route("/points/search/batch", post(points::search_batch))
        .route("/points/search/matrix/pairs", post(points::matrix_pairs))
        .route(
            "/points/search/matrix/offsets",
            post(points::matrix_offsets),
        )
        .route("/points/recommend", post(points::recommend))
        .route("/points/payload", payload)
        .route("/points/payload/delete", post(payload::delete))
        .route("/points/payload/clear", post(payload::clear))
        .route("/points/vectors", vectors)
        .route("/points/vectors/delete", post(payload::delete_vectors))
        .route("/points/batch", post(payload::batch));
    Router::new()
        .route("/collections", get(collections::list))
        .route("/collections/aliases", post(collections::change_aliases))
        .route("/aliases", get(collections::aliases))
        .nest("/collections/{collection}", inside)
}

/// Lets a request in if it shows the key and there is room. The probes are open: they tell nothing.
async fn admit(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let reply = Reply::started();
    let open = matches!(request.uri().path(), "/healthz" | "/livez" | "/readyz");
    if !open && let Err(error) = gate.check(&request) {
        return reply.error(error);
    }
    match gate.running.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => reply.error(StoreError::Busy(gate.running_max)),
    }
}

impl Gate {
    fn check(&self, request: &Request) -> Result<(), StoreError> {
        let headers = request.headers();
        let Some(key) = &self.api_key else {
            // With no key, a web page the user visits could speak to us by a name that resolves to
            // this machine; it cannot choose the Host header.
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            return match host.is_none_or(is_this_machine) {
                true => Ok(()),
                false => Err(StoreError::ForeignHost),
            };
        };
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().split_at_checked(7))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
            .map(|(_, token)| token);
        let offered = headers.get("api-key").map(HeaderValue::as_bytes).or(bearer);
        match offered.is_some_and(|offered| key.matches(offered)) {
            true => Ok(()),
            false => Err(StoreError::Unauthorized),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

/// Answers in Qdrant's shape, with the time since it was made.
#[derive(Clone, Copy)]
pub(crate) struct Reply(Instant);

impl Reply {
    pub(crate) fn started() -> Self {
        Self(Instant::now())
    }

    fn seconds(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// `{"result": …, "status": "ok", "time": …}`
    pub(crate) fn ok(self, result: impl Serialize) -> Response {
        #[derive(Serialize)]
        struct Body<T> {
            result: T,
            status: &'static str,
            time: f64,
        }
        let body = Body {
            result,
            status: "ok",
            time: self.seconds(),
        };
        match serde_json::to_vec(&body) {
            Ok(bytes) => ([("content-type", "application/json")], bytes).into_response(),
            Err(error) => self.error(StoreError::Internal(error.to_string())),
        }
    }

    /// `{"status": {"error": …}, "time": …}` with the status code that fits.
    pub(crate) fn error(self, error: StoreError) -> Response {
        let status = status_of(&error);
        if status.is_server_error() {
            tracing::warn!(%error, "request failed");
        }
        let body = json!({"status": {"error": error.to_string()}, "time": self.seconds()});
        let mut response = (status, axum::Json(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }

    /// Runs `work` on a blocking thread and answers with what it gives.
    pub(crate) async fn run<T, F>(self, work: F) -> Response
    where
        T: Serialize + Send + 'static,
        F: FnOnce() -> Result<T, StoreError> + Send + 'static,
    {
        match blocking(work).await {
            Ok(result) => self.ok(result),
            Err(error) => self.error(error),
        }
    }
}

/// Runs `work` where it may block. A panic in it is an error of this one request.
pub(crate) async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, StoreError> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(StoreError::Internal(
            "the engine panicked on this request".to_owned(),
        ))
    })
}

fn status_of(error: &StoreError) -> StatusCode {
    match error {
        StoreError::BadInput(_) | StoreError::BadJson(_) => StatusCode::BAD_REQUEST,
        StoreError::NotFound(_) => StatusCode::NOT_FOUND,
        StoreError::Conflict(_) => StatusCode::CONFLICT,
        StoreError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        StoreError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
        StoreError::Unauthorized => StatusCode::UNAUTHORIZED,
        StoreError::ForeignHost => StatusCode::FORBIDDEN,
        StoreError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        StoreError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The body, whole. What is too large is refused in Qdrant's shape.
pub(crate) struct Sent(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let reply = Reply::started();
        Bytes::from_request(request, state)
            .await
            .map(Self)
            .map_err(|rejection| {
                let message = rejection.body_text();
                reply.error(match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => StoreError::TooLarge(message),
                    _ => StoreError::BadInput(message),
                })
            })
    }
}

/// The body as `T`. An empty body is an empty object: several routes need nothing.
pub(crate) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, StoreError> {
    let bytes: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(bytes).map_err(|error| StoreError::BadJson(error.to_string()))
}

/// The body as any JSON.
pub(crate) fn parse_value(body: &Bytes) -> Result<Value, StoreError> {
    parse(body)
}

/// `?wait=…`. Qdrant's own default is not to wait.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Wait {
    #[serde(default)]
    pub wait: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_pass_without_a_key() {
        for host in [
            "localhost",
            "localhost:6333",
            "127.0.0.1:1",
            "[::1]:6333",
            "[::1]",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil",
            "",
            "[::2]",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
