//! Who may come in: size of the head, host, origin, key.
//!
//! Every route passes here; what each asks of a key is in [`crate::routes`].

use std::net::IpAddr;

use gaia_openai::{ApiError, check_head};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{Method, Request, Version};

use crate::Config;
use crate::keys::{KeyId, Keys};
use crate::routes::{self, Cost, METRICS, Need};

/// Where a key may be too, for clients that know no bearers.
pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What the gate found out about a request it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// Takes one of the places of those that run.
    pub(crate) takes_place: bool,
    /// The named key that it came with.
    pub(crate) key: Option<KeyId>,
    /// What it may take of that key's tokens.
    pub(crate) cost: Cost,
}

/// Lets a request in or says why not.
pub(crate) fn admit(
    config: &Config,
    keys: &Keys,
    local: IpAddr,
    parts: &Parts,
) -> Result<Admitted, ApiError> {
    let path = parts.uri.path_and_query();
    let path = path.map_or("", |path| path.as_str());
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    check_head(path, headers, config.limits.head_bytes_max)?;
    let host = host(parts)?;
    let any_host = config.hosts.is_empty() && keys.is_locked();
    if !any_host && !host_allowed(config, local, host) {
        let message =
            "This node does not answer to that Host. Its owner can add it to the allowed hosts.";
        return Err(ApiError::forbidden(message));
    }
    if parts.method == Method::CONNECT {
        return Err(ApiError::method_not_allowed("CONNECT", parts.uri.path()));
    }
    if !origin_allowed(config, &parts.headers, host) {
        let message = "Pages of that Origin may not call this node. Its owner can add it to the allowed origins.";
        return Err(ApiError::forbidden(message));
    }
    if routes::is_private(parts.uri.path()) {
        return Err(ApiError::not_found(parts.method.as_str(), parts.uri.path()));
    }
    if is_preflight(parts) {
        return Ok(Admitted {
            takes_place: false,
            key: None,
            cost: Cost::Nothing,
        });
    }
    let rule = routes::rule_of(&parts.method, parts.uri.path());
    let key = keys.enter(shown(&parts.headers), rule.need);
    let key = key.map_err(|error| match error.status == 403 && is_unlisted(parts) {
        // A mistyped path is no reason to ask for another key.
        true => ApiError::not_found(parts.method.as_str(), parts.uri.path()),
        false => error,
    })?;
    Ok(Admitted {
        takes_place: rule.need != Need::Nothing && parts.uri.path() != METRICS,
        key,
        cost: rule.cost,
    })
}

fn is_unlisted(parts: &Parts) -> bool {
    routes::route_of(&parts.method, parts.uri.path()) == routes::OTHER
}

/// Whether a request names this machine by a name that only this machine has.
pub(crate) fn is_loopback_request<B>(request: &Request<B>) -> bool {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok()),
    };
    host.is_some_and(is_loopback_name)
}

fn is_loopback_name(host: &str) -> bool {
    let name = without_port(host);
    let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    name.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

/// A browser asking whether it may ask.
pub(crate) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key("access-control-request-method")
}

/// The origin to be told that it may read the answer: a listed one, not the page's own.
pub(crate) fn listed_origin(config: &Config, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let text = origin.to_str().ok()?;
    let listed = config
        .origins
        .iter()
        .any(|other| other.eq_ignore_ascii_case(text));
    listed.then(|| origin.clone())
}

/// The host asked for; `None` from a client so old that it names none.
fn host(parts: &Parts) -> Result<Option<&str>, ApiError> {
    let bad = || ApiError::malformed_body("The request must have one Host header.");
    let mut hosts = parts.headers.get_all(HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(bad());
    }
    match (parts.uri.authority(), first) {
        (Some(authority), _) => Ok(Some(authority.as_str())),
        (None, Some(host)) => host.to_str().map(Some).map_err(|_| bad()),
        (None, None) if parts.version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(bad()),
    }
}

/// Against DNS rebinding: a page of `evil.example` that resolves to loopback still says
/// `Host: evil.example`.
fn host_allowed(config: &Config, local: IpAddr, host: Option<&str>) -> bool {
    let Some(host) = host else {
        return true;
    };
    let name = without_port(host);
    let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    is_loopback_name(host)
        || address == Some(local)
        || config
            .hosts
            .iter()
            .any(|other| other.eq_ignore_ascii_case(host) || other.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn origin_allowed(config: &Config, headers: &HeaderMap, host: Option<&str>) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let same = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .zip(host)
        .is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host));
    same || listed_origin(config, headers).is_some()
}

