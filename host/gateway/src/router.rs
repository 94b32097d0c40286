//! Which path is answered by what, and who may ask for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gaia_metering::Kind;
use gaia_openai::ApiError;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response};

use crate::access::{Access, bearer};
use crate::browsers::Reach;
use crate::forward::{self, Job};
use crate::reply::{self, Handled, Reply};
use crate::request::Asked;
use crate::shared::Shared;
use crate::{domain, earnings, grants, models, pages, receipts, status};

/// The longest statement, in bytes.
const STATEMENT_BYTES_MAX: usize = 16 << 10;

/// How long a stranger waits for a place.
const STRANGER_WAIT_MAX: Duration = Duration::from_secs(1);

/// Paths that touch what one node keeps for its own users.
const OF_ONE_NODE: &[&str] = &[
    "files",
    "vector_stores",
    "create",
    "chunks",
    "responses",
    "embed",
    "retrieve",
    "info",
    "admin",
];

impl Shared {
    /// Answers a request, whatever it is.
    pub(crate) async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Handled {
        let reach = Reach::of(request.uri().path());
        let mut response = match reach.preflight(&request) {
            Some(told) => told,
            None => self.answer(reach, request).await,
        };
        reach.seal(&mut response);
        Ok(response)
    }

    async fn answer(self: Arc<Self>, reach: Reach, request: Request<Incoming>) -> Response<Reply> {
        let path = request.uri().path();
        if let Some(endpoint) = self.endpoint(path) {
            return endpoint.answer(request).await;
        }
        if let Err(error) = check_head(&self, &request) {
            return reply::error(&error);
        }
        if let Err(error) = reach.check(&request, &self.config.info) {
            return reply::error(&error);
        }
        let answered = match path.starts_with("/v1/") {
            true => self.api(request).await,
            // Seldom asked, and large: a connection keeps room for whatever stands here.
            false => Box::pin(self.own(request)).await,
        };
        answered.unwrap_or_else(|error| reply::error(&error))
    }

