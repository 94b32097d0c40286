//! What browsers may do here: which paths pages of other origins may ask, and the headers that hold every page.
//!
//! A gateway is public, and who asks it shows a bearer token: there are no cookies, and nothing that a browser would
//! add by itself. So a page of anybody may call what a user's program may call, with the token that its own user has
//! given it. What is the operator's is answered to pages of the gateway alone: a token that was typed there must not
//! be of use to another page.
//!
//! Invariants: no answer of an operator's path can be read by a page of another origin; nothing that is served here
//! can be framed, or taken for another type than it says.

use gaia_openai::ApiError;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::config::DomainInfo;
use crate::reply::Reply;

/// Paths that are the operator's alone.
const OPERATORS: &[&str] = &["/gaia/v1/status", "/metrics"];

/// How the browser calls where a request comes from.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may embed what this is, from Chromium's and Firefox' point of view.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// For all that is no page: it loads nothing, and nobody frames it.
const NO_PAGE: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How long a browser may remember what it was told of other origins, in seconds.
const PREFLIGHT_AGE_MAX: &str = "86400";

/// Who may ask a path from within a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Pages of any origin.
    Anybody,
    /// Pages of the gateway; links from elsewhere lead here.
    Own,
    /// Pages of the gateway, and nobody else.
    Operator,
}

impl Reach {
    pub(crate) fn of(path: &str) -> Self {
        let is_api = path.starts_with("/v1/") || path.starts_with("/gaia/v1/");
        match is_api {
            _ if OPERATORS.contains(&path) => Self::Operator,
            true => Self::Anybody,
            false => Self::Own,
        }
    }

    /// Answers a browser that asks whether it may ask.
    pub(crate) fn preflight<B>(self, request: &Request<B>) -> Option<Response<Reply>> {
        let headers = request.headers();
        let is_preflight = *request.method() == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let mut response = Response::new(Reply::whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        if self == Self::Anybody {
            let told = response.headers_mut();
            // The star does not cover Authorization; clients bring names of their own beside it.
            put(told, ACCESS_CONTROL_ALLOW_HEADERS, "authorization, *");
            put(told, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
            put(told, ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_MAX);
        }
        Some(response)
    }

    /// Refuses pages of other origins where they have no business.
    ///
    /// # Errors
    /// 403.
    pub(crate) fn check<B>(self, request: &Request<B>, info: &DomainInfo) -> Result<(), ApiError> {
        match self {
            Self::Operator if is_foreign(request, info) => Err(ApiError::forbidden(
                "Pages of other origins may not ask this: open the gateway's own page.",
            )),
            _ => Ok(()),
        }
    }

    /// Adds what every answer says to browsers.
    pub(crate) fn seal(self, response: &mut Response<Reply>) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        put(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
        put(headers, REFERRER_POLICY, "no-referrer");
        put(headers, X_FRAME_OPTIONS, "DENY");
        if !headers.contains_key(CONTENT_SECURITY_POLICY) {
            put(headers, CONTENT_SECURITY_POLICY, NO_PAGE);
        }
        if !headers.contains_key(CACHE_CONTROL) {
            put(headers, CACHE_CONTROL, "no-store");
        }
        match self {
            Self::Anybody => {
                put(headers, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
                let shown = "x-gaia-request-id, retry-after";
                put(headers, ACCESS_CONTROL_EXPOSE_HEADERS, shown);
            }
            Self::Own | Self::Operator => put(headers, RESOURCE_POLICY, "same-origin"),
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Whether a page of another origin asks. Programs send neither header.
fn is_foreign<B>(request: &Request<B>, info: &DomainInfo) -> bool {
    let headers = request.headers();
    if let Some(origin) = headers.get(ORIGIN) {
        let authority = request.uri().authority().map(|at| at.as_str());
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        return !is_own(origin, authority.or(host), &info.gateways);
    }
    let site = headers.get(FETCH_SITE);
    site.is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// Whether an origin is the host that was asked, or one of the domain's.
fn is_own(origin: &HeaderValue, host: Option<&str>, gateways: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let listed = gateways.iter().any(|url| {
        let url = url.trim_end_matches('/');
        url.eq_ignore_ascii_case(origin)
    });
    let name = origin.split_once("://").map(|(_, name)| name);
    let is_host = name.zip(host);
    listed || is_host.is_some_and(|(name, host)| name.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_operators_is_for_the_gateways_own_pages() {
        for path in ["/v1/chat/completions", "/gaia/v1/domain", "/gaia/v1/tokens"] {
            assert_eq!(Reach::of(path), Reach::Anybody, "{path}");
        }
        for path in ["/metrics", "/gaia/v1/status"] {
            assert_eq!(Reach::of(path), Reach::Operator, "{path}");
        }
        for path in ["/", "/health", "/gaia/dashboard"] {
            assert_eq!(Reach::of(path), Reach::Own, "{path}");
        }
    }

    #[test]
    fn a_page_of_the_same_host_is_no_stranger() {
        let info = DomainInfo {
            gateways: vec!["https://domain.example/".to_owned()],
            ..DomainInfo::default()
        };
        let check = |headers: &[(&str, &str)], expected: bool| {
            let mut request = Request::new(());
            for (name, value) in headers {
                let name: HeaderName = name.parse().unwrap();
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            assert_eq!(is_foreign(&request, &info), expected, "{headers:?}");
        };
        let host = ("host", "10.0.0.1:8443");
        check(&[host], false);
        check(&[host, ("origin", "https://10.0.0.1:8443")], false);
        check(&[host, ("origin", "https://domain.example")], false);
        check(&[host, ("origin", "https://evil.example")], true);
        check(&[host, ("origin", "https://10.0.0.1")], true);
        check(&[host, ("origin", "null")], true);
        check(&[host, ("sec-fetch-site", "cross-site")], true);
        check(&[host, ("sec-fetch-site", "same-origin")], false);
        check(&[("origin", "https://evil.example")], true);
    }
}