/// The key that a request shows: a bearer's, or else the one in `X-Api-Key`.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    match headers.get(AUTHORIZATION) {
        // What is no bearer's key is a wrong key, not a missing one.
        Some(value) => Some(bearer(value.as_bytes()).unwrap_or(b"?")),
        None => headers.get(API_KEY).map(|key| key.as_bytes().trim_ascii()),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper::Request;

    use super::*;
    use crate::ApiKey;

    struct Case {
        config: Config,
    }

    fn open() -> Case {
        let config = Config {
            origins: vec!["https://app.example".to_owned()],
            ..Config::default()
        };
        Case { config }
    }

    fn keyed() -> Case {
        let mut case = open();
        case.config.api_keys = vec![ApiKey::new("first key"), ApiKey::new("second key")];
        case
    }

    impl Case {
        #[track_caller]
        fn check(&self, line: &str, headers: &[(&str, &str)], expected: u16) {
            let (method, path) = line.split_once(' ').unwrap();
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let keys = Keys::open(self.config.api_keys.clone(), None).unwrap();
            let admitted = admit(
                &self.config,
                &keys,
                Ipv4Addr::new(10, 0, 0, 7).into(),
                &parts,
            );
            let status = admitted.map_or_else(|error| error.status, |_| 200);
            assert_eq!(status, expected, "{line} {headers:?}");
        }
    }

    #[test]
    fn only_heads_of_the_limit() {
        let mut case = open();
        case.config.limits.head_bytes_max = 100;
        let host = ("host", "localhost");
        case.check("GET /", &[host, ("x", &"a".repeat(85))], 200);
        case.check("GET /", &[host, ("x", &"a".repeat(86))], 431);
        case.check(
            "GET /",
            &[host, ("x", &"a".repeat(50)), ("x", &"a".repeat(50))],
            431,
        );
        case.check(&format!("GET /{}", "a".repeat(100)), &[host], 431);
    }

    #[test]
    fn only_known_hosts() {
        let mut case = open();
        case.check("GET /v1/models", &[("host", "localhost:8080")], 200);
        case.check("GET /v1/models", &[("host", "127.0.0.1")], 200);
        case.check("GET /v1/models", &[("host", "[::1]:80")], 200);
        case.check("GET /v1/models", &[("host", "10.0.0.7:80")], 200);
        case.check("GET /v1/models", &[("host", "evil.example")], 403);
        case.check("GET /", &[("host", "localhost.evil.example")], 403);
        case.check("GET http://evil.example/", &[("host", "localhost")], 403);
        case.check(
            "GET /",
            &[("host", "localhost"), ("host", "evil.example")],
            400,
        );
        case.check("GET /", &[], 400);
        case.config.hosts = vec!["node.example".to_owned()];
        case.check("GET /", &[("host", "Node.example:443")], 200);
    }

    #[test]
    fn only_own_and_listed_origins() {
        let case = open();
        let host = ("host", "localhost:8080");
        case.check(
            "POST /v1/x",
            &[host, ("origin", "http://localhost:8080")],
            200,
        );
        case.check(
            "POST /v1/x",
            &[host, ("origin", "https://app.example")],
            200,
        );
        case.check("POST /v1/x", &[host, ("origin", "http://localhost:9")], 403);
        case.check("POST /v1/x", &[host, ("origin", "null")], 403);
        case.check(
            "GET /health",
            &[host, ("origin", "https://evil.example")],
            403,
        );
    }

    #[test]
    fn a_key_opens_everything_but_the_page() {
        let case = keyed();
        let host = ("host", "anything.example");
        case.check("GET /", &[host], 200);
        case.check("GET /assets/index-1.js", &[host], 200);
        case.check("GET /health", &[host], 200);
        case.check("POST /health", &[host], 401);
        case.check("GET /v1/models", &[host], 401);
        case.check("GET /v1/models/a.js", &[host], 401);
        case.check("GET /metrics", &[host], 401);
        case.check("GET /%76%31/models", &[host], 401);
        case.check(
            "GET /v1/models",
            &[host, ("authorization", "Bearer second key")],
            200,
        );
        case.check(
            "GET /v1/models",
            &[host, ("authorization", "bearer first key")],
            200,
        );
        case.check(
            "GET /v1/models",
            &[host, ("authorization", "Bearer first ke")],
            401,
        );
        case.check("GET /v1/models", &[host, ("authorization", "Bearer ")], 401);
        case.check(
            "GET /v1/models",
            &[host, ("authorization", "first key")],
            401,
        );
    }

    #[test]
    fn a_key_may_stand_in_a_header_of_its_own() {
        let case = keyed();
        let host = ("host", "node.example");
        let check = |headers: &[(&str, &str)], expected| {
            case.check("GET /v1/models", &[&[host], headers].concat(), expected);
        };
        check(&[("x-api-key", "second key")], 200);
        check(&[("x-api-key", "second ke")], 401);
        check(&[("x-api-key", "")], 401);
        let right = ("x-api-key", "first key");
        check(&[("authorization", "Bearer wrong"), right], 401);
        check(
            &[("authorization", "Bearer first key"), ("x-api-key", "?")],
            200,
        );
    }

    #[test]
    fn browsers_may_ask_whether_they_may_ask() {
        let case = keyed();
        let ask = ("access-control-request-method", "POST");
        let host = ("host", "node.example");
        case.check(
            "OPTIONS /v1/x",
            &[host, ask, ("origin", "https://app.example")],
            200,
        );
        case.check(
            "OPTIONS /v1/x",
            &[host, ask, ("origin", "https://evil.example")],
            403,
        );
        case.check("OPTIONS /v1/x", &[host], 401);
    }

    #[test]
    fn what_the_worker_tells_the_ingress_it_tells_nobody_else() {
        let host = ("host", "localhost");
        open().check("GET /gaia/usage/x", &[host], 404);
        let key = ("authorization", "Bearer first key");
        keyed().check("GET /gaia/usage/x", &[host, key], 404);
    }

    #[test]
    fn loopback_has_few_names() {
        for name in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:9",
            "127.9.9.9",
            "[::1]:80",
        ] {
            assert!(is_loopback_name(name), "{name}");
        }
        for name in [
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "0.0.0.0:1",
            "",
        ] {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}