    fn endpoint(&self, path: &str) -> Option<Arc<dyn crate::Endpoint>> {
        let mut mounted = self.endpoints.iter();
        let found = mounted.find(|(below, _)| {
            let rest = path.strip_prefix(below.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        found.map(|(_, endpoint)| Arc::clone(endpoint))
    }

    /// OpenAI's paths: nothing of them without a token.
    async fn api(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Reply>, ApiError> {
        let access = match self.accesses.of(request.headers()).await {
            Ok(access) => access,
            Err(error) => {
                self.counts.refused(error.status);
                return Err(error);
            }
        };
        let path = request.uri().path();
        let get = request.method() == Method::GET;
        match (Kind::of_path(path).and_then(of), path) {
            (Some((kind, path)), _) if request.method() == Method::POST => {
                self.ask(access, kind, path, request).await
            }
            (Some(_), _) => Err(not_allowed(&request)),
            (None, "/v1/models") if get => Ok(models::list(&self)),
            (None, path) => match path.strip_prefix("/v1/models/") {
                Some(name) if get => Ok(models::one(&self, name)),
                _ => Err(not_offered(&request)),
            },
        }
    }

    /// What the gateway itself is asked.
    async fn own(&self, request: Request<Incoming>) -> Result<Response<Reply>, ApiError> {
        if let Some(page) = pages::answer(&request) {
            return Ok(page);
        }
        let path = request.uri().path().to_owned();
        let is_operator = || {
            let shown = bearer(request.headers());
            grants::is_operator(self.config.operator_token, shown)
        };
        match (request.method().as_str(), path.as_str()) {
            ("GET", "/gaia/v1/domain") => Ok(domain::show(self)),
            ("GET", "/gaia/v1/status") if is_operator() => {
                status::show(self, request.uri().query()).await
            }
            ("GET", "/metrics") if is_operator() => Ok(status::metrics(self)),
            ("GET", "/gaia/v1/status" | "/metrics") => Err(ApiError::invalid_api_key()),
            ("GET", "/health") => Ok(reply::json(hyper::StatusCode::OK, &"ok")),
            ("GET", "/gaia/v1/account") => {
                let access = self.accesses.of(request.headers()).await?;
                Ok(grants::account(self, &access).await)
            }
            ("POST", "/gaia/v1/tokens") => {
                let (_place, body) = self.statement(request).await?;
                Ok(grants::grant(self, &body).await)
            }
            ("POST", "/gaia/v1/tokens/revoke") => {
                let (_place, body) = self.statement(request).await?;
                Ok(grants::revoke(self, &body).await)
            }
            ("GET", path) => self.looked_up(path, request.uri().query()).await,
            (method, path) => Err(ApiError::not_found(method, path)),
        }
    }

    /// What is found by a name within its path, without a token.
    async fn looked_up(
        &self,
        path: &str,
        query: Option<&str>,
    ) -> Result<Response<Reply>, ApiError> {
        // Who knows a receipt's id is who asked, or served.
        if let Some(id) = path.strip_prefix("/gaia/v1/receipts/") {
            let _place = self.stranger().await?;
            return Ok(receipts::fetch(self, id).await);
        }
        if let Some(account) = path.strip_prefix("/gaia/v1/earnings/") {
            let _place = self.stranger().await?;
            return earnings::show(self, account, query).await;
        }
        Err(ApiError::not_found("GET", path))
    }

    async fn ask(
        self: Arc<Self>,
        access: Access,
        kind: Kind,
        path: &'static str,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, ApiError> {
        let arrived = Instant::now();
        self.counts.came();
        let counted = |error: ApiError| {
            self.counts.refused(error.status);
            error
        };
        let all = Arc::clone(&self.places).try_acquire_owned();
        let all = all.map_err(|_| counted(ApiError::too_many_requests(1)))?;
        let own = self.accesses.enter(&access).map_err(counted)?;
        let limits = &self.config.limits;
        let body = read(request, limits.body_bytes_max, limits.body_time_max).await;
        let body = body.map_err(counted)?;
        let asked = Asked::read(&self, kind, &access, body).map_err(counted)?;
        let job = Job {
            access,
            asked,
            path,
            arrived,
            places: (all, own),
            shared: Arc::clone(&self),
        };
        Ok(forward::answer(job).await)
    }

    async fn statement(
        &self,
        request: Request<Incoming>,
    ) -> Result<(tokio::sync::SemaphorePermit<'_>, Bytes), ApiError> {
        let place = self.stranger().await?;
        let time_max = self.config.limits.body_time_max;
        Ok((place, read(request, STATEMENT_BYTES_MAX, time_max).await?))
    }

    /// A place for a question that costs the ledger something and nobody money.
    async fn stranger(&self) -> Result<tokio::sync::SemaphorePermit<'_>, ApiError> {
        let place = tokio::time::timeout(STRANGER_WAIT_MAX, self.strangers.acquire()).await;
        match place {
            Ok(Ok(place)) => Ok(place),
            _ => Err(ApiError::too_many_requests(1)),
        }
    }
}

/// The path at which a node is asked.
fn of(kind: Kind) -> Option<(Kind, &'static str)> {
    let path = match kind {
        Kind::Chat => "/v1/chat/completions",
        Kind::Completion => "/v1/completions",
        Kind::Responses => "/v1/responses",
        Kind::Embeddings => "/v1/embeddings",
        Kind::Rerank => "/v1/rerank",
    };
    Some((kind, path))
}

async fn read(
    request: Request<Incoming>,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, ApiError> {
    let body = Limited::new(request.into_body(), bytes_max).collect();
    match tokio::time::timeout(time_max, body).await {
        Err(_) => Err(ApiError::request_timeout()),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(ApiError::body_too_large(bytes_max as u64))
        }
        Ok(Err(_)) => Err(ApiError::malformed_body("The body broke off.")),
    }
}

fn check_head(shared: &Shared, request: &Request<Incoming>) -> Result<(), ApiError> {
    let headers = request.headers().iter();
    let bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let bytes_max = shared.config.limits.head_bytes_max;
    match bytes + request.uri().to_string().len() > bytes_max {
        true => Err(ApiError::head_too_large(bytes_max as u64)),
        false => Ok(()),
    }
}

fn not_allowed(request: &Request<Incoming>) -> ApiError {
    ApiError::method_not_allowed(request.method().as_str(), request.uri().path())
}

fn not_offered(request: &Request<Incoming>) -> ApiError {
    let path = request.uri().path();
    let first = path
        .strip_prefix("/v1/")
        .and_then(|rest| rest.split('/').next());
    let error = ApiError::not_found(request.method().as_str(), path);
    match first {
        Some(first) if OF_ONE_NODE.contains(&first) => ApiError {
            message: format!(
                "{} This is kept by one node for its own users; a domain has many nodes. Ask a node of your own.",
                error.message
            ),
            ..error
        },
        _ => error,
    }
}
