//! What every request passes: who may come in, how much of it is read, and what every response carries.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gaia_openai::{ApiError, HEAD_BYTES_MAX, check_head};
use gaia_wasi_rt::timeout;
use http_body_util::BodyExt;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::failure::Failure;
use crate::meter::Meter;
use crate::origin::{self, Verdict};
use crate::random;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 128;
const PREFLIGHT_SECONDS: &str = "600";

/// Lets a request through to its route, or answers it here.
pub(crate) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let (verdict, mut response) = match admit(&app, &request) {
        Ok(Verdict::Listed) if request.method() == Method::OPTIONS => {
            (Verdict::Listed, StatusCode::NO_CONTENT.into_response())
        }
        Ok(verdict) => {
            let meter = Meter::of(request.headers(), &id, &app.ledger);
            let current = Some(Arc::clone(&meter));
            let response = Meter::during(&current, next.run(request)).await;
            drop(current);
            (verdict, Meter::follow(meter, response))
        }
        Err(error) => (Verdict::Own, Failure(error).into_response()),
    };
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let (Verdict::Listed, Some(origin)) = (verdict, origin) {
        allow(headers, origin);
    }
    app.metrics.responded(response.status().as_u16());
    response
}

fn admit(app: &App, request: &Request) -> Result<Verdict, ApiError> {
    let headers = request.headers();
    let path = request.uri().path_and_query();
    check_head(
        path.map_or("", |path| path.as_str()),
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
        HEAD_BYTES_MAX,
    )?;
    let trusted = check_key(app, request)?;
    let host = text(headers, &header::HOST).or(request.uri().authority().map(|name| name.as_str()));
    let host = host.unwrap_or_default();
    // The ingress, which has the key, has checked the name it was reached by.
    if !trusted && !origin::is_loopback_host(host) && app.options.host.is_loopback() {
        return Err(ApiError::forbidden(
            "This node answers to loopback names only.",
        ));
    }
    let origin = text(headers, &header::ORIGIN);
    match origin::judge(origin, host, &app.options.cors_origins) {
        Verdict::Foreign if !trusted => Err(ApiError::forbidden(
            "Pages of this origin may not call this node.",
        )),
        Verdict::Foreign => Ok(Verdict::Own),
        verdict => Ok(verdict),
    }
}

// Whether the request carries the worker key; an error when there is one and it does not.
fn check_key(app: &App, request: &Request) -> Result<bool, ApiError> {
    let Some(key) = &app.options.worker_key else {
        return Ok(false);
    };
    let sent = text(request.headers(), &header::AUTHORIZATION)
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, sent)| sent.trim());
    if bool::from(sent.as_bytes().ct_eq(key.reveal().as_bytes())) {
        return Ok(true);
    }
    match request.uri().path() {
        "/health" => Ok(false),
        _ => Err(ApiError::invalid_api_key()),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers.get(REQUEST_ID).filter(|id| {
        id.len() <= REQUEST_ID_BYTES_MAX && id.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    match sent {
        Some(id) => id.clone(),
        None => {
            HeaderValue::from_str(&random::id("req-")).unwrap_or(HeaderValue::from_static("req"))
        }
    }
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-request-id",
        ),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "x-request-id, retry-after",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Reads a body within the limits of size and, between two pieces, of time.
///
/// # Errors
/// 413, 408, or 400 when the client broke off.
pub(crate) async fn read_body(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<Bytes, ApiError> {
    let max = app.options.body_bytes_max;
    let too_large = || ApiError::body_too_large(max as u64);
    let announced = text(headers, &header::CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok());
    if announced.is_some_and(|len| len > max as u64) {
        return Err(too_large());
    }
    collect(body, max, app.options.header_timeout, too_large).await
}

async fn collect(
    mut body: Body,
    max: usize,
    pause_max: Duration,
    too_large: impl Fn() -> ApiError,
) -> Result<Bytes, ApiError> {
    let mut bytes = Vec::new();
    loop {
        let frame = timeout(pause_max, body.frame())
            .await
            .map_err(|_elapsed| ApiError::request_timeout())?;
        let Some(frame) = frame else {
            return Ok(bytes.into());
        };
        let frame = frame.map_err(|_| ApiError::malformed_body("The request body broke off."))?;
        let data = frame.into_data().unwrap_or_default();
        if bytes.len() + data.len() > max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Options, Secret};

    fn request(headers: &[(&str, &str)], path: &str) -> Request {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[track_caller]
    fn check(
        options: &Options,
        headers: &[(&str, &str)],
        path: &str,
        expected: Result<Verdict, u16>,
    ) {
        let app = App::new(options.clone());
        let got = admit(&app, &request(headers, path)).map_err(|error| error.status);
        assert_eq!(got, expected, "{headers:?} {path}");
    }

    #[test]
    fn without_a_key_only_loopback_names_and_own_pages() {
        let open = Options::default();
        check(
            &open,
            &[("host", "localhost:8080")],
            "/v1/models",
            Ok(Verdict::Own),
        );
        check(&open, &[("host", "evil.example")], "/v1/models", Err(403));
        check(&open, &[], "/v1/models", Err(403));
        let from = |origin| [("host", "127.0.0.1:8080"), ("origin", origin)];
        check(&open, &from("http://127.0.0.1:8080"), "/", Ok(Verdict::Own));
        check(&open, &from("https://evil.example"), "/", Err(403));
        check(&open, &from("null"), "/", Err(403));
        let listed = Options {
            cors_origins: vec!["https://good.example".to_owned()],
            ..Options::default()
        };
        check(
            &listed,
            &from("https://good.example"),
            "/",
            Ok(Verdict::Listed),
        );
    }

    #[test]
    fn with_a_key_everything_but_health_needs_it() {
        let keyed = Options {
            worker_key: Some(Secret::new("k")),
            ..Options::default()
        };
        let host = ("host", "node.example");
        check(
            &keyed,
            &[("host", "localhost")],
            "/health",
            Ok(Verdict::Own),
        );
        for path in ["/", "/ready", "/metrics", "/v1/models", "/nowhere"] {
            check(&keyed, &[("host", "localhost")], path, Err(401));
            check(
                &keyed,
                &[host, ("authorization", "Bearer x")],
                path,
                Err(401),
            );
            check(
                &keyed,
                &[host, ("authorization", "Basic k")],
                path,
                Err(401),
            );
            check(
                &keyed,
                &[host, ("authorization", "bearer k")],
                path,
                Ok(Verdict::Own),
            );
        }
    }

    #[test]
    fn large_heads_are_refused_with_or_without_a_key() {
        let value = "a".repeat(HEAD_BYTES_MAX);
        for worker_key in [None, Some(Secret::new("k"))] {
            let options = Options {
                worker_key,
                ..Options::default()
            };
            let host = ("host", "localhost");
            check(&options, &[host, ("x", &value)], "/health", Err(431));
            check(&options, &[host], &format!("/{value}"), Err(431));
            let rest = "/health".len() + "host".len() + "localhost".len() + "x".len();
            let most = ("x", &value[rest..]);
            check(&options, &[host, most], "/health", Ok(Verdict::Own));
        }
    }

    #[test]
    fn request_ids_are_echoed_if_sane() {
        let of = |id: &str| request_id(request(&[("x-request-id", id)], "/").headers());
        assert_eq!(of("abc-1"), "abc-1");
        assert_ne!(of("a b"), "a b");
        assert_ne!(of(&"a".repeat(200)), "a".repeat(200).as_str());
    }
}
